"""`beside_job/tensors.py`: the process that evaluates a job's rules while it runs."""

import json
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from debugger_support.flaky import flaky
from debugger_support.saved_tensors import LOSS, SavedTensors
from debugger_support.services import BUCKET, unique
from open_debugger import retries
from open_debugger.beside_job.tensors import run, write
from open_debugger.results import RuleResult, Verdict

GRADIENT = "gradient/Net_fc.weight"


def rule(name, **parameters):
    given = {"rule_to_invoke": name, **{key: str(value) for key, value in parameters.items()}}
    return {"RuleConfigurationName": name, "RuleParameters": given}


RULES = [rule("VanishingGradient"), rule("LossNotDecreasing", num_steps=1), rule("NoSuchRule")]


class Looks:
    """Something to do before each look, instead of sleeping; after the last, all is written."""

    def __init__(self, *acts):
        self.acts, self.told = list(acts), []

    def wait(self):
        self.acts.pop(0)()
        return not self.acts

    def tell(self, result):
        self.told.append((result.name, result.status, result.details))


def nothing():
    pass


def test_statuses_are_told_as_they_change(tmp_path):
    saved = SavedTensors(tmp_path / "trial")
    looks = Looks(
        lambda: saved.save({GRADIENT: [1], LOSS: 2}),
        nothing,
        lambda: saved.save({GRADIENT: [0], LOSS: 1}),
        nothing,
    )
    run(str(saved.folder), RULES, looks.wait, looks.tell)
    statuses = [(name, status) for name, status, _ in looks.told]
    assert statuses == [
        *((each["RuleConfigurationName"], "InProgress") for each in RULES),
        ("VanishingGradient", "InProgress"),
        ("LossNotDecreasing", "InProgress"),
        ("NoSuchRule", "Error"),
        ("VanishingGradient", "IssuesFound"),
        ("LossNotDecreasing", "InProgress"),
        ("LossNotDecreasing", "NoIssuesFound"),
    ]
    assert looks.told[3][2] == "nothing found in 1 tensors"


def test_tensors_that_come_late_are_waited_for(tmp_path):
    def write_all():
        SavedTensors(tmp_path / "trial").save({GRADIENT: [0]})

    looks = Looks(nothing, nothing, write_all)
    run(str(tmp_path / "trial"), RULES, looks.wait, looks.tell)
    assert ("VanishingGradient", "IssuesFound") in [told[:2] for told in looks.told]


def test_tensors_that_never_come_are_an_error_of_each_rule(tmp_path):
    looks = Looks(nothing, nothing)
    run(str(tmp_path), RULES, looks.wait, looks.tell)
    assert [status for _, status, _ in looks.told] == ["InProgress"] * 3 + ["Error"] * 3
    assert all("no tensors here" in details for _, _, details in looks.told[3:])


def test_damage_is_an_error_of_each_rule_and_the_end(tmp_path):
    saved = SavedTensors(tmp_path / "trial").save({GRADIENT: [0]})

    def damage():
        saved.losses(1).index_file(1).write_text("{")

    looks = Looks(nothing, damage, nothing)
    run(str(saved.folder), RULES, looks.wait, looks.tell)
    assert looks.acts == [nothing]  # it did not wait for more
    last = {name: (status, details) for name, status, details in looks.told}
    assert {status for status, _ in last.values()} == {"Error"}
    assert "the index of step 1" in last["VanishingGradient"][1]
    assert "there is no rule" in last["NoSuchRule"][1]


def test_an_issue_is_told_by_awss_sentence_and_below_it_by_ours(tmp_path):
    def write_all():
        saved = SavedTensors(tmp_path / "trial")
        saved.save({GRADIENT: [1]}).save({GRADIENT: [0]}).save({GRADIENT: [0]})

    def tell(result):
        told[result.status] = result.status_details

    looks, told = Looks(nothing, write_all), {}
    run(str(tmp_path / "trial"), RULES[:1], looks.wait, tell)
    awss, ours = told["IssuesFound"].split("\n")
    assert awss == (
        "RuleEvaluationConditionMet: Evaluation of the rule VanishingGradient at step 1 resulted "
        "in the condition being met"
    )
    assert ours.startswith(f"{GRADIENT} at TRAIN step 1: 0, threshold 1e-07 (2 times). ")


