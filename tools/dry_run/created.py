"""Requests that make something: what AWS would take, and what then fails, costs or is never found.

A thing without the course's tag stays after the clean-up. A spot job without checkpoints begins
anew whenever it loses its instance. A job on a GPU instance with an image for CPUs finds no GPU,
and an image that AWS does not publish starts no job at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from course.account import images
from course.account.standing import TAG
from tools.dry_run.permissions import IMAGE, strings
from tools.dry_run.record import Call

TAGGED = {
    "CreateEndpoint",
    "CreateEndpointConfig",
    "CreateHyperParameterTuningJob",
    "CreateModel",
    "CreateTrainingJob",
}
LONGEST_S = 24 * 3600  # SageMaker's limit for a job that names none
GPU_INSTANCE = re.compile(r"ml\.[gp]\d")
CPU_IMAGE = re.compile(r":[^:]*-cpu-")


def problems(calls: Iterable[Call]) -> Iterator[str]:
    """A line for each thing that should not be made in this way."""
    for call in calls:
        if call.service == "sagemaker" and call.region:  # unsigned requests are refused anyway
            yield from _untagged(call)
            yield from _unknown_images(call)
            for job in jobs(call):
                yield from _spot(call, job)
                yield from _without_gpu(call, job)


def jobs(call: Call) -> list[dict]:
    """The training jobs that a request defines: one, or those of a search."""
    if call.name == "sagemaker:CreateTrainingJob":
        return [call.params]
    if call.name == "sagemaker:CreateHyperParameterTuningJob":
        one, several = "TrainingJobDefinition", "TrainingJobDefinitions"
        return [*([call.params[one]] if one in call.params else []), *call.params.get(several, [])]
    return []


def _untagged(call: Call) -> Iterator[str]:
    if call.operation in TAGGED and TAG not in call.params.get("Tags", []):
        tag = f"{TAG['Key']}={TAG['Value']}"
        yield f"{call.name} has no tag {tag}, so the clean-up would not find what it makes: add it"


def _spot(call: Call, job: dict) -> Iterator[str]:
    limits = job.get("StoppingCondition", {})
    run, wait = limits.get("MaxRuntimeInSeconds", LONGEST_S), limits.get("MaxWaitTimeInSeconds")
    if not job.get("EnableManagedSpotTraining"):
        if wait is not None:
            yield f"{call.name} has MaxWaitTimeInSeconds, which is for spot jobs only: leave it out"
        return
    if "S3Uri" not in job.get("CheckpointConfig", {}):
        yield (
            f"{call.name} asks for spot instances without a CheckpointConfig: a job that loses its "
            "instance would begin anew. Give it one (course.jobs.checkpoints)"
        )
    if wait is None or wait < run:
        yield (
            f"{call.name} asks for spot instances and waits {wait or 'no'} seconds, less than the "
            f"{run} that it may run: set MaxWaitTimeInSeconds (course.jobs.stopping_condition)"
        )


def _without_gpu(call: Call, job: dict) -> Iterator[str]:
    instance = job.get("ResourceConfig", {}).get("InstanceType", "")
    image = job.get("AlgorithmSpecification", {}).get("TrainingImage", "")
    if image and bool(GPU_INSTANCE.match(instance)) == bool(CPU_IMAGE.search(image)):
        yield (
            f"{call.name} takes the image {image} on {instance}: one of them is for GPUs and the "
            "other is not. Take ws.training_image with ws.training_instance"
        )


def _unknown_images(call: Call) -> Iterator[str]:
    for path, image in strings(call.params):
        if IMAGE.fullmatch(image) and image not in _published(call.region):
            yield (
                f"{call.name}: {path} is {image}, which the SDK's tables do not name for "
                f"{call.region}: take the address from course.account.images"
            )


@cache
def _published(region: str) -> frozenset[str]:
    training = {images.training(region, device) for device in images.INSTANCES}
    return frozenset({*training, images.inference(region), images.rules(region)})
