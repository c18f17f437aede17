"""Saved tensors as smdebug's trials, which never wait here: they show what there is.

smdebug's own `create_trial` waits for ever for files that nobody will write, and asks S3 twice for
each tensor. A trial on S3 is therefore a local trial on a copy: `look` brings the index up to date,
and the events of a step come when the first of its tensors is read.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import boto3
import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from smdebug.core.index_reader import LocalIndexReader
from smdebug.core.locations import TensorLocation
from smdebug.core.modes import ModeKeys
from smdebug.core.tensor import StepState
from smdebug.core.tfevent.event_file_reader import get_tensor_data
from smdebug.core.tfrecord.tensor_reader import TensorReader
from smdebug.core.utils import get_worker_name_from_collection_file
from smdebug.exceptions import StepUnavailable
from smdebug.trials.local_trial import LocalTrial

from open_debugger.retries import may_pass, persistently


class TrialError(Exception):
    """There are no tensors to read, or they are damaged; the text says which and what to do."""


class Unreachable(TrialError):
    """S3 does not answer now; it may do so at the next look."""


class Trial(LocalTrial):
    """A folder of tensors as far as it has been written; `look` sees what was added."""

    def __init__(self, folder: Path, source: str) -> None:
        """`source` is the place that messages name.

        Raises:
            TrialError: nothing was saved there, or what was cannot be read.
        """
        self.source = source
        try:
            super().__init__(source.rstrip("/").rsplit("/", 1)[-1], str(folder))
        except TrialError as error:
            raise TrialError(f"{source}: {error}") from error.__cause__

    def _load_collections(self) -> None:
        self.index_reader = _Reader(self.path, self._bring_events)
        files = self._get_collection_files()
        if not files:
            raise TrialError("no tensors here: the script saved none, or has no Debugger hook")
        try:
            self._read_collections(files)
        except Exception as error:
            raise TrialError(f"{_short(files[0])} is damaged: {error!r}") from error
        self.worker_set = {get_worker_name_from_collection_file(file) for file in files}

    def _get_collection_files(self) -> list[str]:
        folder = Path(self.path, "collections", "000000000")
        return sorted(str(file) for file in folder.glob("*_collections.json"))

    def _bring_events(self, file: Path) -> None:
        """Put a file of events into its place, if it is not there."""

    def maybe_refresh(self, name: str | None = None) -> None:
        """Nothing: `look` alone reads what is new, once for all rules."""

    def wait_for_steps(self, required_steps: list[int], mode: ModeKeys = ModeKeys.GLOBAL) -> None:
        """Wait for nothing; StepUnavailable if one of the steps is not complete."""
        for step in required_steps:
            if self.has_passed_step(step, mode) != StepState.AVAILABLE:
                raise StepUnavailable(step, mode)

    def look(self, ended: bool = False) -> list[int]:
        """Read what was added; return all complete global steps, in order.

        Args:
            ended: nothing will be added: a step that some workers wrote is as complete as it gets.

        Raises:
            TrialError: what was added cannot be read, or has `ended` without some workers' part.
        """
        try:
            self.refresh_data()
            if ended:
                self._require_all_workers()
        except TrialError as error:
            raise TrialError(f"{self.source}: {error}") from error.__cause__
        self.loaded_all_steps = ended
        return self.steps()

    def _require_all_workers(self) -> None:
        files = self._get_collection_files()
        if len(files) < self.num_workers:
            there = ", ".join(_short(file) for file in files)
            raise TrialError(f"{self.num_workers} workers were to save tensors, but only {there}")

    def remember(self, on: bool) -> None:
        """Keep values that were read, or no longer, for who reads them again."""
        self.cache = on
        for tensor in self._tensors.values():
            tensor.cache = on

    def forget(self, step: int) -> None:
        """Let go of the values of a global step."""
        mode, mode_step = self.mode_modestep(step)
        for name in self.global_step_to_tensors_map.get(step, ()):
            for saved in self.tensor(name)._get_step_dict(mode_step, mode).values():
                saved.value = None


class _Reader(LocalIndexReader):
    """smdebug's reader, which says what is damaged and waits for nothing."""

    def __init__(self, path: str, bring: Callable[[Path], None]) -> None:
        super().__init__(path)
        self.bring = bring  # a file of events to its place

    def read_index_files(
        self, start_after_key: str | None, range_steps: tuple | None = None
    ) -> tuple[list[bytes], list[int], str | None, list[str]]:
        try:
            return super().read_index_files(start_after_key, range_steps)
        except Exception as error:
            raise TrialError(f"the index cannot be read: {error!r}") from error

    def _update_tensors_from_json(
        self, index_tensors_dict: dict, step: int, response: bytes, path: str, worker: str
    ) -> dict:
        try:
            return super()._update_tensors_from_json(
                index_tensors_dict, step, response, path, worker
            )
        except Exception as error:
            raise TrialError(
                f"the index of step {step} ({worker}) is damaged: {error!r}"
            ) from error

    def fetch_tensor_value(self, tensor_location: TensorLocation) -> np.ndarray:
        place, file = tensor_location, Path(tensor_location.event_file_name)
        try:
            self.bring(file)
            with file.open("rb") as opened:
                opened.seek(place.start_idx)
                return _decoded(opened.read(place.length))
        except Exception as error:
            what = f"'{place.tensorname}' cannot be read from {file.name}"
            raise TrialError(f"{what}: {error!r}") from error


