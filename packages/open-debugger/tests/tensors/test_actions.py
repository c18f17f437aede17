"""`tensors/actions.py`: what rules do when they fire."""

import json

import pytest
from smdebug_rulesconfig import SMS, ActionList, Email, StopTraining

from open_debugger.tensors import actions


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


def test_without_an_account_it_says_so(monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    action = {"name": "stoptraining", "training_job_prefix": "anything"}
    done = actions.Actions(json.dumps(action))
    done.invoke()
    (said,) = done.notes
    assert said.startswith("The training job 'anything' could not be stopped: Could not connect")


def test_messages_are_not_sent_and_that_is_said():
    done = actions.Actions(Email("me@example.org").serialize())
    done.invoke()
    assert done.notes == [
        "No email was sent to me@example.org: only AWS's own rules send messages."
    ]
