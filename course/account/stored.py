"""What the course keeps in S3: its own folder, and what belongs to jobs and models with its tag."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from course.account.standing import NAME, found, tagged_jobs

CODE = ("code", "sm_drivers")  # the channels in which the SDK's trainer puts a job's scripts
TUNED = re.compile(r"(.+/)?tuning-\d+")  # where the SDK's tuner puts those of all its jobs


def folders(sagemaker: Any, bucket: str) -> list[str]:
    """The prefixes of `bucket` under which the course's objects lie, each ending in a slash.

    That is the course's folder; where SageMaker wrote for training jobs with the course's tag, and
    where the SDK put their scripts; and the archives that the SDK made for models with the tag.
    """
    made = {f"{NAME}/"}
    for job in tagged_jobs(sagemaker):
        made |= set(_written(job, bucket)) | set(_scripts(job, bucket))
    for model in found(sagemaker, ("model",)):
        if model.ours:
            made |= set(_archive(sagemaker.describe_model(ModelName=model.name), bucket))
    inside = [a for a in made if any(a != b and a.startswith(b) for b in made)]
    return sorted(made - set(inside))


def _key(address: str, bucket: str) -> str | None:
    """The key of an S3 address in `bucket`; None for one elsewhere."""
    place, _, key = address.removeprefix("s3://").partition("/")
    return key if address.startswith("s3://") and place == bucket else None


def _written(job: dict, bucket: str) -> Iterator[str]:
    """The prefix of one job: SageMaker puts its name behind the request's output path."""
    path = _key(job["OutputDataConfig"]["S3OutputPath"], bucket)
    if path is not None:
        yield f"{path.strip('/')}/{job['TrainingJobName']}/".lstrip("/")


def _scripts(job: dict, bucket: str) -> Iterator[str]:
    """Where the SDK put a job's scripts: `BASE/JOB/input/`, or `BASE/tuning-SECONDS/input/`."""
    channels = [each for each in job.get("InputDataConfig", ()) if each["ChannelName"] in CODE]
    sources = [each["DataSource"].get("S3DataSource", {}).get("S3Uri", "") for each in channels]
    sources.append(job.get("HyperParameters", {}).get("sagemaker_submit_directory", "").strip('"'))
    for source in sources:
        place, inside, _ = (_key(source, bucket) or "").partition("/input/")
        own = place.rpartition("/")[2] == job["TrainingJobName"]
        if inside and (own or TUNED.fullmatch(place)):
            yield f"{place}{inside}"


def _archive(model: dict, bucket: str) -> Iterator[str]:
    """Where the SDK put a model's archive, with the serving code in it: `MODEL/model.tar.gz`."""
    name = model["ModelName"]
    for container in [model.get("PrimaryContainer", {}), *model.get("Containers", ())]:
        if _key(container.get("ModelDataUrl", ""), bucket) == f"{name}/model.tar.gz":
            yield f"{name}/"


def objects(s3: Any, bucket: str, prefixes: list[str]) -> list[tuple[str, int]]:
    """Key and bytes of all objects below the prefixes; none if the bucket is not there."""
    listing = s3.get_paginator("list_objects_v2")
    return [
        (item["Key"], item["Size"])
        for prefix in prefixes
        for page in listing.paginate(Bucket=bucket, Prefix=prefix)
        for item in page.get("Contents", [])
    ]


def unreferenced(s3: Any, bucket: str, known: Collection[str]) -> dict[str, tuple[int, int]]:
    """Folders with names like the course's whose objects nothing with its tag refers to.

    Such are the archive of a model that is deleted, and whatever somebody else named so.

    Args:
        known: the keys that are the course's.

    Returns:
        By the name of the folder, the number of its other objects and their bytes.
    """
    counted: defaultdict[str, list[int]] = defaultdict(list)
    for key, size in objects(s3, bucket, [NAME]):
        folder, inside, _ = key.partition("/")
        if inside and key not in known:
            counted[folder].append(size)
    return {folder: (len(sizes), sum(sizes)) for folder, sizes in sorted(counted.items())}


def remove(s3: Any, bucket: str, keys: list[str]) -> int:
    """Delete these objects; return how many are gone.

    Raises:
        RuntimeError: S3 refused some of them.
    """
    for start in range(0, len(keys), 1000):  # the most that one request may name
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if errors := answer.get("Errors"):
            raise RuntimeError(f"{len(errors)} objects were not deleted, the first: {errors[0]}")
    return len(keys)
