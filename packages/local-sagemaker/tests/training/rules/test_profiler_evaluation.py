"""The profiler rules of a job: evaluated on what was recorded of it, each with its own end."""

import dataclasses
import json
import time

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import processes_with, wait_until
from engine_support.clients import BUCKET, training_request, unique
from engine_support.profiles import FOREVER, profiled, until_sampled
from engine_support.rules import HOOK, rule
from engine_support.shared_files import shared_folder
from local_sagemaker.aws.s3.service import S3
from local_sagemaker.aws.services import Services
from local_sagemaker.core.kinds import TRAINING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.training.rules import evaluation as rule_evaluation
from local_sagemaker.training.rules import statuses as rule_statuses
from local_sagemaker.training.rules.evaluation import RuleEvaluation
from local_sagemaker.training.rules.kinds import PROFILER_RULES

REPORT = "ProfilerReport-1790000000"


def built_in(name, invoked=None, **parameters):
    return rule(name, RuleParameters={"rule_to_invoke": invoked or name, **parameters})


RULES = [built_in(REPORT, "ProfilerReport"), built_in("LowGPUUtilization"), built_in("NoSuchRule")]


def train(aws, command, *rules, **members):
    members = {**profiled(100), "ProfilerRuleConfigurations": list(rules), **members}
    members["StoppingCondition"] = {"MaxRuntimeInSeconds": 900}
    return aws.train(command, TrainingJobName=unique("Profiled"), **members)


def statuses(aws, name, member="ProfilerRuleEvaluationStatuses"):
    described = aws.sagemaker.describe_training_job(TrainingJobName=name)
    return {status["RuleConfigurationName"]: status for status in described[member]}


def verdicts(found):
    return {name: status["RuleEvaluationStatus"] for name, status in found.items()}


def ends(aws, name, member="ProfilerRuleEvaluationStatuses"):
    """The statuses of a job's rules once they are final."""

    def found():
        known = statuses(aws, name, member)
        return "InProgress" not in verdicts(known).values() and known

    return wait_until(found, 90)


def evaluators(name):
    return processes_with(f"/{name}/profiler-output")


@pytest.fixture(scope="module")
def starved():
    """The command of a job whose script writes the step times of a run that starves."""
    from debugger_support import recordings  # imports pandas

    root = recordings.write(recordings.make("starved", seconds=60), shared_folder())
    return f"mkdir -p /opt/ml/output/profiler; cp -r {root}/framework /opt/ml/output/profiler/;"


@pytest.fixture(scope="module")
def job(aws, starved):
    """The name of a job whose rules have ended, and their statuses."""
    lost = built_in("Dataloader", "Dataloader") | {"S3OutputPath": "s3://no-such-bucket/results"}
    own = built_in("mine", "StepOutlier") | {"S3OutputPath": f"s3://{BUCKET}/of-my-own/"}
    name = train(aws, f"{starved} sleep 1", *RULES, lost, own)
    wait_until(lambda: "Training" in str(aws.sagemaker.describe_training_job(TrainingJobName=name)))
    seen = evaluators(name)  # a short job has the machine to itself
    assert aws.job(name)["TrainingJobStatus"] == "Completed"
    assert seen == []
    return name, ends(aws, name)


def read(aws, key):
    return aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def test_each_rule_has_its_own_end(job):
    _, found = job
    # What a machine with another GPU finds is for the rules' own tests.
    assert verdicts(found) == {
        REPORT: "IssuesFound",
        "LowGPUUtilization": found["LowGPUUtilization"]["RuleEvaluationStatus"],
        "NoSuchRule": "Error",
        "Dataloader": "IssuesFound",
        "mine": "NoIssuesFound",
    }
    assert "rules found issues" in found[REPORT]["StatusDetails"]
    assert "NoSuchRule" in found["NoSuchRule"]["StatusDetails"]
    assert "could not be stored at s3://no-such-bucket" in found["Dataloader"]["StatusDetails"]


def test_the_report_is_where_aws_puts_it(aws, job):
    name, _ = job
    place = f"out/{name}/rule-output/{REPORT}/profiler-output"
    page = read(aws, f"{place}/profiler-report.html")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert name in page and "Completed" in page  # as the job is at its end
    reports = aws.keys(f"{place}/profiler-reports/")
    assert f"{place}/profiler-reports/Dataloader.json" in reports
    assert json.loads(read(aws, f"{place}/profiler-reports/Dataloader.json"))["RuleTriggered"] == 1


def test_the_other_rules_results_lie_beside_it(aws, job):
    name, _ = job
    assert aws.keys(f"out/{name}/rule-output/LowGPUUtilization/") == [
        f"out/{name}/rule-output/LowGPUUtilization/LowGPUUtilization.json"
    ]
    assert aws.keys(f"of-my-own/{name}/") == [f"of-my-own/{name}/rule-output/mine/StepOutlier.json"]


