"""Saved tensors as smdebug's trials, which never wait here: they show what there is.

smdebug's own `create_trial` waits for ever for files that nobody will write, and asks S3 twice for
each tensor. A trial on S3 is therefore a local trial on a copy, brought up to date by `look`.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

import boto3
from botocore.exceptions import ClientError
from smdebug.core.modes import ModeKeys
from smdebug.core.tensor import StepState
from smdebug.core.utils import get_worker_name_from_collection_file
from smdebug.exceptions import SMDebugError, StepUnavailable
from smdebug.trials.local_trial import LocalTrial

ORDER = ("collections", "events", "index")  # an index names events, which must be there by then


class TrialError(Exception):
    """There are no tensors to read, or they are damaged; the text says which and what to do."""


class Trial(LocalTrial):
    """A folder of tensors as far as it has been written; `look` sees what was added."""

    def __init__(self, folder: Path, source: str) -> None:
        """`source` is the place that messages name.

        Raises:
            TrialError: nothing was saved there, or what was cannot be read.
        """
        self.source = source
        try:
            super().__init__(source.rstrip("/").rsplit("/", 1)[-1], str(folder), cache=True)
        except (ValueError, KeyError, TypeError) as error:
            raise TrialError(f"{source}: a file of collections is damaged: {error}") from error
        self.index_reader.event_file_retry_limit = 0  # what is not there is not waited for

    def _load_collections(self) -> None:
        folder = Path(self.path, "collections", "000000000")
        files = sorted(str(file) for file in folder.glob("*collections.json"))
        if not files:
            raise TrialError(
                f"{self.source} holds no tensors: the script saved none, or has no Debugger hook"
            )
        self._read_collections(files)
        self.worker_set = {get_worker_name_from_collection_file(file) for file in files}

    def maybe_refresh(self, name: str | None = None) -> None:
        """Nothing: `look` alone reads what is new, once for all rules."""

    def refresh_data(self) -> None:
        try:
            super().refresh_data()
        except (SMDebugError, ValueError, KeyError) as error:
            raise TrialError(f"{self.source}: a file of the index is damaged: {error}") from error

    def wait_for_steps(self, required_steps: list[int], mode: ModeKeys = ModeKeys.GLOBAL) -> None:
        for step in required_steps:
            if self.has_passed_step(step, mode) != StepState.AVAILABLE:
                raise StepUnavailable(step, mode)

    def look(self, ended: bool = False) -> list[int]:
        """Read what was added; return all complete global steps, in order.

        Args:
            ended: nothing will be added: a step that some workers wrote is as complete as it gets.
        """
        self.refresh_data()
        self.loaded_all_steps = ended
        return self.steps()

    def forget(self, step: int) -> None:
        """Let go of the values of a global step."""
        mode, mode_step = self.mode_modestep(step)
        for name in self.global_step_to_tensors_map.get(step, ()):
            for saved in self.tensor(name)._get_step_dict(mode_step, mode).values():
                saved.value = None


class S3Trial(Trial):
    """A copy of tensors in S3, in a folder that goes with this object."""

    def __init__(self, uri: str) -> None:
        self.bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self.prefix = prefix.rstrip("/") + "/"
        self.s3 = boto3.client("s3")
        self.copy = Path(tempfile.mkdtemp(prefix="tensors-"))
        weakref.finalize(self, shutil.rmtree, self.copy, ignore_errors=True)
        self.copied: set[str] = set()
        self.source = uri
        self._bring()
        super().__init__(self.copy, uri)

    def look(self, ended: bool = False) -> list[int]:
        self._bring()
        return super().look(ended)

    def forget(self, step: int) -> None:
        super().forget(step)
        shutil.rmtree(self.copy / "events" / f"{step:012d}", ignore_errors=True)

    def _bring(self) -> None:
        """Copy what is new."""
        try:
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            found = [item["Key"] for page in pages for item in page.get("Contents", [])]
            for part in ORDER:
                for key in found:
                    name = key.removeprefix(self.prefix)
                    if name.startswith(f"{part}/") and key not in self.copied:
                        self._copy(key, name)
        except ClientError as error:
            raise TrialError(f"{self.source} cannot be read: {error}") from error

    def _copy(self, key: str, name: str) -> None:
        place = self.copy / name
        if ".." in place.parts:
            raise TrialError(f"{self.source}: the object name '{name}' points outside")
        place.parent.mkdir(parents=True, exist_ok=True)
        self.s3.download_file(self.bucket, key, str(place))
        self.copied.add(key)


def open_trial(path: str | Path) -> Trial:
    """The tensors in a folder, or below an ``s3://`` address.

    Raises:
        TrialError: nothing was saved there, or what was cannot be read.
    """
    if str(path).startswith("s3://"):
        return S3Trial(str(path))
    return Trial(Path(path).expanduser(), str(path))
