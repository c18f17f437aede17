"""The rules of a job: evaluated while it runs, each with its own end, in a process of theirs."""

import subprocess
import sys

import psutil
import pytest
from conftest import BUCKET, unique, wait_until
from test_rule_statuses import HOOK, rule

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


VANISHING, NOT_DECREASING = built_in("VanishingGradient"), built_in("LossNotDecreasing")
FOREVER = "while :; do sleep 0.05; done"


def train(aws, command, *rules):
    members = {"DebugHookConfig": HOOK, "DebugRuleConfigurations": list(rules)}
    return aws.train(command, TrainingJobName=unique("Job"), **members)


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


def evaluators(aws, name):
    """The live processes of a job's evaluator, its supervisors among them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        of_job = f"/{name}/debug-output" in words or f"/rules/{name}/" in words
        if of_job and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def evaluator(aws, name):
    """The process that evaluates, once it is there."""

    def the_one():
        found = evaluators(aws, name)
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
    assert evaluators(aws, name) == []


def test_a_job_that_was_stopped_before_it_saved_anything(aws):
    name = train(aws, FOREVER, VANISHING)
    assert verdicts(statuses(aws, name)) == {"VanishingGradient": "InProgress"}
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert "saved no tensors" in ends(aws, name)["VanishingGradient"]["StatusDetails"]


# Verdicts


def test_each_rule_has_its_own_end(aws, trials):
    rules = [VANISHING, built_in("VanishingGradient", "strict", threshold="1e-30")]
    rules += [built_in("NoSuchRule"), built_in("VanishingGradient", "odd", threshold="much")]
    name = train(aws, trials[ILL], *rules)
    found = ends(aws, name)
    assert verdicts(found) == {
        "VanishingGradient": "IssuesFound",
        "strict": "NoIssuesFound",
        "NoSuchRule": "Error",
        "odd": "Error",
    }
    assert "there is no rule 'NoSuchRule'" in found["NoSuchRule"]["StatusDetails"]
    assert "threshold 'much' is not a number" in found["odd"]["StatusDetails"]
    assert "threshold 1e-07" in found["VanishingGradient"]["StatusDetails"]


def test_a_healthy_job_has_no_issues(aws, trials):
    found = ends(aws, train(aws, trials[WELL], VANISHING))
    assert verdicts(found) == {"VanishingGradient": "NoIssuesFound"}