def test_nothing_of_an_evaluation_stays(aws, job):
    name, _ = job
    wait_until(lambda: not evaluators(name))
    wait_until(lambda: not list((aws.state / "rules").glob(f"*/{name}")))


def test_both_kinds_of_rules_have_ends_of_their_own(aws):
    tensor = built_in("same", "VanishingGradient")
    name = train(
        aws,
        FOREVER,
        built_in("same", "OverallSystemUsage"),
        DebugHookConfig=HOOK,
        DebugRuleConfigurations=[tensor],
    )
    until_sampled(aws, name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert verdicts(ends(aws, name)) == {"same": "NoIssuesFound"}
    other = ends(aws, name, "DebugRuleEvaluationStatuses")
    assert verdicts(other) == {"same": "Error"}
    assert "saved no tensors" in other["same"]["StatusDetails"]


def test_a_job_of_which_nothing_was_recorded(aws):
    name = train(aws, FOREVER, *RULES, **profiled(60000))
    # Stopped before the sampler, an interpreter later, is there
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)
    found = ends(aws, name)
    assert set(verdicts(found).values()) == {"Error"}
    assert f"s3://{BUCKET}/profiles/{name}/" in found[REPORT]["StatusDetails"]


def test_deleting_a_job_ends_its_evaluation(aws):
    name = train(aws, FOREVER, *RULES)
    until_sampled(aws, name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)
    wait_until(lambda: evaluators(name))[0].suspend()
    aws.sagemaker.delete_training_job(TrainingJobName=name)
    assert evaluators(name) == []
    with pytest.raises(ClientError, match="not found"):
        statuses(aws, name)


# While the job runs


@pytest.fixture
def evaluation(tmp_path, monkeypatch):
    """The evaluation, on a store of its own, of a job of which something was recorded."""
    soon = dataclasses.replace(PROFILER_RULES, delay_s=0.5)
    for module in (rule_statuses, rule_evaluation):
        monkeypatch.setattr(module, "KINDS", (soon,))
    store, bucket, name = Store(tmp_path / "state"), unique("early"), unique("Profiled")
    s3 = S3(store, moto_app=None)
    s3.backend.create_bucket(bucket, "us-east-1")
    (tmp_path / "samples").write_text("{}")
    s3.put_file(f"s3://{bucket}/{name}/profiler-output/system/1.json", tmp_path / "samples")
    request = training_request(
        TrainingJobName=name,
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
        ProfilerConfig={"S3OutputPath": f"s3://{bucket}"},
        ProfilerRuleConfigurations=RULES,
    )
    store.put(
        TRAINING_JOB.stored,
        name,
        job := {**request, **rule_statuses.first(request), "CreationTime": 1.0},
    )
    services = Services(store, s3, None, "http://127.0.0.1:1")
    yield RuleEvaluation(services, job, soon, on_end=lambda evaluation: None)
    store.close()


def test_a_long_job_has_an_evaluator_while_it_runs(evaluation):
    started = time.monotonic()
    evaluation.thread.start()
    wait_until(lambda: evaluators(evaluation.name))
    assert time.monotonic() - started >= 0.5
    description = json.loads((evaluation.folder / "job.json").read_text())
    assert description["TrainingJobName"] == evaluation.name
    for process in evaluators(evaluation.name):
        process.suspend()
    evaluation.services.store.update(
        TRAINING_JOB.stored, evaluation.name, TrainingJobStatus="Completed"
    )
    evaluation.finish()
    description = json.loads((evaluation.folder / "job.json").read_text())
    assert description["TrainingJobStatus"] == "Completed"  # for the last look
    for process in evaluators(evaluation.name):
        process.resume()
    evaluation.abort()
    evaluation.thread.join(timeout=10)
    assert evaluators(evaluation.name) == []


def test_a_report_is_stored_before_it_is_the_last(evaluation):
    store, name = evaluation.services.store, evaluation.name
    told = {"RuleConfigurationName": REPORT, "RuleEvaluationStatus": "InProgress"}
    (folder := evaluation.results / REPORT).mkdir(parents=True)
    (folder / "page.html").write_text("<p>")
    bucket = evaluation.services.s3.backend.buckets[evaluation.source.split("/")[2]]
    for more, expected in (({}, 0), ({"Results": True}, 1)):
        evaluation._take(json.dumps(told | more).encode())
        assert len([key for key in bucket.keys if key.endswith("/page.html")]) == expected
    job = store.get(TRAINING_JOB.stored, name)
    assert rule_statuses.in_progress(job, evaluation.kind)[0] == REPORT


def test_a_description_that_cannot_be_written_stops_nothing(evaluation):
    evaluation._describe()  # its folder is not there
    assert not evaluation.folder.exists()
