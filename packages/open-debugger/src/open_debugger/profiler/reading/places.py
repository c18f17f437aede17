"""Where a recording may lie: a folder, an ``s3://`` prefix, an archive in either."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from open_debugger.profiler.recording import RecordingError
from open_debugger.retries import persistently

ROOT = "profiler-output"
REPORTS = "rule-output"  # beside ROOT
ARCHIVES = (".tar.gz", ".tgz")
AT_ONCE = 16  # requests to S3
FAILURES = (OSError, ClientError, BotoCoreError)


class Files(Protocol):
    """Files below a place, by names with slashes, relative to it."""

    names: list[str]

    def contents(self, names: list[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """Each file's bytes, or why it cannot be read."""

    def fetch(self, name: str, file: BinaryIO) -> None:
        """Copy a file that may be large."""


class Folder:
    def __init__(self, root: Path, below: tuple[str, ...] = ("",)) -> None:
        self.root = root
        self.names = sorted(name for folder in below for name in self._walk(root / folder))

    def _walk(self, folder: Path) -> Iterator[str]:
        if folder.is_file():
            yield folder.relative_to(self.root).as_posix()
        for parent, _, files in os.walk(folder):
            for file in files:
                yield (Path(parent) / file).relative_to(self.root).as_posix()

    def contents(self, names: list[str]) -> Iterator[tuple[str, bytes | Exception]]:
        for name in names:
            try:
                yield name, (self.root / name).read_bytes()
            except OSError as error:
                yield name, error

    def fetch(self, name: str, file: BinaryIO) -> None:
        with (self.root / name).open("rb") as source:
            shutil.copyfileobj(source, file)


class Prefix:
    """Objects below a prefix of a bucket, by boto3's default client."""

    def __init__(self, bucket: str, prefix: str, below: tuple[str, ...] = ("",)) -> None:
        self.client = boto3.client("s3")
        self.bucket, self.prefix = bucket, f"{prefix}/" if prefix else ""
        self.names = sorted(name for each in below for name in self._list(f"{self.prefix}{each}"))

    def _list(self, prefix: str) -> Iterator[str]:
        lists = self.client.get_paginator("list_objects_v2")
        asked = {"Bucket": self.bucket, "Prefix": prefix}
        for page in persistently(lambda: list(lists.paginate(**asked))):
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):  # what consoles make as folders
                    yield item["Key"].removeprefix(self.prefix)

    def contents(self, names: list[str]) -> Iterator[tuple[str, bytes | Exception]]:
        remaining = iter(names)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while batch := list(islice(remaining, 4 * AT_ONCE)):  # what is in memory at once
                yield from zip(batch, pool.map(self._read, batch), strict=True)

    def _read(self, name: str) -> bytes | Exception:
        asked = {"Bucket": self.bucket, "Key": f"{self.prefix}{name}"}
        try:
            return persistently(lambda: self.client.get_object(**asked)["Body"].read())
        except FAILURES as error:
            return error

    def fetch(self, name: str, file: BinaryIO) -> None:
        def download() -> None:
            file.seek(0)
            file.truncate()
            self.client.download_fileobj(self.bucket, f"{self.prefix}{name}", file)

        persistently(download)


def opened(place: str | Path) -> Files:
    """The files below a place; of a profiler-output folder also the rule-output beside it.

    An archive is a place with one file.

    Raises:
        RecordingError: there is no such folder, bucket or archive, or it cannot be listed.
    """
    text = str(place).rstrip("/")
    try:
        if text.startswith("s3://"):
            bucket, _, prefix = text.removeprefix("s3://").partition("/")
            return _files(lambda base, below: Prefix(bucket, base, below), prefix)
        path = Path(place).expanduser().resolve()
        if not path.exists():
            raise RecordingError(f"no recording at {place}: there is no such file or folder")
        return _files(lambda base, below: Folder(Path(base or "/"), below), path.as_posix())
    except FAILURES as error:
        raise RecordingError(f"no recording at {place}: it cannot be listed: {error}") from error


def _files(make: Callable[[str, tuple[str, ...]], Files], path: str) -> Files:
    parent, _, last = path.rpartition("/")
    if last == ROOT:
        return make(parent, (f"{ROOT}/", f"{REPORTS}/"))
    return make(parent, (last,)) if last.endswith(ARCHIVES) else make(path, ("",))


@contextmanager
def unpacked(files: Files, name: str, notes: list[str]) -> Iterator[Folder]:
    """What an archive holds below a profiler-output folder, as far as it can be read.

    Links and names that lead out of the archive are left out, with a note.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as archive:
        try:
            files.fetch(name, archive)
            archive.seek(0)
            _unpack(archive, folder, name, notes)
        except (*FAILURES, tarfile.TarError, EOFError, zlib.error, LZMAError) as error:
            notes.append(f"{name}: the archive is damaged; what came before was read ({error}).")
        yield Folder(Path(folder))


def _unpack(archive: BinaryIO, folder: str, name: str, notes: list[str]) -> None:
    left = 0
    with tarfile.open(fileobj=archive) as tar:
        for member in tar:
            if ROOT not in PurePosixPath(member.name).parts or member.isdir():
                continue
            try:
                if not member.isfile() or ".." in PurePosixPath(member.name).parts:
                    raise tarfile.FilterError
                tar.extract(member, folder, filter="data")
            except (tarfile.FilterError, FileExistsError, IsADirectoryError, NotADirectoryError):
                left += 1
    if left:
        notes.append(f"{name}: {left} members that are no plain files were left out.")
