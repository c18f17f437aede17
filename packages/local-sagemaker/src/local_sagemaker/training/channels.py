"""A job's input: which objects a channel names, and how they become files of the job."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker import REGION, container, isolation
from local_sagemaker.s3 import S3, split
from local_sagemaker.stored_objects import StoredKey
from local_sagemaker.validation import invalid

MANIFEST_BYTES = 64 * 1024 * 1024  # a list of names that is larger is something else


class ChannelError(Exception):
    """Data cannot be had, and `why`; the text is the job's FailureReason."""

    def __init__(self, why: str) -> None:
        super().__init__(f"ClientError: Data download failed: {why}")
        self.why = why


@dataclass(frozen=True)
class Item:
    """One object of a channel: its address, its name in the channel's folder, its body."""

    uri: str
    name: str
    file: Path


def check(request: dict) -> None:
    """Refuse channels that cannot be had here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the channel and the way out.
    """
    for channel in request.get("InputDataConfig", []):
        name = channel["ChannelName"]
        _check_mode(container.input_mode(request, channel), name)
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


def fetch(s3: S3, job: dict, channel: dict, data: Path, host: int = 0, hosts: int = 1) -> None:
    """Give the job its channel below `data`, with the list of its objects beside it.

    Args:
        data: the folder ``input/data`` of this host; the channel's own folder is made in it.
        host: this host's number, from 0; of `hosts`. They divide the objects between them if the
            channel asks for it (``ShardedByS3Key``).

    Raises:
        ChannelError: if an object is missing or cannot be a file.
    """
    name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
    with _as_channel_errors():
        with s3.lock:  # nothing is replaced or deleted between finding and linking
            items = _items(s3, source, job)
            if source.get("S3DataDistributionType") == "ShardedByS3Key":
                items = share(items, host, hosts)
            _link(items, data / name)
        if not is_view(job, channel):
            _own(items, data / name)
        _write_manifest(items, data / f"{name}-manifest")


def download(s3: S3, uri: str, folder: Path) -> int:
    """Copy the objects below `uri`, if there are any, into `folder`; return how many.

    Raises:
        ChannelError: if an object cannot be a file.
    """
    with _as_channel_errors():
        with s3.lock:
            items = _prefix_items(s3, uri)
            _link(items, folder)
        _own(items, folder)
    return len(items)


@contextmanager
def _as_channel_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"'{error.filename2 or error.filename}' cannot be a file here: {error.strerror}"
        raise ChannelError(text) from None
    except ValueError as error:  # no file can have such a name
        raise ChannelError(str(error)) from None


def share(items: list[Item], host: int, hosts: int) -> list[Item]:
    """This host's objects of a channel that is ``ShardedByS3Key``; some of few may get none."""
    return items[host::hosts]


def _items(s3: S3, source: dict, job: dict) -> list[Item]:
    if source["S3DataType"] == "ManifestFile":
        found = _manifest_items(s3, source["S3Uri"])
    else:
        found = _prefix_items(s3, source["S3Uri"])
    if not found:
        raise ChannelError(_nothing(source["S3Uri"], job))
    return found


def _nothing(uri: str, job: dict) -> str:
    """AWS's words for an input without objects."""
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({REGION}), that objects exist under that S3 "
        f'prefix, and that the role "{job["RoleArn"]}" has "s3:ListBucket" permissions on bucket '
        f'"{split(uri)[0]}".'
    )


def _stored(s3: S3, bucket: str) -> dict[str, StoredKey]:
    """The bucket's objects by key, without the markers of what was deleted."""
    found = s3.backend.buckets.get(bucket)
    keys = found.keys if found else {}
    return {key: keys[key] for key in list(keys) if isinstance(keys[key], StoredKey)}


def _prefix_items(s3: S3, uri: str) -> list[Item]:
    """The objects whose keys begin with `uri`, by key; without the markers of empty folders.

    Their names in the channel are those below the last ``/`` of the prefix.
    """
    bucket, prefix = split(uri)
    stored = _stored(s3, bucket)
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    if prefix in stored and not prefix.endswith("/"):
        keys = [prefix]
    elif any(key.startswith(folder) for key in stored):
        keys, prefix = [key for key in stored if key.startswith(folder)], folder
    else:
        keys = [key for key in stored if key.startswith(prefix)]
    return [_item(bucket, key, prefix, stored) for key in sorted(keys) if not key.endswith("/")]


def _item(bucket: str, key: str, prefix: str, stored: dict[str, StoredKey]) -> Item:
    above = prefix[: prefix.rfind("/") + 1]
    return Item(f"s3://{bucket}/{key}", key.removeprefix(above), stored[key].file)


def _manifest_items(s3: S3, uri: str) -> list[Item]:
    """The objects that a manifest names: ``[{"prefix": "s3://b/p/"}, "one", "two", ...]``."""
    bucket, key = split(uri)
    manifest = _stored(s3, bucket).get(key)
    if manifest is None:
        return []
    prefix, names = _read_manifest(uri, manifest)
    bucket, start = split(prefix)
    stored = _stored(s3, bucket)
    missing = [name for name in names if start + name not in stored]
    if missing:
        text = f"the manifest {uri} names {prefix}{missing[0]}, which does not exist"
        raise ChannelError(f"{text} ({len(missing)} of {len(names)} do not)")
    return [_item(bucket, start + name, start, stored) for name in names]


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
        raise ChannelError(text) from None
    return first["prefix"], names


# How they become files


def is_view(job: dict, channel: dict) -> bool:
    """Whether the job sees the stored bodies themselves, which it then cannot write to.

    So it is for FastFile, where the kernel can show a folder read-only; elsewhere a channel's
    files are copies, which the job may change as it likes.
    """
    return container.input_mode(job, channel) == "FastFile" and isolation.isolation().real_opt_ml


def views(job: dict) -> list[str]:
    """Folders below ``/opt/ml`` that are to be read-only."""
    channels = job.get("InputDataConfig", [])
    return [f"input/data/{each['ChannelName']}" for each in channels if is_view(job, each)]


def _link(items: list[Item], folder: Path) -> None:
    """Make each object's file in `folder`, as one more name of its body."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        target = folder / item.name
        if ".." in target.parts or not target.is_relative_to(folder):
            text = f"the object name '{item.name}' points outside the channel"
            raise ChannelError(text)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _another_name(item.file, target)
        except (FileExistsError, NotADirectoryError):
            raise ChannelError(
                f"Cannot download {item.uri}, a previously downloaded file/folder clashes "
                "with it. Please check your s3 objects and ensure that there is no object that is "
                "both a folder as well as a file."
            ) from None


def _another_name(body: Path, target: Path) -> None:
    try:
        target.hardlink_to(body)
    except FileExistsError:
        raise
    except OSError:  # another file system, or too many names
        shutil.copyfile(body, target)


def _own(items: list[Item], folder: Path) -> None:
    """Replace each shared body by a copy of the job's own."""
    for item in items:
        target = folder / item.name
        copy = folder.parent / f".{folder.name}.copy"
        shutil.copyfile(target, copy)
        copy.replace(target)


def _write_manifest(items: list[Item], file: Path) -> None:
    """The channel's objects in the form of AWS's manifests."""
    if items:
        first = items[0]
        prefix = first.uri.removesuffix(first.name)
        file.write_text(json.dumps([{"prefix": prefix}, *(item.name for item in items)]))
    else:
        file.write_text("[]")
