"""The write-up of a project: tables and text, collected in a notebook and saved as Markdown."""

from __future__ import annotations

import os
import re
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
ILL = f"{jobs.PROJECT}-ill-"  # how the name of notebook 03's ill run begins
DEFAULT = "default"  # of train.py: the job was not given the hyperparameter
STARTED = re.compile(r"^weights=(\w+)")  # in a job's log


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
        """Write the document and return it, so that a notebook shows it rendered.

        What is returned links the profiler's report by the file's folder, which lies beside the
        notebook; the file itself lies beside the report.
        """
        target = Path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.text, encoding="utf-8")
        return Markdown(self.text.replace(f"({REPORT})", f"({target.parent.name}/{REPORT})"))


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

    Its sections: the model, all training jobs since the tuning job began, the hyperparameters that
    the search found best beside those of `job`, the verdicts of Debugger's rules on `job` and on
    the ill run, the profiler's report.

    Args:
        ws: what `course.connect` returned.
        tuning: the tuning job, of SDK v3's `resources`.
        job: the training job whose model is deployed.
    """
    from sagemaker.core.resources import TrainingJob

    since = [TrainingJob.get(name, region=ws.region) for name in _names(ws, tuning)]
    document = WriteUp("Dog breeds with Amazon SageMaker")
    document.add("Model", _model(ws, job))
    document.add("Training jobs", pd.DataFrame([_row(each) for each in since]))
    document.add("Hyperparameters", *_values(ws, tuning, job))
    document.add("Debugger's rules", *_rules(job, since))
    document.add("Profiler", _profiler(ws, since))
    return document


def all_costs(ws: Workspace, tuning: HyperParameterTuningJob, endpoint_s: float) -> dict[str, str]:
    """What the project cost, by what it was spent on; for the write-up.

    Args:
        ws: what `course.connect` returned.
        tuning: the tuning job; training jobs count since it began.
        endpoint_s: seconds for which the endpoint existed.
    """
    from sagemaker.core.resources import TrainingJob

    since = [TrainingJob.get(name, region=ws.region) for name in _names(ws, tuning)]
    seconds = sum(map(_billable, since))
    training = f"{seconds:,} billable seconds in {len(since)} jobs"
    serving = f"{endpoint_s:.0f} s" if endpoint_s < 360 else f"{endpoint_s / 3600:.2f} hours"
    if ws.mode == "local":
        here = "nothing: in local mode all of it ran on this machine"
        return {"training": training, "endpoint": serving, "billed": here}
    jobs_cost = sum(
        costs.dollars(_billable(job), job.resource_config.instance_type) for job in since
    )
    endpoint_cost = costs.dollars(endpoint_s, ws.endpoint_instance)
    return {
        "training": f"{training}, as billed: {jobs_cost:.2f} USD",
        "endpoint": f"{serving} of {ws.endpoint_instance}: {endpoint_cost:.2f} USD",
        "together": f"{jobs_cost + endpoint_cost:.2f} USD",
        "prices": f"on demand, {costs.PRICED}; the bill in the AWS console is what counts",
    }


def _rounded(value: str) -> str:
    """A hyperparameter as the API keeps it, without quotes and with four digits that count."""
    text = value.strip('"')
    try:
        return text if text.isdigit() else f"{float(text):.4g}"
    except ValueError:
        return text


def _values(
    ws: Workspace, tuning: HyperParameterTuningJob, job: TrainingJob
) -> tuple[str, pd.DataFrame]:
    """What the search chose, and all else in which the deployed job differs from its best one."""
    from sagemaker.core.resources import TrainingJob

    tuned = tuning.best_training_job.tuned_hyper_parameters
    name = tuning.best_training_job.training_job_name
    best = jobs.hyperparameters(TrainingJob.get(name, region=ws.region)) | tuned
    given = jobs.hyperparameters(job)
    differ = [name for name in best | given if best.get(name) != given.get(name)]
    rows = {
        name: tuple(_rounded(str(each.get(name, DEFAULT))) for each in (best, given))
        for name in dict.fromkeys([*tuned, *differ])
    }
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["best of the search", "of the deployed job"]
    )
    return (
        f"The search is the tuning job {tuning.hyper_parameter_tuning_job_name}, the deployed job "
        f"{job.training_job_name}.",
        table.rename_axis("hyperparameter"),
    )


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
        "weights at the start": _weights(job),
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
    asked = ("train-layers", "lr", "batch-size", "epochs")
    return {
        "job": job.training_job_name,
        "status": job.training_job_status,
        "model": given.get("model"),
        "weights": _weights(job),
        **{name: given.get(name) for name in asked},
        **{name: results.get(name) for name in ("valid_accuracy", "test_accuracy")},
        "billable s": _billable(job),
    }


def _billable(job: TrainingJob) -> int:
    seconds = job.billable_time_in_seconds
    return seconds if isinstance(seconds, int) else 0


def _weights(job: TrainingJob) -> str | None:
    """What the job started from: its log tells, since `auto` leaves the choice to the script."""
    asked = jobs.hyperparameters(job).get("weights")
    told = [STARTED.match(line) for line in jobs.log(job, STARTED.pattern, limit_s=0)]
    if not told:
        return asked and f"{asked} (asked for)"
    used = told[0][1]
    return used if asked in (used, None) else f"{used} (asked for: {asked})"


def _rules(job: TrainingJob, since: Sequence[TrainingJob]) -> list[pd.DataFrame | str]:
    """The verdicts on the deployed job and on the ill run, as SageMaker or notebook 03 keeps them.

    Both stand in one table; the text says which jobs they are, and which has none.
    """
    watched = {"deployed job": job}
    ill = [each for each in since if each.training_job_name.startswith(ILL)]
    if ill:
        watched["ill run"] = ill[-1]
    found = {who: _verdicts(each) for who, each in watched.items()}
    lines = [
        f"- {who}: {each.training_job_name}" + ("" if found[who] is not None else ", no rules")
        for who, each in watched.items()
    ]
    columns = {who: statuses for who, statuses in found.items() if statuses is not None}
    table = pd.DataFrame(columns).rename_axis("rule")
    return ["\n".join(lines), *([table] if columns else [])]


def _verdicts(job: TrainingJob) -> pd.Series | None:
    """A status for each rule; None if no rule watched the job."""
    from course import debugger  # smdebug takes seconds to import

    try:
        return debugger.verdicts(job)["status"]
    except ValueError:
        return None


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
