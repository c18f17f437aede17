"""Downloads: which objects a prefix names, and how they become files of a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.aws.s3.objects import StoredKey
from local_sagemaker.aws.s3.service import S3, split


class DownloadError(Exception):
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


def download(s3: S3, uri: str, folder: Path, whole: bool = False) -> int:
    """Copy the objects below `uri`, or if `whole` that object, into `folder`; return how many.

    Raises:
        DownloadError: if an object cannot be a file.
    """
    with as_download_errors():
        with s3.lock:
            items = _object_item(s3, uri) if whole else prefix_items(s3, uri)
            link(items, folder)
        own(items, folder)
    return len(items)


@contextmanager
def as_download_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"'{error.filename2 or error.filename}' cannot be a file here: {error.strerror}"
        raise DownloadError(text) from None
    except ValueError as error:  # no file can have such a name
        raise DownloadError(str(error)) from None


def stored_objects(s3: S3, bucket: str) -> dict[str, StoredKey]:
    """The bucket's objects by key, without the markers of what was deleted."""
    found = s3.backend.buckets.get(bucket)
    keys = found.keys if found else {}
    return {key: keys[key] for key in list(keys) if isinstance(keys[key], StoredKey)}


def prefix_items(s3: S3, uri: str) -> list[Item]:
    """All objects whose keys begin with `uri`, by key; without the markers of empty folders.

    Their names in the channel are those below the prefix where it is a folder, or else those below
    its last ``/``: ``s3://b/data/train`` gives ``a`` of ``data/train/a`` and ``train2/a`` of
    ``data/train2/a``.
    """
    bucket, prefix = split(uri)
    stored = stored_objects(s3, bucket)
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    keys = sorted(key for key in stored if key.startswith(prefix) and not key.endswith("/"))
    tops = [folder if key.startswith(folder) else prefix for key in keys]
    return [item_of(bucket, key, top, stored) for key, top in zip(keys, tops, strict=True)]


def _object_item(s3: S3, uri: str) -> list[Item]:
    """The one object at `uri`, if there is one."""
    bucket, key = split(uri)
    stored = stored_objects(s3, bucket)
    return [item_of(bucket, key, key, stored)] if key in stored else []


def item_of(bucket: str, key: str, prefix: str, stored: dict[str, StoredKey]) -> Item:
    above = prefix[: prefix.rfind("/") + 1]
    return Item(f"s3://{bucket}/{key}", key.removeprefix(above), stored[key].file)


def link(items: list[Item], folder: Path) -> None:
    """Make each object's file in `folder`, as one more name of its body."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        if "//" in f"/{item.name}":
            raise DownloadError(f"{item.uri} would be in a folder with an empty name ('//')")
        target = folder / item.name
        if ".." in target.parts or not target.is_relative_to(folder):
            text = f"the object name '{item.name}' points outside the channel"
            raise DownloadError(text)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _another_name(item.file, target)
        except (FileExistsError, NotADirectoryError):
            raise DownloadError(
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


def own(items: list[Item], folder: Path) -> None:
    """Replace each shared body by a copy of the job's own."""
    for item in items:
        target = folder / item.name
        copy = folder.parent / f".{folder.name}.copy"
        shutil.copyfile(target, copy)
        copy.replace(target)
