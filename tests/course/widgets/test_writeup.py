"""The write-up: what goes in comes out as Markdown that renders."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import ClassVar

import pandas as pd
import pytest

from course import debugger, jobs
from course.widgets import WriteUp, all_costs, write_up


def section(*contents):
    """The lines below the heading of a section with these contents."""
    document = WriteUp("Dogs")
    document.add("Jobs", *contents)
    title, heading, rest = document.text.split("\n\n", 2)
    assert (title, heading) == ("# Dogs", "## Jobs")
    return rest.splitlines()


def test_a_table_has_a_row_for_each_row():
    frame = pd.DataFrame({"job": ["a", "b"], "accuracy": [0.123456, 1.0], "epochs": [3, 4]})
    assert section(frame) == [
        "| job | accuracy | epochs |",
        "| --- | --- | --- |",
        "| a | 0.1235 | 3 |",
        "| b | 1 | 4 |",
    ]


def test_an_index_with_a_name_is_a_column():
    frame = pd.DataFrame({"status": ["NoIssuesFound"]}, pd.Index(["Overfit"], name="rule"))
    assert section(frame)[-1] == "| Overfit | NoIssuesFound |"


def test_a_mapping_is_a_table_of_two_columns():
    assert section({"lr": 0.001, "epochs": 3})[2:] == ["| lr | 0.001 |", "| epochs | 3 |"]


def test_a_cell_stays_one_cell():
    assert section({"a | b": "two\nlines", "missing": float("nan"), "none": None})[2:] == [
        "| a \\| b | two lines |",
        "| missing | - |",
        "| none | - |",
    ]


def test_text_and_tables_follow_one_another_with_empty_lines_between():
    assert section("Five jobs.", {"lr": 1})[:2] == ["Five jobs.", ""]


@pytest.mark.parametrize("contents", [(), (pd.DataFrame({"job": []}),), ({},)])
def test_a_section_without_contents_is_refused(contents):
    with pytest.raises(ValueError, match=r"Jobs. (is empty|has no row)"):
        WriteUp("Dogs").add("Jobs", *contents)


def test_it_is_saved_and_shown(tmp_path):
    document = WriteUp("Dogs")
    document.add("A", "größer")
    file = tmp_path / "new folder" / "write-up.md"
    assert document.save(file).data == file.read_text(encoding="utf-8") == document.text


# ---------------------------------------------------------------------------------- the whole of it

BEGUN = datetime(2026, 11, 29, tzinfo=UTC)
REPORT_KEY = "dog-breeds/debug/dog-breeds-b/rule-output/ProfilerReport/profiler-report.html"


def job(name, seconds, instance="ml.g4dn.xlarge", **metrics):
    members = [SimpleNamespace(metric_name=key, value=value) for key, value in metrics.items()]
    return SimpleNamespace(
        training_job_name=name,
        training_job_status="Completed",
        hyper_parameters={
            "model": '"resnet50"', "lr": "0.001", "weights": '"auto"', "_tuning": "x",
        },
        final_metric_data_list=members or object(),  # the SDK's own "not there"
        billable_time_in_seconds=seconds,
        resource_config=SimpleNamespace(instance_type=instance),
        model_artifacts=SimpleNamespace(s3_model_artifacts=f"s3://bucket/{name}/model.tar.gz"),
    )  # fmt: skip


JOBS = {each.training_job_name: each for each in (
    job("dog-breeds-a", 1800, valid_accuracy=0.5), job("dog-breeds-b", 1800, test_accuracy=0.75),
)}  # fmt: skip
TUNING = SimpleNamespace(
    hyper_parameter_tuning_job_name="dog-breeds-261129",
    creation_time=BEGUN,
    best_training_job=SimpleNamespace(
        training_job_name="dog-breeds-a",
        tuned_hyper_parameters={"lr": "0.0012345678", "batch-size": '"32"', "model": '"vgg16"'},
    ),
)


class Pages:
    """A client whose lists come in pages; remembers what it was asked for."""

    asked: ClassVar = {}

    def __init__(self, service):
        self.service = service

    def get_paginator(self, operation):
        return self

    def paginate(self, **arguments):
        self.asked[self.service] = arguments
        if self.service == "s3":
            keys = ["dog-breeds/debug/dog-breeds-z/profiler-report.html", REPORT_KEY]
            return [{}, *({"Contents": [{"Key": key}]} for key in keys)]
        return [{"TrainingJobSummaries": [{"TrainingJobName": name}]} for name in JOBS]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    from sagemaker.core import resources

    def get(name, region):
        return JOBS[name]

    monkeypatch.setattr(resources, "TrainingJob", SimpleNamespace(get=get))
    rules = pd.DataFrame({"status": ["NoIssuesFound"], "details": ["-"]}, ["Overfit"])
    monkeypatch.setattr(debugger, "verdicts", lambda job: rules)
    monkeypatch.setattr(
        jobs, "log", lambda job, pattern, limit_s: ["weights=random device='cpu' image_size=128"]
    )
    session = SimpleNamespace(boto_session=SimpleNamespace(client=Pages))
    return SimpleNamespace(
        mode="aws", region="eu-west-1", bucket="bucket", prefix="dog-breeds", reports=tmp_path,
        session=session, endpoint_instance="ml.m5.large",
    )  # fmt: skip


def test_it_holds_jobs_values_verdicts_and_report(workspace):
    text = write_up(workspace, TUNING, JOBS["dog-breeds-b"]).text
    lines = text.splitlines()
    assert "| where | AWS, eu-west-1 |" in lines
    assert "| test_accuracy | 0.75 |" in lines
    assert (
        "| dog-breeds-a | Completed | resnet50 | random (asked for: auto) | - | 0.001 | - | - "
        "| 0.5 | - | 1800 |" in lines
    )
    assert "| Overfit | NoIssuesFound |" in lines
    assert f"- `s3://bucket/{REPORT_KEY}`" in lines
    assert "dog-breeds-z" not in text  # of an earlier run
    assert Pages.asked["sagemaker"]["CreationTimeAfter"] == BEGUN


def test_the_best_values_stand_beside_those_of_the_deployed_job(workspace):
    text = write_up(workspace, TUNING, JOBS["dog-breeds-b"]).text
    assert "The search is the tuning job dog-breeds-261129, the deployed job dog-breeds-b." in text
    assert {
        "| hyperparameter | best of the search | of the deployed job |",
        "| lr | 0.001235 | 0.001 |",
        "| batch-size | 32 | default |",
        "| model | vgg16 | resnet50 |",
    } <= {*text.splitlines()}


def test_all_else_in_which_the_deployed_job_differs_is_listed(workspace, monkeypatch):
    options = {"best": {"train-layers": '"head"'}, "deployed": {"train-layers": '"all"'}}
    options["deployed"]["body-lr"] = "0.2"
    for name, who in (("dog-breeds-a", "best"), ("dog-breeds-b", "deployed")):
        given = JOBS[name].hyper_parameters | options[who]
        monkeypatch.setattr(JOBS[name], "hyper_parameters", given)
    lines = write_up(workspace, TUNING, JOBS["dog-breeds-b"]).text.splitlines()
    assert {"| train-layers | head | all |", "| body-lr | default | 0.2 |"} <= {*lines}
    assert not any(line.startswith("| weights | auto") for line in lines)  # the same in both


def test_a_copy_of_the_report_beside_it_is_linked(workspace):
    (workspace.reports / "profiler-report.html").write_text("")
    assert (
        "[profiler-report.html](profiler-report.html)"
        in write_up(workspace, TUNING, JOBS["dog-breeds-a"]).text
    )


@pytest.mark.parametrize(
    ("logged", "asked", "shown"),
    [
        (["weights=imagenet (a.pth) x"], '"imagenet"', "imagenet"),
        (["weights=imagenet (a.pth) x"], '"auto"', "imagenet (asked for: auto)"),
        ([], '"auto"', "auto (asked for)"),
    ],
)
def test_a_job_started_from_what_its_log_says(workspace, monkeypatch, logged, asked, shown):
    monkeypatch.setattr(jobs, "log", lambda job, pattern, limit_s: logged)
    started = job("dog-breeds-c", 60)
    started.hyper_parameters["weights"] = asked
    text = write_up(workspace, TUNING, started).text
    assert f"| weights at the start | {shown} |" in text.splitlines()


def test_the_ill_run_stands_beside_the_deployed_job(workspace, monkeypatch):
    monkeypatch.setitem(JOBS, "dog-breeds-ill-20261129", job("dog-breeds-ill-20261129", 30))
    statuses = {"dog-breeds-b": "NoIssuesFound", "dog-breeds-ill-20261129": "IssuesFound"}
    monkeypatch.setattr(
        debugger,
        "verdicts",
        lambda job: pd.DataFrame({"status": [statuses[job.training_job_name]]}, ["Overfit"]),
    )
    lines = write_up(workspace, TUNING, JOBS["dog-breeds-b"]).text.splitlines()
    assert {"- deployed job: dog-breeds-b", "- ill run: dog-breeds-ill-20261129"} <= {*lines}
    assert "| rule | deployed job | ill run |" in lines
    assert "| Overfit | NoIssuesFound | IssuesFound |" in lines


def test_a_job_without_rules_says_so(workspace, monkeypatch):
    def none(job):
        raise ValueError("nobody has evaluated the job's rules")

    monkeypatch.setattr(debugger, "verdicts", none)
    without_metrics = job("dog-breeds-c", 60)
    text = write_up(workspace, TUNING, without_metrics).text
    assert "- deployed job: dog-breeds-c, no rules" in text
    assert "| rule |" not in text


def test_costs_are_those_of_training_and_of_the_endpoint(workspace):
    found = all_costs(workspace, TUNING, 2 * 3600)
    assert found["training"] == "3,600 billable seconds in 2 jobs, as billed: 0.74 USD"
    assert found["endpoint"] == "2.00 hours of ml.m5.large: 0.23 USD"
    assert found["together"] == "0.97 USD"


def test_nothing_is_billed_on_this_machine(workspace):
    workspace.mode = "local"
    found = all_costs(workspace, TUNING, 36)
    assert found == {
        "training": "3,600 billable seconds in 2 jobs",
        "endpoint": "36 s",
        "billed": "nothing: in local mode all of it ran on this machine",
    }


def test_what_is_shown_links_the_report_from_the_notebook_s_folder(tmp_path):
    document = WriteUp("A project")
    document.add("Profiler", "- [the report](profiler-report.html)")
    shown = document.save(tmp_path / "reports" / "write-up.md").data
    assert "(reports/profiler-report.html)" in shown
    assert "(profiler-report.html)" in (tmp_path / "reports" / "write-up.md").read_text()
