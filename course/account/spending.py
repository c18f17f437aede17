"""What the course has spent so far, by the billable seconds of its training jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from course.account.prices import hourly
from course.account.standing import NAME, found, tagged_jobs

NOT_COUNTED = (
    "Not counted: endpoints that are deleted (notebook 04's write-up has theirs), objects in S3, "
    "Studio and notebook instances. The bill in the AWS console is what counts, a day later."
)


class Spent(NamedTuple):
    """What one thing has cost so far.

    Attributes:
        what: the name of a training job, or of an endpoint that stands.
        instance: the type that is billed.
        seconds: billed so far, of all its machines together.
        usd: US dollars; None where the price is not known.
    """

    what: str
    instance: str
    seconds: int
    usd: float | None


def training(sagemaker: Any) -> list[Spent]:
    """The training jobs with the course's tag, those of its searches included, oldest first.

    SageMaker's billable seconds leave out what a spot instance saves.
    """
    return [_billed(job) for job in tagged_jobs(sagemaker)]


def _billed(job: dict) -> Spent:
    resources = job["ResourceConfig"]
    machines = resources.get("InstanceGroups") or [resources]
    seconds = job.get("BillableTimeInSeconds", 0)
    try:
        rate = sum(each["InstanceCount"] * hourly(each["InstanceType"]) for each in machines)
        usd = seconds / 3600 * rate
    except ValueError:
        usd = None
    kinds = ", ".join(each["InstanceType"] for each in machines)
    total = seconds * sum(each["InstanceCount"] for each in machines)
    return Spent(job["TrainingJobName"], kinds, total, usd)


def endpoints(sagemaker: Any, now: datetime | None = None) -> list[Spent]:
    """The course's endpoints that stand, since they were made."""
    now = now or datetime.now(UTC)
    rows = []
    for each in found(sagemaker, ("endpoint",)):
        if each.ours:
            seconds = round((now - each.created).total_seconds())
            usd = None if each.hourly is None else seconds / 3600 * each.hourly
            rows.append(Spent(each.name, "endpoint", seconds, usd))
    return rows


def told(sagemaker: Any, local: bool = False) -> str:
    """A table of all that was spent, and the sum; in local mode what was free.

    Args:
        local: the jobs ran on this machine.
    """
    rows = [*training(sagemaker), *endpoints(sagemaker)]
    if not rows:
        return f"nothing of {NAME} has run here"
    width = max(len(row.what) for row in rows)
    lines = [
        f"{row.what:<{width + 2}}{row.instance:<18}{row.seconds:>7} s  {_dollars(row, local)}"
        for row in rows
    ]
    seconds = sum(row.seconds for row in rows)
    if local:
        return "\n".join([*lines, f"{seconds} seconds in all, free: they ran on this machine"])
    total = f"{seconds} seconds in all: {sum(row.usd or 0 for row in rows):.2f} USD"
    unknown = "" if all(row.usd is not None for row in rows) else ", unknown prices aside"
    return "\n".join([*lines, total + unknown, NOT_COUNTED])


def _dollars(row: Spent, local: bool) -> str:
    if local:
        return "free"
    return "price not known" if row.usd is None else f"{row.usd:.2f} USD"
