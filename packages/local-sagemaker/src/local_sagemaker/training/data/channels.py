"""A job's input: which objects a channel names, and how they become files of the job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from local_sagemaker import REGION
from local_sagemaker.aws.s3.downloads import (
    DownloadError,
    Item,
    as_download_errors,
    item_of,
    link,
    own,
    prefix_items,
    stored_objects,
)
from local_sagemaker.aws.s3.objects import StoredKey
from local_sagemaker.aws.s3.service import S3, split
from local_sagemaker.core.errors import invalid
from local_sagemaker.runtime import isolation
from local_sagemaker.training import configuration

MANIFEST_BYTES = 64 * 1024 * 1024  # a list of names that is larger is something else


def check(request: dict) -> None:
    """Refuse channels that cannot be had here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the channel and the way out.
    """
    for channel in request.get("InputDataConfig", []):
        name = channel["ChannelName"]
        _check_mode(configuration.input_mode(request, channel), name)
        _check_source(channel["DataSource"].get("S3DataSource"), name)


def _check_mode(mode: str, name: str) -> None:
    if mode == "Pipe":
        raise invalid(
            f"the channel '{name}' asks for the input mode Pipe: local_sagemaker gives files, ask "
            "for File or FastFile"
        )


def _check_source(source: dict | None, name: str) -> None:
    if source is None:
        raise invalid(
            f"the channel '{name}' has no S3DataSource: local_sagemaker has S3, and neither file "
            "systems (FileSystemDataSource) nor data sets (DatasetSource)"
        )
    if source.get("InstanceGroupNames"):
        raise invalid(
            f"the channel '{name}' has InstanceGroupNames: local_sagemaker has no instance groups; "
            "every instance gets the channel"
        )
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise invalid(
            f"the channel '{name}' has the S3DataType {source['S3DataType']}: local_sagemaker has "
            "S3Prefix and ManifestFile (AWS has AugmentedManifestFile in Pipe mode only)"
        )
    try:
        split(source["S3Uri"])
    except ValueError as error:
        raise invalid(str(error)) from None


# Which objects


def fetch_all(s3: S3, job: dict, folders: Sequence[Path]) -> None:
    """Give a job its channels, below the folder ``input/data`` of each of its hosts.

    Raises:
        DownloadError: if an object is missing or cannot be a file.
    """
    for channel in job.get("InputDataConfig", []):
        for host, data in enumerate(folders):
            fetch(s3, job, channel, data, host, len(folders))


def fetch(s3: S3, job: dict, channel: dict, data: Path, host: int = 0, hosts: int = 1) -> None:
    """Give the job its channel below `data`, with the list of its objects beside it.

    Args:
        data: the folder ``input/data`` of this host; the channel's own folder is made in it.
        host: this host's number, from 0; of `hosts`. They divide the objects between them if the
            channel asks for it (``ShardedByS3Key``).

    Raises:
        DownloadError: if an object is missing or cannot be a file.
    """
    name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
    with as_download_errors():
        with s3.lock:  # nothing is replaced or deleted between finding and linking
            items = _items(s3, source, job)
            _refuse_empty_names(items)
            if source.get("S3DataDistributionType") == "ShardedByS3Key":
                items = share(items, host, hosts)
            link(items, data / name)
        if not is_view(job, channel):
            own(items, data / name)
        _write_manifest(items, data / f"{name}-manifest")


def _refuse_empty_names(items: list[Item]) -> None:
    """As AWS does, in its words: a folder without a name cannot be."""
    for item in items:
        if "//" in item.uri.removeprefix("s3://"):
            text = f"Failed to download data. S3 key: {item.uri} has an illegal char sub-sequence"
            raise DownloadError(f"{text} '//' in it")


def share(items: list[Item], host: int, hosts: int) -> list[Item]:
    """This host's objects of a channel that is ``ShardedByS3Key``; some of few may get none."""
    return items[host::hosts]


def _items(s3: S3, source: dict, job: dict) -> list[Item]:
    if source["S3DataType"] == "ManifestFile":
        found = _manifest_items(s3, source["S3Uri"])
    else:
        found = prefix_items(s3, source["S3Uri"])
    if not found:
        raise DownloadError(_nothing(source["S3Uri"], job))
    return found


def _nothing(uri: str, job: dict) -> str:
    """AWS's words for an input without objects."""
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({REGION}), that objects exist under that S3 "
        f'prefix, and that the role "{job["RoleArn"]}" has "s3:ListBucket" permissions on bucket '
        f'"{split(uri)[0]}".'
    )


def _manifest_items(s3: S3, uri: str) -> list[Item]:
    """The objects that a manifest names: ``[{"prefix": "s3://b/p/"}, "one", "two", ...]``."""
    bucket, key = split(uri)
    manifest = stored_objects(s3, bucket).get(key)
    if manifest is None:
        return []
    prefix, names = _read_manifest(uri, manifest)
    bucket, start = split(prefix)
    stored = stored_objects(s3, bucket)
    missing = [name for name in names if start + name not in stored]
    if missing:
        text = f"the manifest {uri} names {prefix}{missing[0]}, which does not exist"
        raise DownloadError(f"{text} ({len(missing)} of {len(names)} do not)")
    return [item_of(bucket, start + name, start, stored) for name in names]


def _read_manifest(uri: str, manifest: StoredKey) -> tuple[str, list[str]]:
    try:
        if manifest.size > MANIFEST_BYTES:
            raise ValueError(f"it has {manifest.size} bytes")
        first, *names = json.loads(manifest.file.read_text())
        split(first["prefix"])
        if not all(isinstance(name, str) for name in names):
            raise ValueError("it names what is no string")
    except (ValueError, TypeError, KeyError) as error:
        form = '[{"prefix": "s3://bucket/path/"}, "name", ...]'
        text = f"{uri} is no manifest of the form {form}: {error}"
        raise DownloadError(text) from None
    return first["prefix"], names


# How they become files


def is_view(job: dict, channel: dict) -> bool:
    """Whether the job sees the stored bodies themselves, which it then cannot write to.

    So it is for FastFile, where the kernel can show a folder read-only; elsewhere a channel's
    files are copies, which the job may change as it likes.
    """
    mode = configuration.input_mode(job, channel)
    return mode == "FastFile" and isolation.isolation().real_opt_ml


def views(job: dict) -> list[str]:
    """Folders below ``/opt/ml`` that are to be read-only."""
    channels = job.get("InputDataConfig", [])
    return [f"input/data/{each['ChannelName']}" for each in channels if is_view(job, each)]


def _write_manifest(items: list[Item], file: Path) -> None:
    """The channel's objects in the form of AWS's manifests."""
    prefix = min((item.uri.removesuffix(item.name) for item in items), key=len, default=None)
    head = [] if prefix is None else [{"prefix": prefix}]
    file.write_text(json.dumps([*head, *(item.uri.removeprefix(prefix) for item in items)]))
