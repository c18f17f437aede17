"""Where tensors lie and what rules said: the same table, managed and self-hosted."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sagemaker.core.debugger import ProfilerRule, Rule

from course import debugger
from debugger_support import recordings
from debugger_support.saved_tensors import SavedTensors
from open_debugger import open_trial
from open_debugger.profiler import analysis


def status(name, text, details="d"):
    return SimpleNamespace(
        rule_configuration_name=name, rule_evaluation_status=text, status_details=details
    )


class Job(SimpleNamespace):
    """A finished training job, as the SDK has it."""

    training_job_name = "job"

    def refresh(self):
        self.asked = getattr(self, "asked", 0) + 1
        return self


class Trainer:
    """A trainer after its job: two rules, self-hosted or managed."""

    def __init__(self, job, regex=".*Loss"):
        self._latest_training_job, self.regex = job, regex

    def requests(self, kind):
        if kind is ProfilerRule:
            return []
        names = {"VanishingGradient": {}, "Overfit": {"tensor_regex": self.regex}}
        return [
            {"RuleConfigurationName": name, "RuleParameters": {"rule_to_invoke": name, **given}}
            for name, given in names.items()
        ]


WATCHED = {
    Rule: [
        {
            "RuleConfigurationName": "VanishingGradient",
            "RuleParameters": {"rule_to_invoke": "VanishingGradient"},
        }
    ],
    ProfilerRule: [
        {"RuleConfigurationName": name, "RuleParameters": {"rule_to_invoke": rule}}
        for name, rule in {"Slow": "Dataloader", "All": "ProfilerReport"}.items()
    ],
}


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """Gradients that vanish at the second step, and a loss of both modes."""
    folder = SavedTensors(tmp_path / "job" / "debug-output")
    for scale in (1.0, 1e-9):
        gradient = {"gradient/ResNet_conv1.weight": np.full((2, 2), scale)}
        folder.save({**gradient, "CrossEntropyLoss_output_0": 2.0})
    folder.losses(2.1, mode="EVAL")
    module = sys.modules["course.debugger.verdicts"]
    monkeypatch.setattr(module, "saved", lambda of, what="debug-output": str(folder.folder))
    kept = {}
    monkeypatch.setattr(module, "_keep", lambda job, found: kept.update(found=found))
    monkeypatch.setattr(module, "_kept", lambda job: kept["found"])
    return open_trial(folder.folder)


def test_tensors_lie_below_the_hooks_path_or_among_the_checkpoints():
    managed = Job(
        debug_hook_config=SimpleNamespace(s3_output_path="s3://b/debug"),
        profiler_config=SimpleNamespace(s3_output_path="s3://b/prof"),
    )
    assert debugger.saved(managed) == "s3://b/debug/job/debug-output"
    assert debugger.saved(managed, "profiler-output") == "s3://b/prof/job/profiler-output"
    own = Job(checkpoint_config=SimpleNamespace(s3_uri="s3://b/debug/job"))
    assert debugger.saved(Trainer(own)) == "s3://b/debug/job/job/debug-output"
    with pytest.raises(ValueError, match="job has no debug-output: it ran without"):
        debugger.saved(Job(debug_hook_config=object()))  # the SDK's "not said"


def test_self_hosted_rules_are_evaluated_once_and_kept_for_the_job(trial):
    job = Job(debug_rule_evaluation_statuses=object())
    table = debugger.verdicts(Trainer(job))
    assert table.index.name == "rule" and list(table.columns) == ["status", "details"]
    assert table.status.to_dict() == {
        "VanishingGradient": "IssuesFound",
        "Overfit": "NoIssuesFound",
    }
    assert debugger.verdicts(job).equals(table)


def test_self_hosted_rules_of_the_machine_are_among_the_verdicts(trial, monkeypatch):
    recording = recordings.make("starved", seconds=60)
    monkeypatch.setattr(analysis, "read", lambda place, job: recording)
    monkeypatch.setattr(Trainer, "requests", lambda self, kind: WATCHED[kind])
    table = debugger.verdicts(Trainer(Job(debug_rule_evaluation_statuses=object())))
    assert table.status.to_dict() == dict.fromkeys(
        ["VanishingGradient", "Slow", "All"], "IssuesFound"
    )
    assert "waited" in table.loc["Slow", "details"]


@pytest.mark.parametrize("under_way", ["InProgress", "Stopping"])
def test_managed_verdicts_are_waited_for(trial, monkeypatch, under_way):
    job = Job(debug_rule_evaluation_statuses=[status("VanishingGradient", under_way)])
    job.profiler_rule_evaluation_statuses = [status("ProfilerReport", "NoIssuesFound", object())]

    def refresh():
        job.asked = getattr(job, "asked", 0) + 1
        if job.asked > 2:
            job.debug_rule_evaluation_statuses = [status("VanishingGradient", "IssuesFound", "x")]
        return job

    monkeypatch.setattr("course.jobs.time.sleep", lambda seconds: None)
    job.refresh = refresh
    table = debugger.verdicts(Trainer(job))
    assert list(table.loc["VanishingGradient"]) == ["IssuesFound", "x"]
    assert list(table.loc["ProfilerReport"]) == ["NoIssuesFound", ""]
    assert job.asked > 2


@pytest.mark.parametrize(
    ("told", "shown"), [("AWS's.\n", "AWS's."), ("AWS's.\nFound.", "Found."), ("why", "why")]
)
def test_the_findings_are_shown_without_awss_sentence_above_them(trial, told, shown):
    job = Job(debug_rule_evaluation_statuses=[status("VanishingGradient", "IssuesFound", told)])
    assert debugger.verdicts(Trainer(job)).loc["VanishingGradient", "details"] == shown


def test_a_rule_that_looks_for_nothing_that_is_there_says_so_loudly(trial):
    trainer = Trainer(Job(debug_rule_evaluation_statuses=object()), regex="relu_input")
    with pytest.raises(debugger.NothingWatched, match="Overfit looks for tensors named 'relu_in"):
        debugger.verdicts(trainer)


def test_the_diagnosis_is_the_first_violation_of_each_rule(trial):
    table = debugger.diagnosis(Trainer(Job()))
    assert list(table.index) == ["VanishingGradient"]
    row = table.loc["VanishingGradient"]
    assert (row.step, row["mode"], row.threshold) == (1, "TRAIN", "1e-07")
    assert row.value == "1e-09" and row.tensor == "gradient/ResNet_conv1.weight"


def test_defaults_beside_ours_with_the_names_that_match_nothing(trial):
    given = {"rule_to_invoke": "PoorWeightInitialization", "activation_inputs_regex": "act_input"}
    name = "PoorWeightInitialization"
    request = {"RuleConfigurationName": name, "RuleParameters": given}
    table = debugger.with_defaults(trial, [request])
    assert list(table.columns) == ["defaults", "ours", "why (defaults)"]
    assert table.loc[name, "defaults"] == "IssuesFound"
    assert table.loc[name, "why (defaults)"].endswith(
        ". No tensor matches its regex '.*relu_input'."
    )


def test_an_unwatched_job_is_told_apart():
    job = Job(checkpoint_config=SimpleNamespace(s3_uri="s3://b/debug/job"))
    trainer = Trainer(job)
    trainer.requests = lambda kind: []
    with pytest.raises(ValueError, match="job has no rules"):
        debugger.verdicts(trainer)


def test_which_rules_have_passed_both_tests():
    quiet, found = "NoIssuesFound", "IssuesFound"
    rows = {
        "Passed": (quiet, found, "quiet, then alarmed"),
        "Loud": (found, found, "alarmed on the healthy run"),
        "Deaf": (quiet, quiet, "not tested: quiet on both"),
        "Blind": (quiet, "Error", "not tested: Error on the ill run"),
        "Broken": ("Error", found, "not tested: Error on the healthy run"),
    }
    healthy, ill = (
        pd.DataFrame({"status": {name: row[n] for name, row in rows.items()}, "details": "d"})
        for n in (0, 1)
    )
    healthy, ill = healthy.loc[list(rows)], ill.loc[[*list(rows)[::-1]]]
    table = debugger.tested(healthy, ill)
    assert table.to_dict("split")["data"] == [list(row) for row in rows.values()]
    assert list(table.columns) == ["healthy run", "ill run", "tested"]
    assert list(table.index) == list(rows) and table.index.name == "rule"
    alone = debugger.tested(healthy.loc[["Passed"]], ill.loc[["Loud"]])
    assert list(alone["tested"]) == [
        "not tested: absent on the ill run", "not tested: absent on the healthy run",
    ]  # fmt: skip
