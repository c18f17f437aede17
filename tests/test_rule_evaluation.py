"""The rules of a job: evaluated while it runs, each with its own end, in a process of theirs."""

import json
import os
import subprocess
import sys

import psutil
import pytest
from botocore.exceptions import ClientError
from conftest import BUCKET, Clients, running_engine, unique, wait_until
from smdebug_rulesconfig import ActionList, Email, StopTraining
from test_rule_statuses import HOOK, rule

from local_sagemaker import engine

ILL, WELL = 1e-12, 1.0  # factors of the loss, and so of the gradients
# A network of two layers saves its gradients and losses in each of twelve steps.
TRAIN = """\
import sys
import torch
import smdebug.pytorch as smd
for folder, factor in zip(sys.argv[1::2], map(float, sys.argv[2::2])):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    loss_function = torch.nn.CrossEntropyLoss()
    often = smd.SaveConfig(save_interval=1)
    hook = smd.Hook(folder, save_config=often, include_collections=["gradients", "losses"])
    hook.register_module(network)
    hook.register_loss(loss_function)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    pictures, labels = torch.randn(8, 4), torch.randint(0, 2, (8,))
    for step in range(12):
        optimizer.zero_grad()
        (loss_function(network(pictures), labels) * factor).backward()
        optimizer.step()
    hook.close()
"""


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """Commands of jobs that save, in no time, what `TRAIN` once saved."""
    folder = tmp_path_factory.mktemp("trials")
    places = {factor: folder / str(factor) for factor in (ILL, WELL)}
    words = [str(word) for factor, place in places.items() for word in (place, factor)]
    subprocess.run([sys.executable, "-c", TRAIN, *words], check=True, capture_output=True)
    save = "mkdir -p /opt/ml/output; cp -r {} /opt/ml/output/tensors;"
    return {factor: save.format(place) for factor, place in places.items()}


def built_in(rule_to_invoke, name=None, **parameters):
    parameters = {"rule_to_invoke": rule_to_invoke, **parameters}
    return rule(name or rule_to_invoke, RuleParameters=parameters)


VANISHING = built_in("VanishingGradient")
NEVER = built_in("VanishingGradient", "never", threshold="1e-30")
FOREVER = "while :; do sleep 0.05; done"


def train(aws, command, *rules, name=None):
    members = {"DebugHookConfig": HOOK, "DebugRuleConfigurations": list(rules)}
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
        of_job = f"/{name}/debug-output" in words or f"/rules/{name}/" in words
        if of_job and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def evaluator(name):
    """The process that evaluates, once it is there."""

    def the_one():
        found = evaluators(name)
        return [each for each in found if "open_debugger.evaluator" in " ".join(each.cmdline())]

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


def test_each_rule_has_its_own_end(aws, trials):
    odd = built_in("VanishingGradient", "odd", threshold="much")
    name = train(aws, trials[ILL], VANISHING, NEVER, built_in("NoSuchRule"), odd)
    found = ends(aws, name)
    assert verdicts(found) == {
        "VanishingGradient": "IssuesFound",
        "never": "NoIssuesFound",
        "NoSuchRule": "Error",
        "odd": "Error",
    }
    assert "there is no rule 'NoSuchRule'" in found["NoSuchRule"]["StatusDetails"]
    assert "threshold 'much' is not a number" in found["odd"]["StatusDetails"]
    assert "threshold 1e-07" in found["VanishingGradient"]["StatusDetails"]


def test_a_healthy_job_has_no_issues(aws, trials):
    found = ends(aws, train(aws, trials[WELL], VANISHING))
    assert verdicts(found) == {"VanishingGradient": "NoIssuesFound"}


def test_an_issue_is_told_while_the_job_runs(aws, trials):
    name = train(aws, trials[ILL] + FOREVER, VANISHING, NEVER)

    def found():
        now = verdicts(statuses(aws, name))
        return now if now["VanishingGradient"] != "InProgress" else None

    assert wait_until(found, 60) == {"VanishingGradient": "IssuesFound", "never": "InProgress"}
    described = aws.sagemaker.describe_training_job(TrainingJobName=name)
    assert described["TrainingJobStatus"] == "InProgress"
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    # What was saved by then is looked at, and no process stays.
    expected = {"VanishingGradient": "IssuesFound", "never": "NoIssuesFound"}
    assert verdicts(ends(aws, name)) == expected
    wait_until(lambda: not evaluators(name))


def test_results_are_on_s3_with_the_verdict(aws, trials):
    own = NEVER | {"S3OutputPath": f"s3://{BUCKET}/of-my-own/"}
    name = train(aws, trials[ILL], VANISHING, own)
    assert is_over(aws, name) is False  # else the objects might have come later
    ends(aws, name)
    place = f"out/{name}/rule-output/VanishingGradient/VanishingGradient.json"
    assert aws.keys(f"out/{name}/rule-output/") == [place]
    report = json.loads(aws.s3.get_object(Bucket=BUCKET, Key=place)["Body"].read())
    assert report["Violations"] > 1
    assert report["Details"]["Status"] == "IssuesFound"
    place = f"of-my-own/{name}/rule-output/never/VanishingGradient.json"
    assert aws.keys(f"of-my-own/{name}/") == [place]


