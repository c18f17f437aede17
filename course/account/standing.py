"""What stands in a region: endpoints, their parts, running jobs, and which of it the course made.

The course's own is what has its tag, project=dog-breeds, which the lessons set on every job, model,
configuration and endpoint. A name like the course's makes nothing the course's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from course.account.prices import HOURS_A_MONTH, hourly
from course.account.rights import DENIED

NAME = "dog-breeds"
TAG = {"Key": "project", "Value": NAME}
CHANGING = {"Creating", "Updating", "SystemUpdating", "RollingBack"}  # not to be deleted meanwhile
ORDER = {"SortBy": "CreationTime", "SortOrder": "Ascending"}
# How each kind is listed: operation, member of the answer, prefix of its members' names.
KINDS = {
    "tuning job": (
        "list_hyper_parameter_tuning_jobs",
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJob",
    ),
    "training job": ("list_training_jobs", "TrainingJobSummaries", "TrainingJob"),
    "endpoint": ("list_endpoints", "Endpoints", "Endpoint"),
    "configuration": ("list_endpoint_configs", "EndpointConfigs", "EndpointConfig"),
    "model": ("list_models", "Models", "Model"),
    "processing job": ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJob"),
    "notebook instance": ("list_notebook_instances", "NotebookInstances", "NotebookInstance"),
}
COSTLY = ("tuning job", "training job", "processing job", "endpoint", "notebook instance")
FREE = ("configuration", "model")  # kept for nothing; the course's own are asked for by name


@dataclass(frozen=True)
class Standing:
    """One thing that stands in the region.

    Attributes:
        kind: a key of `KINDS`, or one of Studio's (`course.account.studio`).
        status: SageMaker's; empty for what has none.
        ours: whether it has the course's tag.
        hourly: US dollars an hour; None where the price is not known.
    """

    kind: str
    name: str
    arn: str
    status: str
    created: datetime
    ours: bool
    hourly: float | None

    @property
    def monthly(self) -> float | None:
        """US dollars in a month of 730 hours; None where the price is not known."""
        return None if self.hourly is None else self.hourly * HOURS_A_MONTH


def found(sagemaker: Any, kinds: tuple[str, ...] = (*COSTLY, *FREE)) -> list[Standing]:
    """All that costs money in the region, whoever made it, and what the course made besides.

    What the caller may not list is left out, unless it may list none of it.

    Raises:
        ClientError: nothing at all may be listed.
    """
    from botocore.exceptions import ClientError

    made: list[Standing] = []
    refusals = []
    for kind in kinds:
        try:
            made += _of_kind(sagemaker, kind)
        except ClientError as error:
            refusals.append(error)
            if not is_denied(error) or len(refusals) == len(kinds):
                raise
    return made


def is_denied(error: Any) -> bool:
    """Whether the caller may not ask. What the local engine does not know does not stand there."""
    return error.response["Error"]["Code"] in DENIED | {"UnknownOperationException"}


def _of_kind(sagemaker: Any, kind: str) -> Iterator[Standing]:
    operation, member, prefix = KINDS[kind]
    asked = dict(ORDER)
    if kind.endswith(" job"):
        asked["StatusEquals"] = "InProgress"
    if kind in FREE:
        asked["NameContains"] = NAME
    pages = sagemaker.get_paginator(operation).paginate(**asked)
    for item in (item for page in pages for item in page[member]):
        name, arn = item[f"{prefix}Name"], item[f"{prefix}Arn"]
        ours = is_ours(sagemaker, arn)
        if ours or kind in COSTLY:
            price = _price(sagemaker, kind, name, item)
            status = item.get(f"{prefix}Status", "")
            yield Standing(kind, name, arn, status, item["CreationTime"], ours, price)


def is_ours(sagemaker: Any, arn: str) -> bool:
    """Whether a resource has the course's tag; what we may not ask about is not ours."""
    from botocore.exceptions import ClientError

    try:
        pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return any(tag == TAG for page in pages for tag in page["Tags"])
    except ClientError as error:
        gone = "ValidationException"  # it was deleted between two questions
        if is_denied(error) or error.response["Error"]["Code"] == gone:
            return False
        raise


def tagged_jobs(sagemaker: Any) -> Iterator[dict]:
    """The descriptions of all training jobs with the course's tag, ended ones included.

    Oldest first; those of its searches are among them, which have the tags of their tuning job.
    """
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=NAME, **ORDER)
    for each in [item for page in pages for item in page["TrainingJobSummaries"]]:
        if is_ours(sagemaker, each["TrainingJobArn"]):
            yield sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])


def _price(sagemaker: Any, kind: str, name: str, item: dict) -> float | None:
    """US dollars an hour, as far as the table and the caller's rights reach."""
    from botocore.exceptions import ClientError

    if kind in FREE or kind == "tuning job":  # whose training jobs are listed by themselves
        return 0.0
    try:
        machines = _machines(sagemaker, kind, name, item)
        return sum(count * hourly(instance) for instance, count in machines)
    except ValueError:
        return None
    except ClientError as error:
        if is_denied(error) or error.response["Error"]["Code"] == "ValidationException":
            return None
        raise


