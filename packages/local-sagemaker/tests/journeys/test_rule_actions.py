"""`open_debugger`'s StopTraining stops jobs of a real SageMaker API."""

import json

import pytest

from engine_support.clients import unique

FOREVER = "while :; do sleep 0.05; done"


@pytest.fixture
def account(reached, monkeypatch):
    """The engine, where boto3 looks for it: an action is given a region."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return reached


def stop(prefix):
    from open_debugger.tensors import actions  # imports pandas

    (action,) = actions.parse(json.dumps({"name": "stoptraining", "training_job_prefix": prefix}))
    return action.invoke()


def test_the_one_job_that_begins_so_is_stopped(account):
    name = account.train(FOREVER, TrainingJobName=unique("Begins-So"))
    assert stop(name[:-1]) == f"The training job {name} was told to stop."
    assert account.job(name)["TrainingJobStatus"] == "Stopped"
    assert stop(name).startswith("No training job was stopped: 0 in progress")


def test_of_several_jobs_that_begin_so_only_the_one_of_that_name_is_stopped(account):
    name = unique("Twice")
    names = [account.train(FOREVER, TrainingJobName=each) for each in (name, f"{name}-more")]
    said = stop(name[:-1])
    assert said.startswith("No training job was stopped: 2 in progress have names that begin with")
    assert stop(name) == f"The training job {name} was told to stop."
    assert account.job(name)["TrainingJobStatus"] == "Stopped"
    stop(f"{name}-more")
    assert account.job(names[1])["TrainingJobStatus"] == "Stopped"
