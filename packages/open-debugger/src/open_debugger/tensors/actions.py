"""What a rule does when its condition is first met: SageMaker's actions.

The SDKs send them as the rule parameter ``action_json``. smdebug's own `Actions` writes all of it
in lower case, which finds no training job with a capital in its name.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import boto3
from botocore.exceptions import BotoCoreError, ClientError


@dataclass(frozen=True)
class StopTraining:
    """Stop the training job whose name, and no other's, begins with `prefix`."""

    prefix: str

    def invoke(self) -> str:
        """Do it; return a sentence that says what happened."""
        try:
            client = boto3.client("sagemaker", region_name=os.environ.get("AWS_REGION"))
            found = self._in_progress(client)
            if len(found) != 1:
                return (
                    f"No training job was stopped: {len(found)} in progress have names that begin "
                    f"with '{self.prefix}'."
                )
            client.stop_training_job(TrainingJobName=found[0])
        except (BotoCoreError, ClientError) as error:
            return f"The training job '{self.prefix}' could not be stopped: {error}."
        return f"The training job {found[0]} was told to stop."

    def _in_progress(self, client) -> list[str]:
        """The jobs that are meant: the one of just this name, or all that begin with it."""
        pages = client.get_paginator("list_training_jobs").paginate(
            NameContains=self.prefix, StatusEquals="InProgress"
        )
        names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
        if self.prefix in names:
            return [self.prefix]
        return [name for name in names if name.startswith(self.prefix)]


@dataclass(frozen=True)
class Message:
    """An e-mail or a text message: AWS's service sends it by SNS, nothing does here."""

    kind: str
    endpoint: str

    def invoke(self) -> str:
        return f"No {self.kind} was sent to {self.endpoint}: only AWS's own rules send messages."


Action = StopTraining | Message
MESSAGES = {"email": "email", "sms": "SMS"}


class Actions:
    """The actions of one rule, as smdebug's `Rule` invokes them."""

    def __init__(self, text: str) -> None:
        """`text` is JSON: an action, or a list of them.

        Raises:
            ValueError: it is not, or names an action that there is not.
        """
        self.actions, self.notes = parse(text), []

    def invoke(self, message: str = "") -> None:
        """Do all; `notes` tells what happened."""
        self.notes = [action.invoke() for action in self.actions]


def parse(text: str) -> list[Action]:
    """The actions in an ``action_json``, whose quotation marks the SDKs send with a backslash.

    Raises:
        ValueError: it is no JSON, or names an action that there is not.
    """
    if not text.strip():
        return []
    try:
        found = json.loads(text.replace('\\"', '"'))
        return [_action(each) for each in (found if isinstance(found, list) else [found])]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"action_json {text!r} is not a list of actions such as "
            '[{"name": "stoptraining", "training_job_prefix": "..."}]'
        ) from None


def _action(described: dict) -> Action:
    name = described["name"].lower()
    if name == "stoptraining":
        return StopTraining(described["training_job_prefix"])
    if name in MESSAGES:
        return Message(MESSAGES[name], described["endpoint"])
    raise ValueError(f"there is no action '{described['name']}': StopTraining, Email and SMS exist")