def _machines(sagemaker: Any, kind: str, name: str, item: dict) -> list[tuple[str, int]]:
    """The instance types that something runs on, and how many of each."""
    if kind == "notebook instance":
        return [(item["InstanceType"], item["NotebookInstanceStatus"] == "InService")]
    if kind == "training job":
        asked = sagemaker.describe_training_job(TrainingJobName=name)["ResourceConfig"]
        groups = asked.get("InstanceGroups") or [asked]
        return [(group["InstanceType"], group["InstanceCount"]) for group in groups]
    if kind == "processing job":
        job = sagemaker.describe_processing_job(ProcessingJobName=name)
        cluster = job["ProcessingResources"]["ClusterConfig"]
        return [(cluster["InstanceType"], cluster["InstanceCount"])]
    endpoint = sagemaker.describe_endpoint(EndpointName=name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    now = {v["VariantName"]: v for v in endpoint.get("ProductionVariants", [])}
    machines = []
    for variant in config["ProductionVariants"]:
        if "ServerlessConfig" not in variant:  # which costs nothing while nobody asks
            count = now.get(variant["VariantName"], {}).get("CurrentInstanceCount")
            machines.append((variant["InstanceType"], count or variant["InitialInstanceCount"]))
    return machines


# --------------------------------------------------------------------------------------- removing

REMOVERS = {  # in this order: what runs, what serves, and then its parts
    "tuning job": ("stop_hyper_parameter_tuning_job", "HyperParameterTuningJobName"),
    "training job": ("stop_training_job", "TrainingJobName"),
    "processing job": ("stop_processing_job", "ProcessingJobName"),
    "endpoint": ("delete_endpoint", "EndpointName"),
    "configuration": ("delete_endpoint_config", "EndpointConfigName"),
    "model": ("delete_model", "ModelName"),
}


def remove(
    sagemaker: Any,
    things: list[Standing],
    told: Callable[[str], None] = print,
    limit_s: float = 900,
) -> list[Standing]:
    """Stop or delete what the course made of `things`, and say so; return what could not be.

    The tag is asked for again before each removal: a name may have passed to somebody else since.
    """
    from botocore.exceptions import ClientError

    left = []
    for kind, (operation, member) in REMOVERS.items():
        for each in (each for each in things if each.kind == kind and each.ours):
            verb = operation.partition("_")[0]
            try:
                if not is_ours(sagemaker, each.arn) or _has_ended(sagemaker, each):
                    told(f"{kind} {each.name}: gone meanwhile, or no longer the course's")
                    continue
                if kind == "endpoint":
                    _settled(sagemaker, each.name, limit_s)
                getattr(sagemaker, operation)(**{member: each.name})
                told(f"{kind} {each.name}: {'stopping' if verb == 'stop' else 'deleted'}")
            except (ClientError, TimeoutError) as error:
                told(f"{kind} {each.name}: {verb} FAILED, {error}")
                left.append(each)
    return left


def _has_ended(sagemaker: Any, each: Standing) -> bool:
    """Whether a training job has ended, as those of a search do that was just stopped."""
    if each.kind != "training job":
        return False
    now = sagemaker.describe_training_job(TrainingJobName=each.name)["TrainingJobStatus"]
    return now != "InProgress"


def _settled(sagemaker: Any, name: str, limit_s: float) -> None:
    """Wait until an endpoint is no longer being made: AWS deletes none before.

    Raises:
        TimeoutError: it is still being made.
    """
    deadline = time.monotonic() + limit_s
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] in CHANGING:
        if time.monotonic() > deadline:
            raise TimeoutError(f"still being made after {limit_s:g} s: try again later")
        time.sleep(min(5, limit_s / 10))


# ---------------------------------------------------------------------------------------- telling


def table(things: list[Standing]) -> str:
    """A line for each thing, the most expensive first, and what all of it costs together."""
    if not things:
        return "nothing stands here"
    ordered = sorted(things, key=lambda each: (-(each.hourly or 0), each.kind, each.name))
    width = max(len(each.name) for each in ordered)
    lines = [
        f"{'course' if each.ours else 'other':<8}{each.kind:<18}{each.name:<{width + 2}}"
        f"{each.status:<12}{price(each)}"
        for each in ordered
    ]
    known = [each for each in ordered if each.hourly]
    total = sum(each.hourly for each in known)
    together = f"together {total:.3f} USD an hour, {total * HOURS_A_MONTH:.0f} USD a month"
    ours = sum(each.hourly for each in known if each.ours)
    return "\n".join([*lines, f"{together}; the course's: {ours:.3f} USD an hour"])


def price(each: Standing) -> str:
    """The price of one thing by the hour and by the month, as text."""
    if each.hourly is None:
        return "price not known: look at AWS's price list"
    if each.hourly == 0:
        return "free"
    return f"{each.hourly:.3f} USD an hour, {each.monthly:.0f} USD a month"
