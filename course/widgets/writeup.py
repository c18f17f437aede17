"""The write-up of a project: tables and text, collected in a notebook and saved as Markdown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import Markdown

from course import costs, jobs

if TYPE_CHECKING:
    from sagemaker.core.resources import HyperParameterTuningJob, TrainingJob

    from course.workspace import Workspace

REPORT = "profiler-report.html"


class WriteUp:
    """A Markdown document that grows section by section, each with a heading of its own."""

    def __init__(self, title: str) -> None:
        self.parts = [f"# {title}"]

    def add(self, heading: str, *contents: pd.DataFrame | Mapping[str, Any] | str) -> None:
        """Add a section.

        Args:
            heading: the section's title.
            contents: text in Markdown as it is; a mapping as a table of two columns; a DataFrame as
                a table, with its index if that has a name.

        Raises:
            ValueError: there is nothing to add, or a table has no row.
        """
        if not contents:
            raise ValueError(f"the section {heading!r} is empty: give it a table or a text")
        self.parts += [f"## {heading}", *(_markdown(content, heading) for content in contents)]

    @property
    def text(self) -> str:
        """The document so far."""
        return "\n\n".join(self.parts) + "\n"

    def save(self, file: str | os.PathLike) -> Markdown:
        """Write the document and return it, so that a notebook shows it rendered."""
        target = Path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.text, encoding="utf-8")
        return Markdown(self.text)


def _markdown(content: pd.DataFrame | Mapping[str, Any] | str, heading: str) -> str:
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, Mapping):
        content = pd.DataFrame(list(content.items()), columns=["", "value"])
    if not len(content):
        raise ValueError(f"the table of section {heading!r} has no row")
    if content.index.name is not None:
        content = content.reset_index()
    rows = content.astype(object).itertuples(index=False)
    lines = [content.columns, ["---"] * len(content.columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value as the cell of a table: on one line, and without a bar that would end the cell."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "-"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(shown.split()).replace("|", "\\|")


def write_up(ws: Workspace, tuning: HyperParameterTuningJob, job: TrainingJob) -> WriteUp:
    """A document with what SageMaker remembers of the project; the notebook adds the endpoint.

    Its sections: the model, all training jobs since the tuning job began, the best values of the
    tuning job, the verdicts of Debugger's rules on `job`, the profiler's report, the costs.

    Args:
        ws: what `course.connect` returned.
        tuning: the tuning job, of SDK v3's `resources`.
        job: the training job whose model is deployed.
    """
    from sagemaker.core.resources import TrainingJob

    since = [TrainingJob.get(name, region=ws.region) for name in _names(ws, tuning)]
    best = tuning.best_training_job.tuned_hyper_parameters
    document = WriteUp("Dog breeds with Amazon SageMaker")
    document.add("Model", _model(ws, job))
    document.add("Training jobs", pd.DataFrame([_row(each) for each in since]))
    document.add(
        f"Best values of the tuning job {tuning.hyper_parameter_tuning_job_name}",
        {name: _rounded(value) for name, value in best.items()},
    )
    document.add("Debugger's rules", _verdicts(job))
    document.add("Profiler", _profiler(ws, since))
    document.add("Costs of training", _costs(ws, since))
    return document


def _rounded(value: str) -> str:
    """A hyperparameter as the API keeps it, without quotes and with four digits that count."""
    text = value.strip('"')
    try:
        return text if text.isdigit() else f"{float(text):.4g}"
    except ValueError:
        return text


def _names(ws: Workspace, tuning: HyperParameterTuningJob) -> list[str]:
    """The names of the course's training jobs since the tuning job began, oldest first."""
    pages = ws.session.boto_session.client("sagemaker").get_paginator("list_training_jobs")
    listed = pages.paginate(
        NameContains=jobs.PROJECT, CreationTimeAfter=tuning.creation_time,
        SortBy="CreationTime", SortOrder="Ascending",
    )  # fmt: skip
    return [item["TrainingJobName"] for page in listed for item in page["TrainingJobSummaries"]]


def _model(ws: Workspace, job: TrainingJob) -> dict[str, Any]:
    given = jobs.hyperparameters(job)
    return {
        "where": "on this machine (local mode)" if ws.mode == "local" else f"AWS, {ws.region}",
        "network": given.get("model"),
        "weights at the start": given.get("weights"),
        "training job": job.training_job_name,
        "artifact": job.model_artifacts.s3_model_artifacts,
        **_results(job),
    }


def _results(job: TrainingJob) -> dict[str, float]:
    """The last values of the job's metrics, by name."""
    return {metric.metric_name: metric.value for metric in _given(job.final_metric_data_list)}


def _given(members: Any) -> list:
    """A list of the API's answer; SDK v3 has an object of its own for "not there"."""
    return members if isinstance(members, list) else []


def _row(job: TrainingJob) -> dict[str, Any]:
    given, results = jobs.hyperparameters(job), _results(job)
    asked = ("model", "weights", "train-layers", "lr", "batch-size", "epochs")
    return {
        "job": job.training_job_name,
        "status": job.training_job_status,
        **{name: given.get(name) for name in asked},
        **{name: results.get(name) for name in ("valid_accuracy", "test_accuracy")},
        "billable s": _billable(job),
    }


def _billable(job: TrainingJob) -> int:
    seconds = job.billable_time_in_seconds
    return seconds if isinstance(seconds, int) else 0


def _verdicts(job: TrainingJob) -> pd.DataFrame | str:
    """The rules' verdicts, as SageMaker or notebook 03 keeps them beside the job's tensors."""
    from course import debugger  # smdebug takes seconds to import

    try:
        table = debugger.verdicts(job)
    except ValueError:
        return f"No rule watched the job {job.training_job_name}."
    return table[["status"]].rename_axis("rule")


def _profiler(ws: Workspace, since: Sequence[TrainingJob]) -> str:
    """Where the reports lie: the copy beside the document, and the files in the bucket."""
    names = {job.training_job_name for job in since}
    pages = (
        ws.session.boto_session.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=ws.bucket, Prefix=f"{ws.prefix}/debug/")
    )
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    found = [key for key in keys if key.endswith(f"/{REPORT}") and names & set(key.split("/"))]
    lines = [f"- `s3://{ws.bucket}/{key}`" for key in found]
    if (ws.reports / REPORT).exists():
        lines.insert(0, f"- [{REPORT}]({REPORT}), saved by notebook 03")
    return "\n".join(lines) or "No run was profiled."


def _costs(ws: Workspace, since: Sequence[TrainingJob]) -> str:
    """What the jobs cost: their billable seconds, and on AWS the price of their machines."""
    seconds = sum(map(_billable, since))
    if ws.mode == "local":
        return f"{seconds} seconds of {len(since)} jobs on this machine: nothing was billed."
    price = sum(costs.dollars(_billable(job), job.resource_config.instance_type) for job in since)
    return (
        f"{seconds} billable seconds of {len(since)} jobs: ${price:.2f} at the on-demand prices of "
        "us-east-1 in November 2026. The bill in the AWS console is what counts."
    )