def test_results_that_cannot_be_stored_leave_the_verdict(aws, trials):
    nowhere = VANISHING | {"S3OutputPath": "s3://no-such-bucket/results"}
    found = ends(aws, train(aws, trials[ILL], nowhere))["VanishingGradient"]
    assert found["RuleEvaluationStatus"] == "IssuesFound"
    assert "could not be stored at s3://no-such-bucket/results/" in found["StatusDetails"]


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


def test_a_job_does_not_wait_for_its_evaluator(aws, trials):
    name = train(aws, trials[WELL] + FOREVER, VANISHING)
    process = evaluator(name)
    process.suspend()
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    assert verdicts(statuses(aws, name)) == {"VanishingGradient": "InProgress"}
    process.resume()
    assert verdicts(ends(aws, name)) == {"VanishingGradient": "NoIssuesFound"}


def test_an_evaluator_has_dummy_keys_only_and_listens_nowhere(aws, trials):
    name = train(aws, trials[WELL] + FOREVER, VANISHING)
    wait_until(lambda: statuses(aws, name)["VanishingGradient"].get("StatusDetails"), 60)
    process = evaluator(name)
    environment = process.environ()
    keys = {key: value for key, value in environment.items() if "KEY" in key}
    assert keys == {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    assert environment["AWS_ENDPOINT_URL"] == aws.url
    assert environment["HOME"] != os.environ.get("HOME")
    assert not set(environment) & {"PYTEST_CURRENT_TEST", "PYTHONPATH"}
    assert [each for each in process.net_connections() if each.status == "LISTEN"] == []
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    ends(aws, name)


def test_an_evaluator_that_is_killed_leaves_errors_with_a_reason(aws, trials):
    name = train(aws, trials[ILL] + FOREVER, VANISHING, NEVER)
    wait_until(lambda: "IssuesFound" in verdicts(statuses(aws, name)).values(), 60)
    evaluator(name).kill()
    found = wait_until(lambda: is_over(aws, name), 20)
    assert verdicts(found) == {"VanishingGradient": "IssuesFound", "never": "Error"}
    assert "the evaluator ended with exit code 137" in found["never"]["StatusDetails"]
    assert (
        aws.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
        == "InProgress"
    )
    aws.sagemaker.stop_training_job(TrainingJobName=name)


def test_deleting_a_job_ends_its_evaluator(aws, trials):
    name = train(aws, trials[WELL] + FOREVER, VANISHING)
    process = evaluator(name)
    process.suspend()
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)
    aws.sagemaker.delete_training_job(TrainingJobName=name)
    assert evaluators(name) == []
    with pytest.raises(ClientError, match="not found"):
        statuses(aws, name)


# The engine's end


@pytest.fixture
def two_jobs(tmp_path, trials):
    """Makes an engine with a running job and one that has ended, both with suspended evaluators."""

    def start(aws):
        aws.s3.create_bucket(Bucket=BUCKET)
        names = [train(aws, trials[WELL] + FOREVER, VANISHING) for _ in range(2)]
        for name in names:
            evaluator(name).suspend()
        aws.sagemaker.stop_training_job(TrainingJobName=names[1])
        aws.job(names[1])
        return names

    return start


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_rules_that_were_being_evaluated_when_the_engine_ended(tmp_path, two_jobs, how):
    with running_engine(tmp_path / "state") as mine:
        names = two_jobs(mine)
        getattr(mine.process, how)()
        mine.process.wait(timeout=30)
        wait_until(lambda: not any(map(evaluators, names)), 5)
    with running_engine(tmp_path / "state") as mine:
        for name in names:
            (found,) = statuses(mine, name).values()
            assert found["RuleEvaluationStatus"] == "Error"
            assert "the local engine stopped while the rule" in found["StatusDetails"]
        assert mine.job(names[1])["TrainingJobStatus"] == "Stopped"
        assert not (mine.state / "rules").exists()


def test_an_idle_engine_ends_only_after_its_evaluators(tmp_path, trials):
    state = tmp_path / "state"
    process = engine.start(state, idle_s=0.5)
    mine = Clients(engine.find(state).url)
    mine.s3.create_bucket(Bucket=BUCKET)
    name = train(mine, trials[ILL], VANISHING)
    process.wait(timeout=60)  # nobody asks anything meanwhile
    with running_engine(state) as mine:
        assert verdicts(statuses(mine, name)) == {"VanishingGradient": "IssuesFound"}
