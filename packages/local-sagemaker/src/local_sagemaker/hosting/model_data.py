"""A model's files: where they lie in S3, and how they come into a container's /opt/ml."""

from __future__ import annotations

import shutil
import tarfile
import time
import zlib
from pathlib import Path

from local_sagemaker.aws.s3 import downloads
from local_sagemaker.aws.s3.downloads import DownloadError
from local_sagemaker.aws.s3.service import S3, split
from local_sagemaker.runtime.archive import unpack

SUBMIT = "SAGEMAKER_SUBMIT_DIRECTORY"


class HostingFailed(Exception):
    """A model does not come into service; the text is the endpoint's FailureReason."""


def sources(definition: dict) -> list[dict]:
    """The S3 sources of a container definition's model, as ``S3ModelDataSource``.

    ``ModelDataUrl`` is short for a ``tar.gz``.
    """
    found = []
    if url := definition.get("ModelDataUrl"):
        found.append({"S3Uri": url, "S3DataType": "S3Object", "CompressionType": "Gzip"})
    source = definition.get("ModelDataSource", {}).get("S3DataSource")
    if source and source not in found:  # DescribeModel tells both of one address
        found.append(source)
    return found


def exists(s3: S3, source: dict) -> bool:
    """Whether the source's object, or one object below its prefix, is there.

    Raises:
        ValueError: the address is none.
    """
    bucket, key = split(source["S3Uri"])
    with s3.lock:
        found = s3.backend.buckets.get(bucket)
        if found is None:
            return False
        if source["S3DataType"] == "S3Object":
            return key in found.keys
        below = key.rstrip("/") + "/" if key else ""
        return any(name.startswith(below) for name in found.keys)


def fetch(s3: S3, definition: dict, ml: Path, scratch: Path, limit_s: float | None) -> None:
    """Bring a container's model data, and code that lies in S3, below `ml`.

    Args:
        scratch: a folder for what is not needed afterwards, on the same file system.
        limit_s: ``ModelDataDownloadTimeoutInSeconds``.

    Raises:
        HostingFailed: a source is not there, no archive, unsafe, or came too late.
    """
    (ml / "model").mkdir(parents=True)
    begun = time.monotonic()
    for source in sources(definition):
        _fetch_one(s3, source, ml / "model", scratch / "fetched")
    submitted = definition.get("Environment", {}).get(SUBMIT, "")
    if submitted.startswith("s3://"):  # SDK v2 for images that are older than PyTorch 1.3
        code = {"S3Uri": submitted, "S3DataType": "S3Object", "CompressionType": "Gzip"}
        _fetch_one(s3, code, ml / "code", scratch / "fetched")
    if limit_s is not None and time.monotonic() - begun > limit_s:
        raise HostingFailed(f"The model data was not downloaded within {limit_s} s.")


def _fetch_one(s3: S3, source: dict, target: Path, fetched: Path) -> None:
    address = source["S3Uri"]
    try:
        if downloads.download(s3, address, fetched, source["S3DataType"] == "S3Object") == 0:
            raise DownloadError(f"no object {address}")
    except DownloadError as error:
        raise HostingFailed(
            f'Failed to download model data for container "container_1" from URL: "{address}". '
            "Please ensure that there is an object located at the URL and that the role passed to "
            f"CreateModel has permissions to download the model. ({error.why})"
        ) from error
    if source["CompressionType"] == "Gzip":
        _unpack(fetched / address.rpartition("/")[2], target, address)
    else:
        shutil.copytree(fetched, target, dirs_exist_ok=True, copy_function=shutil.move)
    shutil.rmtree(fetched)


def _unpack(archive: Path, target: Path, address: str) -> None:
    try:
        unpack(archive, target, _member)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise HostingFailed(
            f'Failed to extract model data archive for container "container_1" from URL "{address}"'
            f". Please ensure that the object located at the URL is a valid tar.gz archive. "
            f"({type(error).__name__}: {error})"
        ) from error


def _member(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """A member as it is extracted; on AWS a symbolic link fails the endpoint, wherever it leads."""
    if member.issym():
        raise tarfile.FilterError(
            f"'{member.name}' is a symbolic link, and SageMaker extracts none: "
            "pack the file itself, as tar --dereference does"
        )
    return tarfile.data_filter(member, folder)
