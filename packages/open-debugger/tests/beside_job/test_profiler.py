"""`beside_job/profiler.py`: the process that evaluates a job's profiler rules."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from debugger_support import recordings
from debugger_support.flaky import flaky
from debugger_support.services import BUCKET, unique
from open_debugger import retries
from open_debugger.beside_job import profiler
from open_debugger.beside_job.profiler import Looks, run
from open_debugger.profiler import report


def rule(name, invoked=None, **parameters):
    given = {"rule_to_invoke": invoked or name, **parameters}
    return {"RuleConfigurationName": name, "RuleParameters": given}


REPORT = rule("ProfilerReport-1790000000", "ProfilerReport")
LOW, MEMORY = rule("LowGPUUtilization"), rule("mine", "GPUMemoryIncrease")
RULES = [LOW, MEMORY, REPORT, rule("NoSuchRule")]
JOB = {
    "TrainingJobName": "starved-job",
    "TrainingJobStatus": "InProgress",
    "CreationTime": recordings.START,
    "SecondaryStatusTransitions": [],
}


@pytest.fixture(scope="module")
def starved(tmp_path_factory):
    made = recordings.make("starved", seconds=60)
    return recordings.write(made, tmp_path_factory.mktemp("starved") / "profiler-output")


class Told(list):
    def __call__(self, name, status, details, results=False):
        self.append((name, status, details, results))

    def statuses(self):
        return {name: status for name, status, _, _ in self}


@pytest.fixture
def looks(starved, tmp_path):
    """Looks at the starved run, and what they have told."""

    def make(place=starved, rules=RULES, **members):
        told = Told()
        return Looks(str(place), rules, tmp_path / "results", told, **members), told

    return make


# When it looks


def acts(*answers):
    """A `look` and a `wait` that keep what they are asked; `wait` answers so."""
    kept, answers = [], list(answers)

    def wait(seconds):
        kept.append(round(seconds, 1))
        return answers.pop(0)

    return kept, kept.append, wait


def test_a_look_a_minute_and_one_at_the_end():
    kept, look, wait = acts(False, False, True)
    run(look, wait)
    assert kept == [0, False, 60, False, 60, True]


def test_of_a_job_that_has_ended_there_is_one_look():
    kept, look, wait = acts(True)
    run(look, wait)
    assert kept == [0, True]


def test_long_looks_are_rare(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(profiler, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(profiler, "LOOK_S", 0.1)
    kept, _, wait = acts(False, True)

    def look(ended):
        clock[0] += 0.2

    run(look, wait)
    assert kept == [0, 4]  # twenty times as long as the look took


# What it tells


def test_an_issue_is_told_at_once_and_only_once(looks):
    look, told = looks()
    look(False)
    assert [each[:2] for each in told] == [
        ("LowGPUUtilization", "IssuesFound"),
        ("ProfilerReport-1790000000", "InProgress"),
    ]
    awss, ours = told[0][2].split("\n")
    assert awss == (
        "RuleEvaluationConditionMet: Evaluation of the rule LowGPUUtilization at step 0 resulted "
        "in the condition being met"
    )
    assert "p95" in ours and told[0][3] is False
    assert told[1][2:] == (None, True)  # there is a report, though it is not the last
    look(False)
    assert [each[:2] for each in told[2:]] == [("ProfilerReport-1790000000", "InProgress")]


def test_at_the_end_each_rule_has_its_status(looks):
    look, told = looks()
    look(False)
    told.clear()
    look(True)
    assert told.statuses() == {
        "LowGPUUtilization": "IssuesFound",
        "mine": "NoIssuesFound",
        "ProfilerReport-1790000000": "IssuesFound",
        "NoSuchRule": "Error",
    }
    details = {name: details for name, _, details, _ in told}
    assert "rules found issues: LowGPUUtilization" in details["ProfilerReport-1790000000"]
    assert "NoSuchRule" in details["NoSuchRule"]
    assert details["mine"].startswith("GPU memory: at most")


def test_issues_that_grow_are_told_again(looks, tmp_path):
    place = tmp_path / "growing"
    recordings.write(recordings.make("starved", seconds=40), place)
    look, told = looks(place, [LOW])
    look(False)
    recordings.write(recordings.make("starved", seconds=60), place)
    look(False)
    assert [status for _, status, _, _ in told] == ["IssuesFound"] * 2
    assert told[0][2] != told[1][2]


def test_nothing_to_read_is_an_error_only_at_the_end(looks, tmp_path, capsys):
    look, told = looks(tmp_path / "nowhere")
    look(False)
    assert told == []
    look(True)
    assert set(told.statuses().values()) == {"Error"} and len(told) == len(RULES)
    assert "nowhere" in told[0][2]
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["list-type", "/system/incremental/"])
def test_s3_that_does_not_answer_for_a_while_costs_no_verdict(
    aws, starved, tmp_path, monkeypatch, part
):
    """At the last look, after which no other could mend it."""
    prefix = f"{unique()}/profiler-output"
    for file in (file for file in starved.rglob("*") if file.is_file()):
        key = f"{prefix}/{file.relative_to(starved)}"
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    whole, there = Told(), Told()
    Looks(str(starved), RULES, tmp_path / "whole", whole)(True)
    with flaky(aws.url) as server:
        for name, value in {**aws.environment, "AWS_ENDPOINT_URL": server.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(retries, "PAUSE_S", 0.01)
        refusals = retries.ATTEMPTS - 1
        server.refusing = lambda path: part in path and len(server.refused) < refusals
        Looks(f"s3://{BUCKET}/{prefix}", RULES, tmp_path / "there", there)(True)
        assert len(server.refused) == refusals
    assert there == whole and there.statuses()["mine"] == "NoIssuesFound"


def test_a_report_that_cannot_be_written_leaves_the_other_rules(looks, monkeypatch, capsys):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(report, "write", fail)
    look, told = looks()
    look(False)
    assert "ProfilerReport-1790000000" not in told.statuses()
    look(True)
    assert told.statuses()["ProfilerReport-1790000000"] == "Error"
    assert ("ProfilerReport-1790000000", "Error", "ZeroDivisionError", False) in told
    assert told.statuses()["mine"] == "NoIssuesFound"
    assert "in fail" in capsys.readouterr().err


# What it writes


def written(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_results_lie_where_aws_has_them(looks, tmp_path):
    look, _ = looks()
    look(True)
    found, place = written(tmp_path / "results"), "ProfilerReport-1790000000/profiler-output"
    others = [name for name in found if not name.startswith(place)]
    assert others == [
        "LowGPUUtilization/LowGPUUtilization.json",
        "NoSuchRule/NoSuchRule.json",
        "mine/GPUMemoryIncrease.json",
    ]
    assert f"{place}/profiler-report.html" in found
    assert f"{place}/profiler-reports/LowGPUUtilization.json" in found
    assert f"{place}/profiler-reports/ProfilerReport.json" not in found
    low = json.loads((tmp_path / "results/LowGPUUtilization/LowGPUUtilization.json").read_text())
    assert low["RuleTriggered"] > 0


def test_a_report_overrides_its_rules_parameters(looks, tmp_path):
    overridden = rule("r", "ProfilerReport", Dataloader_min_threshold="1")
    look, told = looks(rules=[REPORT, overridden])
    look(True)
    assert ["Dataloader" in details for _, _, details, _ in told] == [True, False]


def test_the_report_knows_the_job_as_it_is_now(looks, tmp_path):
    description = tmp_path / "job.json"
    look, _ = looks(rules=[REPORT], job=description)
    page = tmp_path / "results/ProfilerReport-1790000000/profiler-output/profiler-report.html"
    look(False)  # there is no description yet
    assert "starved-job" not in page.read_text().split("<script")[0]
    for status in ("InProgress", "Stopped"):
        description.write_text(json.dumps(JOB | {"TrainingJobStatus": status}))
        look(status == "Stopped")
        assert "starved-job" in page.read_text() and status in page.read_text()


def test_the_process(starved, tmp_path):
    rules, job = tmp_path / "rules.json", tmp_path / "job.json"
    rules.write_text(json.dumps([LOW, REPORT]))
    job.write_text(json.dumps(JOB))
    command = [sys.executable, "-m", "open_debugger.beside_job.profiler", str(starved), str(rules)]
    command += [str(tmp_path / "results"), "--job", str(job)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [each["RuleEvaluationStatus"] for each in lines] == ["IssuesFound", "InProgress"]
    assert lines[1]["Results"] is True
    rest, _ = process.communicate(timeout=60)  # closes its standard input
    last = [json.loads(line) for line in rest.splitlines()]
    assert [each["RuleEvaluationStatus"] for each in last] == ["IssuesFound"] * 2
    assert process.returncode == 0
    assert "ProfilerReport-1790000000/profiler-output/profiler-report.html" in written(
        tmp_path / "results"
    )