def test_a_result_is_a_report_like_awss(tmp_path):
    verdict = Verdict("ExplodingTensor", 3, "TRAIN", "x", float("nan"), 0.0, "Do.")
    parameters = {"only_nan": False, "tensor_regex": None}
    result = RuleResult("mine", "ExplodingTensor", "IssuesFound", "x", parameters, [verdict], 7, 9)
    write(result, tmp_path)
    text = (tmp_path / "mine" / "ExplodingTensor.json").read_text()
    report = json.loads(text, parse_constant=pytest.fail)  # NaN is no JSON
    assert report == {
        "RuleTriggered": 7,
        "Violations": 7,
        "Details": {
            "Status": "IssuesFound",
            "StatusDetails": "x",
            "Verdicts": [{**vars(verdict), "value": "nan"}],
        },
        "Datapoints": 9,
        "RuleParameters": "only_nan:False, tensor_regex:None",
    }


@pytest.mark.parametrize(
    ("name", "place"), [("..", "__"), ("a/../../b", "a_______b"), ("a/b", "a/b"), (".", "_")]
)
def test_a_result_stays_in_its_folder(tmp_path, name, place):
    write(RuleResult(name, "AllZero", "Error", ""), tmp_path / "results")
    [file] = tmp_path.rglob("*.json")
    assert file == tmp_path / "results" / place / "AllZero.json"


# The process


@contextmanager
def evaluator(tensors, folder, rules, **environment):
    """The process, which ends with the block."""
    (folder / "rules.json").write_text(json.dumps(rules))
    command = [sys.executable, "-m", "open_debugger.beside_job.tensors", str(tensors)]
    command += [str(folder / "rules.json"), str(folder / "results")]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, env=environment, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process):
    """The next status, within a minute."""
    ready, _, _ = select.select([process.stdout], [], [], 60)
    assert ready, "nothing was told"
    line = json.loads(process.stdout.readline())
    return line["RuleConfigurationName"], line["RuleEvaluationStatus"], line["StatusDetails"]


def ended(process):
    """Close standard input; return the statuses that are still told."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in output.splitlines()]
    return [(line["RuleConfigurationName"], line["RuleEvaluationStatus"]) for line in lines]


def test_the_process_follows_a_job_in_s3_and_ends_when_its_input_does(aws, tmp_path):
    saved, prefix = SavedTensors(tmp_path / "trial"), f"{unique()}/debug-output"

    def save(gradient, loss):
        saved.save({GRADIENT: [gradient], LOSS: loss})
        for file in saved.folder.rglob("*_*.*"):
            key = f"{prefix}/{file.relative_to(saved.folder)}"
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())

    save(gradient=1, loss=2)
    report = tmp_path / "results" / "VanishingGradient" / "VanishingGradient.json"
    with evaluator(f"s3://{BUCKET}/{prefix}", tmp_path, RULES, **aws.environment) as process:
        process.stdin.write(b"what it is told does not end it\n" * 3)
        process.stdin.flush()
        first = [told(process) for _ in range(6)]
        assert [status for _, status, _ in first] == ["InProgress"] * 5 + ["Error"]
        save(gradient=0, loss=1)
        assert told(process)[:2] == ("VanishingGradient", "IssuesFound")
        assert json.loads(report.read_text())["Violations"] == 1  # written before it is told
        assert told(process)[:2] == ("LossNotDecreasing", "InProgress")
        save(gradient=0, loss=1)
        rest = ended(process)
    assert rest == [("VanishingGradient", "IssuesFound"), ("LossNotDecreasing", "IssuesFound")]
    assert json.loads(report.read_text())["Violations"] == 2
    names = {file.parent.name for file in (tmp_path / "results").rglob("*.json")}
    assert names == {each["RuleConfigurationName"] for each in RULES}


@pytest.mark.parametrize("part", ["list-type", "/index/", "/events/"])
def test_s3_that_does_not_answer_for_a_while_costs_no_verdict(aws, tmp_path, monkeypatch, part):
    """A few refusals are overcome at once; a longer silence waits for the next look."""
    saved, prefix = SavedTensors(tmp_path / "trial"), f"{unique()}/debug-output"

    def save():
        saved.save({GRADIENT: [0], LOSS: 1})
        for file in saved.folder.rglob("*_*.*"):
            key = f"{prefix}/{file.relative_to(saved.folder)}"
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())

    with flaky(aws.url) as server:
        refusals = retries.ATTEMPTS - 1 if part == "/events/" else 3 * retries.ATTEMPTS

        def fail():
            save()
            server.refusing = lambda path: part in path and len(server.refused) < refusals

        for name, value in {**aws.environment, "AWS_ENDPOINT_URL": server.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(retries, "PAUSE_S", 0.01)
        save()
        looks = Looks(nothing, fail, *[nothing] * 4)
        evaluation = run(f"s3://{BUCKET}/{prefix}", RULES[:2], looks.wait, looks.tell)
        assert len(server.refused) == refusals
        assert [r.status for r in evaluation.results] == ["IssuesFound", "IssuesFound"]