def _decoded(record: bytes) -> np.ndarray:
    """The tensor in a record of an event file."""
    _, summary = next(TensorReader(record).read_summaries())
    tensor = summary.value[0].tensor
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    return np.empty(shape) if 0 in shape else get_tensor_data(tensor)  # which takes none empty


def _short(file: str) -> str:
    return Path(file).name


class S3Trial(Trial):
    """A copy of tensors in S3, in a folder that goes with this object.

    A `passing` one lets go of its files step by step, too.
    """

    def __init__(self, uri: str, passing: bool = False) -> None:
        self.passing = passing
        self.bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self.prefix = prefix.rstrip("/") + "/"
        self.s3 = boto3.client("s3")
        self.copy = Path(tempfile.mkdtemp(prefix="tensors-"))
        weakref.finalize(self, shutil.rmtree, self.copy, ignore_errors=True)
        self.copied: set[str] = set()
        self.source = uri
        self._bring(ended=False)
        super().__init__(self.copy, uri)

    def look(self, ended: bool = False) -> list[int]:
        self._bring(ended)
        return super().look(ended)

    def forget(self, step: int) -> None:
        super().forget(step)
        if self.passing:
            shutil.rmtree(self.copy / "events" / f"{step:012d}", ignore_errors=True)

    def _bring(self, ended: bool) -> None:
        """Copy what is new; an index not before its events are there, unless none will come."""
        try:
            there = self._list()
            for name in sorted(there - self.copied):
                if name.startswith("collections/") or (
                    name.startswith("index/") and (ended or _events(name) in there)
                ):
                    self._copy(name)
        except (BotoCoreError, ClientError) as error:
            kind = Unreachable if may_pass(error) else TrialError
            raise kind(f"{self.source} cannot be read: {error}") from error

    def _bring_events(self, file: Path) -> None:
        if not file.exists():
            self._copy(str(file.relative_to(self.copy)))

    def _list(self) -> set[str]:
        lists = self.s3.get_paginator("list_objects_v2")
        asked = {"Bucket": self.bucket, "Prefix": self.prefix}
        pages = persistently(lambda: list(lists.paginate(**asked)))
        found = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key.removeprefix(self.prefix) for key in found}

    def _copy(self, name: str) -> None:
        place = self.copy / name
        if ".." in place.parts:
            raise TrialError(f"{self.source}: the object name '{name}' points outside")
        draft = self.copy / "draft"  # a file in its place is a whole one

        def fetch() -> None:
            body = self.s3.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
            with draft.open("wb") as file:
                shutil.copyfileobj(body, file)

        persistently(fetch)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(place)
        self.copied.add(name)


def _events(index: str) -> str:
    """The name of the file of events that belongs to an index."""
    name = Path(index).stem
    return f"events/{name.partition('_')[0]}/{name}.tfevents"


def open_trial(path: str | Path, passing: bool = False) -> Trial:
    """The tensors in a folder, or below an ``s3://`` address.

    Args:
        passing: each step is read once, and then let go of.

    Raises:
        TrialError: nothing was saved there, or what was cannot be read.
    """
    if str(path).startswith("s3://"):
        return S3Trial(str(path), passing)
    return Trial(Path(path).expanduser(), str(path))
