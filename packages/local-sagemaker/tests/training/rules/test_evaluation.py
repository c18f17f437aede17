"""The rules of a job: evaluated while it runs, each with its own end, in a process of theirs."""

import json
import os

import psutil
import pytest
from botocore.exceptions import ClientError
from smdebug_rulesconfig import ActionList, Email, StopTraining

from debugger_support.processes import wait_until
from engine_support.clients import (
    BUCKET,
    ECR,
    Clients,
    running_engine,
    training_request,
    unique,
)
from engine_support.rules import HOOK, IMAGE, rule
from engine_support.shared_files import shared_folder
from local_sagemaker import daemon
from local_sagemaker.aws.s3.service import S3
from local_sagemaker.aws.services import Services
from local_sagemaker.client.environment import aws_variables
from local_sagemaker.core import access_key
from local_sagemaker.core.kinds import TRAINING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.training.rules import evaluation as rule_evaluation
from local_sagemaker.training.rules import statuses as rule_statuses
from local_sagemaker.training.rules.evaluation import RuleEvaluations
from local_sagemaker.training.rules.kinds import KINDS, TENSOR_RULES

ILL, WELL = 1e-12, 0.1  # gradients
CUSTOM = """
import atexit
from smdebug.rules.rule import Rule

class Large(Rule):
    def __init__(self, base_trial, threshold=10.0):
        super().__init__(base_trial)
        self.threshold = float(threshold)

    def invoke_at_step(self, step):
        status = '{"RuleConfigurationName": "never", "RuleEvaluationStatus": "Error"}'
        atexit.register(print, status)
        return self.base_trial.tensor("gradient/fc.weight").value(step).max() > self.threshold
"""


@pytest.fixture(scope="module")
def trials():
    """Commands of jobs that save twelve steps of gradients."""
    from debugger_support.saved_tensors import SavedTensors  # imports torch

    folder = shared_folder()
    for size in (ILL, WELL):
        tensors = SavedTensors(folder / str(size))
        for step in range(12):
            tensors.save({"gradient/fc.weight": [size, -size * step]})
    save = "mkdir -p /opt/ml/output; cp -r {} /opt/ml/output/tensors;"
    return {size: save.format(folder / str(size)) for size in (ILL, WELL)}


def built_in(rule_to_invoke, name=None, **parameters):
    parameters = {"rule_to_invoke": rule_to_invoke, **parameters}
    return rule(name or rule_to_invoke, RuleParameters=parameters)


VANISHING = built_in("VanishingGradient")
NEVER = built_in("VanishingGradient", "never", threshold="1e-30")
FOREVER = "while :; do sleep 0.05; done"


def train(aws, command, *rules, name=None, **members):
    members |= {"DebugHookConfig": HOOK, "DebugRuleConfigurations": list(rules)}
    members["StoppingCondition"] = {"MaxRuntimeInSeconds": 900}
    return aws.train(command, TrainingJobName=name or unique("Job"), **members)


def statuses(aws, name):
    described = aws.sagemaker.describe_training_job(TrainingJobName=name)
    return {
        status["RuleConfigurationName"]: status
        for status in described["DebugRuleEvaluationStatuses"]
    }


def is_over(aws, name):
    found = statuses(aws, name)
    return all(each["RuleEvaluationStatus"] != "InProgress" for each in found.values()) and found


def ends(aws, name):
    """The statuses of a job's rules once they are final."""
    return wait_until(lambda: is_over(aws, name), 90)


def verdicts(found):
    print(found)
    return {name: status["RuleEvaluationStatus"] for name, status in found.items()}


def evaluators(name):
    """The live processes of a job's evaluator, its supervisors among them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        of_job = f"/{name}/debug-output" in words or f"EvaluationStatuses/{name}/" in words
        if of_job and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def evaluator(name):
    """The process that evaluates, once it is there."""

    def the_one():
        found = evaluators(name)
        program = "open_debugger.beside_job.tensors"
        return [each for each in found if program in " ".join(each.cmdline())]

    return wait_until(the_one)[-1]


# Nothing to evaluate


@pytest.mark.parametrize("command", ["true", "exit 1"])
def test_a_job_that_saved_nothing(aws, command):
    name = train(aws, command, VANISHING, built_in("Overfit", "second"))
    found = ends(aws, name)
    assert verdicts(found) == {"VanishingGradient": "Error", "second": "Error"}
    text = f"The training job saved no tensors below s3://{BUCKET}/tensors/{name}/debug-output"
    assert text in found["second"]["StatusDetails"]
    assert evaluators(name) == []


def test_a_job_that_was_stopped_before_it_saved_anything(aws):
    name = train(aws, FOREVER, VANISHING)
    assert verdicts(statuses(aws, name)) == {"VanishingGradient": "InProgress"}
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert "saved no tensors" in ends(aws, name)["VanishingGradient"]["StatusDetails"]


# Verdicts


UNTOUCHED = """
import torch, torch.nn.functional as F
network = torch.nn.Linear(4, 3)
for _ in range(12):
    F.nll_loss(network(torch.ones(2, 4)), torch.tensor([0, 1])).backward()
