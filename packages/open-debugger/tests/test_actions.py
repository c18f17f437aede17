"""What rules do when they fire, against a real SageMaker API."""

import json

import pytest
from smdebug_rulesconfig import SMS, ActionList, Email, StopTraining

from engine_support.clients import unique
from open_debugger import actions

FOREVER = "while :; do sleep 0.05; done"


@pytest.fixture
def account(aws, monkeypatch):
    """The engine, where boto3 looks for it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return aws


def stop(prefix):
    (action,) = actions.parse(json.dumps({"name": "stoptraining", "training_job_prefix": prefix}))
    return action.invoke()


def test_actions_as_the_sdks_send_them():
    asked = ActionList(StopTraining(), Email("me@example.org"), SMS("+15550100"))
    asked.update_training_job_prefix_if_not_specified("My-Job")
    assert actions.parse(asked.serialize()) == [
        actions.StopTraining("My-Job"),
        actions.Message("email", "me@example.org"),
        actions.Message("SMS", "+15550100"),
    ]
    one = StopTraining("My-")
    assert actions.parse(one.serialize()) == [actions.StopTraining("My-")]
    assert actions.parse(" ") == []


@pytest.mark.parametrize("text", ["stop", "3", "[[]]", '{"name": "stoptraining"}', '{"name": 3}'])
def test_what_is_no_action_is_repeated_in_the_error(text):
    with pytest.raises(ValueError, match="is not a list of actions such as"):
        actions.parse(text)


def test_an_action_that_there_is_not():
    with pytest.raises(ValueError, match="there is no action 'Shout': StopTraining, Email and SMS"):
        actions.parse('{"name": "Shout"}')


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


def test_without_an_account_it_says_so(account, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said = stop("anything")
    assert said.startswith("The training job 'anything' could not be stopped: Could not connect")


def test_messages_are_not_sent_and_that_is_said():
    done = actions.Actions(Email("me@example.org").serialize())
    done.invoke()
    assert done.notes == [
        "No email was sent to me@example.org: only AWS's own rules send messages."
    ]
