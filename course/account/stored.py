"""What the course keeps in S3: its own folder, and the folders of jobs that have its tag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course.account.standing import NAME, ORDER, is_ours


def folders(sagemaker: Any, bucket: str) -> list[str]:
    """The prefixes of `bucket` under which the course's objects lie, each ending in a slash.

    That is the course's folder, and where SageMaker wrote for training jobs with the course's tag.
    """
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=NAME, **ORDER)
    summaries = [each for page in pages for each in page["TrainingJobSummaries"]]
    made = {f"{NAME}/"}
    for each in summaries:
        if is_ours(sagemaker, each["TrainingJobArn"]):
            made |= set(_written(sagemaker, each["TrainingJobName"], bucket))
    inside = [a for a in made if any(a != b and a.startswith(b) for b in made)]
    return sorted(made - set(inside))


def _written(sagemaker: Any, name: str, bucket: str) -> Iterator[str]:
    """The prefix of one job: SageMaker puts its name behind the request's output path."""
    job = sagemaker.describe_training_job(TrainingJobName=name)
    place, _, path = job["OutputDataConfig"]["S3OutputPath"].removeprefix("s3://").partition("/")
    if place == bucket:
        yield f"{path.strip('/')}/{name}/".lstrip("/")


def objects(s3: Any, bucket: str, prefixes: list[str]) -> list[tuple[str, int]]:
    """Key and bytes of all objects below the prefixes; none if the bucket is not there."""
    listing = s3.get_paginator("list_objects_v2")
    return [
        (item["Key"], item["Size"])
        for prefix in prefixes
        for page in listing.paginate(Bucket=bucket, Prefix=prefix)
        for item in page.get("Contents", [])
    ]


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