"""


def test_a_script_that_knows_nothing_of_debugger_is_judged_in_an_old_image(aws):
    losses = {"CollectionName": "losses", "CollectionParameters": {"save_interval": "1"}}
    request = training_request(TrainingJobName=unique("Untouched"))
    request["AlgorithmSpecification"] |= {
        "TrainingImage": f"{ECR}/pytorch-training:1.8.1-cpu-py36-ubuntu18.04",
        "ContainerEntrypoint": ["python", "-c", UNTOUCHED],
    }
    request["DebugHookConfig"] = {**HOOK, "CollectionConfigurations": [losses]}
    request["DebugRuleConfigurations"] = [built_in("LossNotDecreasing", num_steps="5")]
    aws.sagemaker.create_training_job(**request)
    found = ends(aws, request["TrainingJobName"])["LossNotDecreasing"]
    assert found["RuleEvaluationStatus"] == "IssuesFound", found
    assert "nll_loss_output_0" in found["StatusDetails"]


@pytest.fixture(scope="module")
def job(aws, trials):
    """The name of a job whose rules have ended, each in its way, and their statuses."""
    key = f"{unique('rules')}/my_rules.py"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=CUSTOM.encode())
    own = {"source_s3_uri": f"s3://{BUCKET}/{key}", "threshold": "1e-13"}
    image = IMAGE.replace("debugger-rules", "debugger-rule-evaluator")
    rules = [
        VANISHING,
        NEVER | {"S3OutputPath": f"s3://{BUCKET}/of-my-own/"},
        built_in("VanishingGradient", "lost") | {"S3OutputPath": "s3://no-such-bucket/results"},
        built_in("NoSuchRule"),
        built_in("../../stray", "stray"),
        built_in("VanishingGradient", "odd", threshold="much"),
        built_in("Large", "mine", **own) | {"RuleEvaluatorImage": image},
    ]
    name = train(aws, trials[ILL], *rules)
    assert aws.job(name)["TrainingJobStatus"] == "Completed"
    # What is looked at as soon as they have ended may not come later.
    return name, ends(aws, name), aws.keys("", BUCKET)


def test_each_rule_has_its_own_end(job):
    _, found, _ = job
    assert verdicts(found) == {
        "VanishingGradient": "IssuesFound",
        "never": "NoIssuesFound",
        "lost": "IssuesFound",
        "NoSuchRule": "Error",
        "stray": "Error",
        "odd": "Error",
        "mine": "IssuesFound",
    }
    awss, ours = found["VanishingGradient"]["StatusDetails"].split("\n")
    assert awss == (
        "RuleEvaluationConditionMet: Evaluation of the rule VanishingGradient at step 0 resulted "
        "in the condition being met"
    )
    assert "threshold 1e-07" in ours
    assert "there is no rule 'NoSuchRule'" in found["NoSuchRule"]["StatusDetails"]
    assert "threshold 'much' is not a number" in found["odd"]["StatusDetails"]
    assert "Evaluation of the rule Large at step 0 resulted" in found["mine"]["StatusDetails"]


def test_results_are_on_s3_with_the_verdict(aws, job):
    name, _, keys = job
    place = f"out/{name}/rule-output/"
    assert [key.removeprefix(place) for key in keys if key.startswith(place)] == [
        "NoSuchRule/NoSuchRule.json",
        "VanishingGradient/VanishingGradient.json",
        "mine/Large.json",
        "odd/VanishingGradient.json",
        "stray/rule.json",
    ]
    assert f"of-my-own/{name}/rule-output/never/VanishingGradient.json" in keys
    place += "VanishingGradient/VanishingGradient.json"
    report = json.loads(aws.s3.get_object(Bucket=BUCKET, Key=place)["Body"].read())
    assert report["Details"]["Status"] == "IssuesFound"
    assert report["Violations"] == 12


def test_the_self_hosted_call_gives_equal_verdicts(aws, monkeypatch):
    from debugger_support.saved_tensors import LOSS, SavedTensors
    from open_debugger import RULES, evaluate

    folder = shared_folder() / "tensors"
    tensors = SavedTensors(folder)
    for step in range(24):
        weight = [[0.5, -0.5 + 0.01 * step], [0.1, 0.2]]
        loss = 2.0 - 0.05 * step + 0.3 * (step % 3)
        saved = {LOSS: loss, "fc.weight": weight, "gradient/fc.weight": [[ILL, -ILL], [0, ILL]]}
        tensors.save(saved)
        if step % 4 == 3:
            tensors.losses(1.5 + 0.1 * step, mode="EVAL")
    rules = [built_in(name) for name in sorted(RULES)]
    name = train(aws, f"mkdir -p /opt/ml/output; cp -r {folder} /opt/ml/output/tensors", *rules)
    found = ends(aws, name)
    managed = {rule: (s["RuleEvaluationStatus"], s["StatusDetails"]) for rule, s in found.items()}
    assert {status for status, _ in managed.values()} == {"NoIssuesFound", "IssuesFound", "Error"}
    for variable, value in aws_variables(aws.url, aws.key).items():
        monkeypatch.setenv(variable, value)
    for place in (f"s3://{BUCKET}/tensors/{name}/debug-output", folder):
        results = evaluate(place, rules)
        assert {each.name: (each.status, each.status_details) for each in results} == managed
        for each in results:
            key = f"out/{name}/rule-output/{each.name}/{each.rule}.json"
            report = json.loads(aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
            assert report["Details"]["Verdicts"] == [vars(verdict) for verdict in each.verdicts]


def test_results_that_cannot_be_stored_leave_the_verdict(job):
    _, found, _ = job
    text = "could not be stored at s3://no-such-bucket/results/"
    assert text in found["lost"]["StatusDetails"]


def test_nothing_of_an_evaluation_stays(aws, job):
    name, found, _ = job
    wait_until(lambda: not evaluators(name))
    wait_until(lambda: not list((aws.state / "rules").glob(f"*/{name}")))
    assert statuses(aws, name) == found  # what a rule printed as well was no status


# While the job runs


@pytest.fixture(scope="module")
def under_way(aws, trials):
    """The name of a job that runs on after a rule has found an issue; the last of its tests kills
    its evaluator."""
    name = train(aws, trials[ILL] + FOREVER, VANISHING, NEVER)
    wait_until(lambda: "IssuesFound" in verdicts(statuses(aws, name)).values(), 60)
    yield name
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    ends(aws, name)


def test_an_issue_is_told_while_the_job_runs(aws, under_way):
    expected = {"VanishingGradient": "IssuesFound", "never": "InProgress"}
    assert verdicts(statuses(aws, under_way)) == expected
    described = aws.sagemaker.describe_training_job(TrainingJobName=under_way)
    assert described["TrainingJobStatus"] == "InProgress"


def test_an_evaluator_has_the_engines_key_only_and_listens_nowhere(aws, under_way):
    process = evaluator(under_way)
    environment = process.environ()
    keys = {key: value for key, value in environment.items() if "KEY" in key}
    assert keys == aws.key.variables()
    assert environment["AWS_ENDPOINT_URL"] == aws.url
    assert environment["HOME"] != os.environ.get("HOME")
    assert not set(environment) & {"PYTEST_CURRENT_TEST", "PYTHONPATH"}
    assert [each for each in process.net_connections() if each.status == "LISTEN"] == []


def test_an_evaluator_that_is_killed_leaves_errors_with_a_reason(aws, under_way):
    evaluator(under_way).kill()
    found = wait_until(lambda: is_over(aws, under_way), 20)
    assert verdicts(found) == {"VanishingGradient": "IssuesFound", "never": "Error"}
    assert "the evaluator ended with exit code 137" in found["never"]["StatusDetails"]
    described = aws.sagemaker.describe_training_job(TrainingJobName=under_way)
    assert described["TrainingJobStatus"] == "InProgress"


def test_the_action_of_a_rule_that_fires_stops_its_job(aws, trials):
    name = unique("Job")
    asked = ActionList(StopTraining(), Email("me@example.org"))
    asked.update_training_job_prefix_if_not_specified(name)  # as the SDKs do
    acting = built_in("VanishingGradient", action_json=asked.serialize())
    still = built_in("VanishingGradient", "still", threshold="1e-30", action_json=asked.serialize())
    train(aws, trials[ILL] + FOREVER, acting, still, name=name)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    found = ends(aws, name)
    assert verdicts(found) == {"VanishingGradient": "IssuesFound", "still": "NoIssuesFound"}
    details = found["VanishingGradient"]["StatusDetails"]
    assert f"The training job {name} was told to stop." in details
    assert "No email was sent to me@example.org" in details


# The process


@pytest.fixture(scope="module")
def stopped(aws, trials):
    """The names of two jobs that were stopped while their evaluators were suspended."""
    names = [train(aws, trials[WELL] + FOREVER, VANISHING) for _ in range(2)]
    for name in names:
        evaluator(name).suspend()
        aws.sagemaker.stop_training_job(TrainingJobName=name)
    return names


def test_a_job_does_not_wait_for_its_evaluator(aws, stopped):
    name = stopped[0]
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    assert verdicts(statuses(aws, name)) == {"VanishingGradient": "InProgress"}
    evaluator(name).resume()
    assert verdicts(ends(aws, name)) == {"VanishingGradient": "NoIssuesFound"}


def test_deleting_a_job_ends_its_evaluator(aws, stopped):
    name = stopped[1]
    aws.job(name)
    assert evaluators(name)
    aws.sagemaker.delete_training_job(TrainingJobName=name)
    assert evaluators(name) == []
    with pytest.raises(ClientError, match="not found"):
        statuses(aws, name)


def test_an_evaluator_that_never_ends_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(rule_evaluation, "LIMIT_S", 0.3)
    store, bucket, name = Store(tmp_path / "state"), unique("hanging"), unique("Job")
    s3 = S3(store, moto_app=None)
    s3.backend.create_bucket(bucket, "us-east-1")
    (tmp_path / "saved").write_text("anything")
    s3.put_file(f"s3://{bucket}/{name}/debug-output/collections", tmp_path / "saved")
    hook = {"S3OutputPath": f"s3://{bucket}"}
    request = training_request(
        TrainingJobName=name, DebugHookConfig=hook, DebugRuleConfigurations=[VANISHING]
    )
    job = {**request, **rule_statuses.first(request), "CreationTime": 1.0}
    store.put(TRAINING_JOB.stored, name, job)
    evaluations = RuleEvaluations(Services(store, s3, None, "http://127.0.0.1:1"))
    evaluations.begin(job)
    evaluator(name).suspend()
    assert evaluations.busy()
    evaluations.job_ended(name)
    wait_until(lambda: not evaluations.busy())
    (found,) = store.get(TRAINING_JOB.stored, name)[TENSOR_RULES.statuses]
    assert found["RuleEvaluationStatus"] == "Error"
    assert "took more than 0.3 s after the training job's end" in found["StatusDetails"]
    assert evaluators(name) == []
    store.close()


# The engine's end


def test_rules_that_were_being_evaluated_when_the_engine_ended(tmp_path, trials):
    with running_engine(tmp_path / "state") as mine:
        mine.s3.create_bucket(Bucket=BUCKET)
        profiled = {"ProfilerConfig": {"S3OutputPath": f"s3://{BUCKET}/profiles"}}
        profiled["ProfilerRuleConfigurations"] = [built_in("ProfilerReport")]
        names = [train(mine, trials[WELL] + FOREVER, VANISHING, **profiled) for _ in range(2)]
        for name in names:
            evaluator(name).suspend()
        stopped, running = names
        mine.sagemaker.stop_training_job(TrainingJobName=stopped)
        mine.job(stopped)
        mine.process.terminate()
        mine.process.wait(timeout=30)
        wait_until(lambda: not evaluators(stopped) and not evaluators(running), 5)
    with running_engine(tmp_path / "state") as mine:
        for name, status in ((stopped, "Stopped"), (running, "Failed")):
            job = mine.job(name)
            assert job["TrainingJobStatus"] == status
            for kind in KINDS:
                (found,) = job[kind.statuses]
                assert found["RuleEvaluationStatus"] == "Error"
                assert "the local engine stopped while the rule" in found["StatusDetails"]
        assert not (mine.state / "rules").exists()


@pytest.mark.slow  # test_server has the idle engine, the tests above when evaluations are busy
def test_an_idle_engine_ends_only_after_its_evaluators(tmp_path, trials):
    state = tmp_path / "state"
    process = daemon.start(state, idle_s=3)
    mine = Clients(daemon.find(state).url, access_key.read(state))
    mine.s3.create_bucket(Bucket=BUCKET)
    name = train(mine, trials[ILL], VANISHING)
    process.wait(timeout=60)  # nobody asks anything meanwhile
    store = Store(state)
    (found,) = store.get(TRAINING_JOB.stored, name)[TENSOR_RULES.statuses]
    store.close()
    assert found["RuleEvaluationStatus"] == "IssuesFound"
