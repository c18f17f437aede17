"""What each step of a run takes, by its parts: lines of JSON, written while the run goes on.

Below the recording's folder come `framework/steps/<YYYYMMDDHH>/<minute>.<node>-<rank>.json`, the
hour in UTC and the minute by the Unix time of its start. Every line is an object with NodeId, Rank,
Timestamp (Unix seconds; when the thing began) and Type:

    step    Phase (train, valid, test), Epoch, Step (from 0 over the run, in each phase), Images,
            and in seconds: Seconds (the whole), Data (waiting for the loader's batch),
            HostToDevice, Forward (with the loss), Backward, Optimizer (with the schedule).
            What a step does not have is absent. Traced: true while PyTorch's profiler slows it.
    span    Name (initialization: from the process's start to the first step; evaluation,
            checkpoint, trace), Seconds
    loader  Name (train, valid, test), Workers, PinMemory, BatchSize, Cores, Photos
    run     Model, Device, Precision, Threads, BatchSize, ImageSize, Epochs, TrainLayers, ...

On a GPU all of a step's times are the device's own, between events in its stream: `Data` is the
time that the device stood still for it. They are read once they have happened, so that the loop
never waits. On a CPU they are those of the process's clock.
"""

import contextlib
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from debugger.sampler import MinuteFiles
from debugger.tracing import Trace
from distributed import process_began

FLUSH_S = 1.0  # what a killed job loses at most, besides the step that it was at
SEEN_S = 0.1  # shorter pauses are no spans


class HostClock:
    """The process's own clock. Marks are moments; `seconds` are between two of them."""

    def __init__(self):
        self.start = self.mark()
        self.wait(self.start)
        self.epoch = time.time()

    def mark(self) -> Any:
        return time.perf_counter()

    def has_passed(self, mark: Any) -> bool:
        return True

    def wait(self, mark: Any) -> None:
        """Return when the moment has passed."""

    def seconds(self, first: Any, last: Any) -> float:
        return last - first

    def when(self, mark: Any) -> float:
        """The moment in Unix seconds."""
        return self.epoch + self.seconds(self.start, mark)


class DeviceClock(HostClock):
    """A GPU's clock, which runs behind the process's: marks are events in its stream."""

    def mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def has_passed(self, mark: Any) -> bool:
        return mark.query()

    def wait(self, mark: Any) -> None:
        mark.synchronize()

    def seconds(self, first: Any, last: Any) -> float:
        return first.elapsed_time(last) / 1000


@dataclass
class Step:
    """A step as the loop leaves it: its moments, each with the part that it ends."""

    about: dict[str, Any]
    marks: list[tuple[str, Any]]
    ends: Any = None
    images: int = 0

    def row(self, clock: HostClock) -> dict[str, Any]:
        """Return the step as a line's members; all its moments must have passed."""
        begin = last = self.marks[0][1]
        row = {**self.about, "Seconds": round(clock.seconds(begin, self.ends), 7)}
        for part, mark in self.marks[1:]:
            row[part] = round(clock.seconds(last, mark), 7)
            last = mark
        return {**row, "Images": self.images, "Timestamp": round(clock.when(begin), 6)}


