"""What SageMaker says of a training job."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import boto3

from open_debugger.profiler.recording import Job, Phase

CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def describe(name: str, client=None) -> Job:
    """A training job by its name.

    Args:
        client: of SageMaker; by default boto3's.

    Raises:
        botocore.exceptions.ClientError: there is no such job, or it may not be described.
    """
    client = client or boto3.client("sagemaker")
    return from_description(client.describe_training_job(TrainingJobName=name))


def from_description(description: object) -> Job:
    """A training job from what DescribeTrainingJob answered.

    Args:
        description: boto3's dictionary (its times may be text or numbers, as in a saved file), or
            SDK v3's TrainingJob, whose members are in snake case.
    """
    member = _members(description)
    types, count = _instances(_members(member("ResourceConfig") or {}))
    return Job(
        name=str(member("TrainingJobName")),
        status=member("TrainingJobStatus") or "Unknown",
        instance_type=types,
        instances=count,
        created=_seconds(member("CreationTime")),
        started=_seconds(member("TrainingStartTime")),
        ended=_seconds(member("TrainingEndTime")),
        billable_seconds=_number(member("BillableTimeInSeconds")),
        failure=member("FailureReason") or "",
        phases=[_phase(_members(each)) for each in member("SecondaryStatusTransitions") or []],
    )


def _members(holder: object) -> Callable[[str], object]:
    """A look-up by SageMaker's names; None for what is not there, or which v3 has Unassigned."""

    def member(name: str) -> object:
        if isinstance(holder, Mapping):
            return holder.get(name)
        value = getattr(holder, CAPITAL.sub("_", name).lower(), None)
        return None if type(value).__name__ == "Unassigned" else value

    return member


def _instances(resources: Callable[[str], object]) -> tuple[str, int]:
    """The instance type and count; of a cluster of several groups the types, and all of them."""
    groups = [_members(each) for each in resources("InstanceGroups") or []] or [resources]
    types = dict.fromkeys(str(each("InstanceType") or "") for each in groups)
    counts = [each("InstanceCount") for each in groups]
    return ", ".join(types), sum(counts) if all(counts) else 1


def _phase(transition: Callable[[str], object]) -> Phase:
    start = _seconds(transition("StartTime"))
    return Phase(str(transition("Status")), start, _seconds(transition("EndTime")))


def _number(value: object) -> float | None:
    return None if value is None else float(value)


def _seconds(time: object) -> float | None:
    """A time in seconds since the epoch; without a zone it is UTC's, as in SageMaker's answers."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return _number(time)
