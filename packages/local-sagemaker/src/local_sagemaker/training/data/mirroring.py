"""Folders of a job that are kept on S3 while it runs: checkpoints, tensors, logs, its profile."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker.aws.s3 import downloads
from local_sagemaker.aws.s3.service import S3, split
from local_sagemaker.runtime.tree import Tree
from local_sagemaker.training import configuration, profiler_config

log = logging.getLogger(__name__)

LOOK_S = 1.0  # between two looks at a folder
GROWING_S = 5.0  # the same where files are stored while they grow, each time as a whole
PAUSE_S = 10.0  # the longest between two looks
PROFILER = "profiler"  # the sampler's folder, beside an instance's /opt/ml
QUIET = 20  # a look may take one part in so many of the time, within that pause

State = tuple[int, int, int]


@dataclass
class Mirror:
    """One folder and its place on S3.

    `grows`: its files are stored while they grow, as an event log is read; else a file is stored
    once two looks found it unchanged. `deletes`: what goes here goes there too.
    """

    folder: Path
    uri: str
    grows: bool = False
    deletes: bool = False
    ignored: tuple[str, ...] = ()  # endings of names
    looked: float = 0.0
    seen: dict[str, State] = field(default_factory=dict)
    stored: dict[str, State] = field(default_factory=dict)


def tensors(job: dict) -> str:
    """The S3 address below which the tensors of a job with a DebugHookConfig are kept."""
    base = job["DebugHookConfig"]["S3OutputPath"].rstrip("/")
    return f"{base}/{job['TrainingJobName']}/debug-output"


def mirrors(job: dict, tree: Tree) -> list[Mirror]:
    """The folders that a job asked to have kept while it runs, where AWS keeps them."""
    name, found = job["TrainingJobName"], []

    def place(member: str) -> Path:
        return tree.place(configuration.local_path(job, member))

    if checkpoints := job.get("CheckpointConfig"):
        uri = checkpoints["S3Uri"].rstrip("/")
        found.append(Mirror(place("CheckpointConfig"), uri, deletes=True))
    if "DebugHookConfig" in job:
        # smdebug writes each file under this ending and renames it when it is complete.
        ignored = (".tmp",)
        found.append(Mirror(place("DebugHookConfig"), tensors(job), ignored=ignored))
    if board := job.get("TensorBoardOutputConfig"):
        uri = f"{board['S3OutputPath'].rstrip('/')}/{name}/tensorboard-output"
        found.append(Mirror(place("TensorBoardOutputConfig"), uri, grows=True))
    if profiler_config.is_enabled(job):
        uri, own = profiler_config.recording(job), place("ProfilerConfig") / "framework"
        found.append(Mirror(tree.root / PROFILER / "system", f"{uri}/system", grows=True))
        # smdebug's files again
        found.append(Mirror(own, f"{uri}/framework", grows=True, ignored=(".tmp",)))
    return found


class Mirroring:
    """Keeps the mirrors of one job; looks at their folders in a thread of its own."""

    def __init__(self, s3: S3, tree: Tree, found: list[Mirror], scratch: Path) -> None:
        self.s3, self.tree, self.mirrors, self.scratch = s3, tree, found, scratch
        self._ended = threading.Event()

    def restore(self) -> None:
        """Bring the checkpoints that are on S3 into their folder, which is made in any case.

        Raises:
            DownloadError: an object there cannot be a file.
        """
        for mirror in self.mirrors:
            if mirror.deletes:
                mirror.folder.mkdir(parents=True, exist_ok=True)
                downloads.download(self.s3, f"{mirror.uri}/", mirror.folder)
                files = self.tree.files(mirror.folder)
                mirror.stored = {name: _state(place) for name, place in files}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look again and again inside the block."""
        thread = threading.Thread(target=self._look_on, daemon=True)
        if self.mirrors:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            if thread.is_alive():
                thread.join()

    def finish(self) -> None:
        """Store the last state, whatever it is; the job's processes must have ended.

        Raises:
            OSError, or moto's errors: something could not be stored.
        """
        for mirror in self.mirrors:
            self._look(mirror, final=True)

    def _look_on(self) -> None:
        pause = LOOK_S
        while not self._ended.wait(pause):
            started = time.monotonic()
            for mirror in self.mirrors:
                self._look_safely(mirror)
            pause = min(PAUSE_S, max(LOOK_S, QUIET * (time.monotonic() - started)))

    def _look_safely(self, mirror: Mirror) -> None:
        now = time.monotonic()
        if mirror.grows and now - mirror.looked < GROWING_S:
            return
        mirror.looked = now
        try:
            self._look(mirror)
        except FileNotFoundError:  # a folder that was there a moment ago
            return
        except Exception:  # the bucket may be gone: the job's end will tell
            log.warning("storing %s", mirror.uri, exc_info=True)

    def _look(self, mirror: Mirror, final: bool = False) -> None:
        places = _places(self.tree, mirror)
        states = {}
        for name, place in places.items():
            with contextlib.suppress(FileNotFoundError):  # it was there a moment ago
                states[name] = _state(place)
        for name in sorted(states, key=lambda each: states[each][2]):  # as they were written
            if self._is_due(mirror, name, states[name], final):
                self._store(mirror, name, places[name], states[name], final)
        if mirror.deletes:
            # A folder that is being replaced is missing for a moment only.
            gone = set(mirror.stored) - set(places) - (set() if final else set(mirror.seen))
            for name in gone:
                self._delete(mirror, name)
        mirror.seen = states

    def _is_due(self, mirror: Mirror, name: str, state: State, final: bool) -> bool:
        settled = mirror.grows or mirror.seen.get(name) == state
        return mirror.stored.get(name) != state and (final or settled)

    def _store(self, mirror: Mirror, name: str, place: Path, state: State, final: bool) -> None:
        """Store a copy, unless the file changed meanwhile: then a later look will."""
        copy = self.scratch / "mirrored"
        try:
            shutil.copyfile(place, copy)
            unchanged = _state(place) == state
        except FileNotFoundError:  # it was there a moment ago
            return
        if final or unchanged or mirror.grows:
            self.s3.put_file(f"{mirror.uri}/{name}", copy)
        # What was written within one tick of the clock looks unchanged.
        rested = not mirror.grows or time.time_ns() - state[2] > LOOK_S * 1e9
        if unchanged and rested:
            mirror.stored[name] = state

    def _delete(self, mirror: Mirror, name: str) -> None:
        bucket, key = split(f"{mirror.uri}/{name}")
        with self.s3.transaction():
            self.s3.backend.delete_object(bucket, key)
        del mirror.stored[name]


def _places(tree: Tree, mirror: Mirror) -> dict[str, Path]:
    files = tree.files(mirror.folder)
    return {name: place for name, place in files if not name.endswith(mirror.ignored or ("\0",))}


def _state(file: Path) -> State:
    """What changes when a file is written to or replaced; the last is a time in ns."""
    known = file.stat()
    return known.st_ino, known.st_size, known.st_ctime_ns