class Steps:
    """Records a run's steps and spans below `folder`; without one, nothing.

    Every method may be called in either case, and none fails the run: a folder that cannot be
    written is told in one line. What an earlier attempt at the job left there is removed.
    """

    def __init__(
        self,
        folder: Path | None = None,
        node: str = "algo-1",
        rank: int = 0,
        trace: Trace | None = None,
    ):
        self.names, self.trace = {"NodeId": node, "Rank": rank}, trace
        self.phase, self.epoch, self.counts = "train", 0, Counter()
        self.clock, self.step = HostClock(), None
        self.pending: deque[Step] = deque()
        self.rows: list[dict[str, Any]] = []
        self.flushed = time.monotonic()
        self.files: MinuteFiles | None = None
        if folder is not None:
            self.files = MinuteFiles(folder / "framework" / "steps", f".{node}-{rank}.json")
            self._safely(self.files.clear)

    def begin(self, phase: str, epoch: int) -> None:
        """Steps from here on are of this phase (train, valid or test) and this epoch."""
        self.phase, self.epoch = phase, epoch

    def over(self, loader: Any, device: Any) -> Iterator[Any]:
        """Go over a loader's batches, each of them a step; `device` does the arithmetic.

        A batch's second member has a label for each photo.
        """
        if self.files is None:
            yield from loader
            return
        with self._pass(device):
            yield from self._steps(loader)

    def _steps(self, loader: Any) -> Iterator[Any]:
        batches = _lazily(loader)
        for left in itertools.count(len(loader), -1):
            traced = left > 0 and self._is_traced(len(loader))
            with self._named(traced):
                self._begin_step(traced)
                batch = next(batches, None)
                if batch is None:
                    break
                self.mark("Data")
                yield batch
                self._end_step(len(batch[1]))
            self._write_trace()
            self._drain()
        self.step = None
        if self.trace is not None:
            self.trace.pause()

    def mark(self, part: str) -> None:
        """What the step has done since the last mark was this part of it."""
        if self.step is not None:
            self.step.marks.append((part, self.clock.mark()))

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Record how long the context lasts."""
        begin, epoch = time.perf_counter(), time.time()
        yield
        self.about("span", Name=name, Seconds=_since(begin), Timestamp=round(epoch, 6))

    def about(self, kind: str, **members: Any) -> None:
        """Record a line of Type `kind`, which counts from now unless it has a Timestamp."""
        self._add({"Type": kind, "Timestamp": round(time.time(), 6), **members})

    def close(self) -> None:
        """Write what is outstanding."""
        if self.trace is not None:
            self.trace.write()
        self._drain(wait=True)
        self._flush()

    @contextlib.contextmanager
    def _pass(self, device: Any) -> Iterator[None]:
        if not self.counts:
            began = process_began()
            seconds = round(time.time() - began, 6)
            self.about("span", Name="initialization", Seconds=seconds, Timestamp=round(began, 6))
        self._drain(wait=True)
        self.clock = DeviceClock() if device.type == "cuda" else HostClock()
        if self.phase == "train":
            yield
            return
        with self.span("evaluation"):
            yield
            self._drain(wait=True)

    def _is_traced(self, steps: int) -> bool:
        if self.trace is None or self.phase != "train":
            return False
        begin, epoch = time.perf_counter(), time.time()
        traced = self.trace.begins(steps, self.counts[self.phase])
        if _since(begin) > SEEN_S:  # the profiler has started
            self.about("span", Name="trace", Seconds=_since(begin), Timestamp=round(epoch, 6))
        return traced

    def _named(self, traced: bool) -> contextlib.AbstractContextManager:
        return self.trace.step(self.counts[self.phase]) if traced else contextlib.nullcontext()

    def _begin_step(self, traced: bool) -> None:
        about = {"Type": "step", "Phase": self.phase, "Epoch": self.epoch}
        about["Step"] = self.counts[self.phase]
        if traced:
            about["Traced"] = True
        self.step = Step(about, [("", self.clock.mark())])

    def _end_step(self, images: int) -> None:
        step, self.step = self.step, None
        step.ends, step.images = self.clock.mark(), images
        self.pending.append(step)
        self.counts[self.phase] += 1

    def _write_trace(self) -> None:
        """Write the trace if the step that is over was its last."""
        training = self.trace is not None and self.phase == "train"
        if training and self.trace.ends(self.counts["train"] - 1):
            with self.span("trace"):
                self.trace.write()

    def _drain(self, wait: bool = False) -> None:
        """Turn the steps that are over into lines; with `wait`, all of them."""
        while self.pending:
            if wait:
                self.clock.wait(self.pending[0].ends)
            elif not self.clock.has_passed(self.pending[0].ends):
                return
            self._add(self.pending.popleft().row(self.clock))

    def _add(self, row: dict[str, Any]) -> None:
        if self.files is not None:
            moment = row.pop("Timestamp")
            self.rows.append({**row, **self.names, "Timestamp": moment})
            if time.monotonic() - self.flushed >= FLUSH_S:
                self._flush()

    def _flush(self) -> None:
        if self.files is not None:
            self._safely(self.files.write, self.rows)
        self.rows, self.flushed = [], time.monotonic()

    def _safely(self, write: Callable[..., None], *arguments: Any) -> None:
        try:
            write(*arguments)
        except OSError as error:
            self.files = None
            print(f"steps=off: {error}", flush=True)


def _lazily(loader: Any) -> Iterator[Any]:
    # Loader processes start with the first batch, which waits for them.
    yield from loader


def _since(begin: float) -> float:
    return round(time.perf_counter() - begin, 6)
