"""What a finished job says about itself: `output.tar.gz` from S3, as sentences and tables.

`train.py` writes it (`entry_points/report.py`), where there was a test channel.
"""

from __future__ import annotations

import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
import pandas as pd
from botocore.exceptions import ClientError

from course.dataset import breed

if TYPE_CHECKING:
    from sagemaker.core.resources import TrainingJob

FILES = ("test.json", "predictions.csv", "confusion.png", "model-card.md", "history.jsonl")


class NoResults(LookupError):
    """The job has left no results of a test; the text says why, and what to do."""


def fetch(job: TrainingJob) -> dict[str, bytes]:
    """The results that a training job has left beside its model, by the names of their files.

    Raises:
        NoResults: the job has left no archive, or a damaged one, or has tested nothing.
    """
    name, model = job.training_job_name, job.model_artifacts.s3_model_artifacts
    archive = f"{model.rpartition('/')[0]}/output.tar.gz"
    bucket, _, key = archive.removeprefix("s3://").partition("/")
    with tempfile.TemporaryFile() as file:  # a debugged job's may hold tensors: gigabytes
        try:
            boto3.client("s3").download_fileobj(bucket, key, file)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            why = f"the job {name} has left no output.tar.gz ({code}: {archive})"
            raise NoResults(f"{why}: has it completed?") from error
        file.seek(0)
        found = _read(file, name)
    if "test.json" not in found:
        raise NoResults(f"the job {name} has tested nothing: train it with a channel 'test'")
    return found


def _read(archive: BinaryIO, name: str) -> dict[str, bytes]:
    """The files of `FILES` at the archive's top. Nothing is unpacked, so nothing gets out."""
    found = {}
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            for member in tar:
                file = str(PurePosixPath(member.name))  # AWS or not, with ./ before it or not
                if file in FILES and member.isreg():
                    found[file] = tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise NoResults(f"the output.tar.gz of the job {name} is damaged: {error}") from error
    return found


def sentence(tested: Mapping[str, Any]) -> str:
    """The accuracy that `test.json` tells, with its interval, and what guessing would reach."""
    top, k = tested["top1"], min(5, tested["classes"])
    return (
        f"{top['right']} of {top['photos']} test photos are right: {top['accuracy']:.1%}, "
        f"95% interval {top['low']:.1%} to {top['high']:.1%}\n"
        f"the right breed is among the {k} likeliest: {tested[f'top{k}']['accuracy']:.1%}\n"
        f"guessing: {tested['chance']:.1%}"
    )


def confused(tested: Mapping[str, Any]) -> pd.DataFrame:
    """The pairs of breeds that are mixed up most, a row each; no row where no photo was."""
    rows = [
        (breed(pair["true"]), breed(pair["predicted"]), pair["photos"], f"{pair['share']:.0%}")
        for pair in tested["confused"]
    ]
    columns = ["breed", "taken for", "photos", "share of the breed's"]
    return pd.DataFrame(rows, pd.RangeIndex(1, len(rows) + 1), columns)
