"""PyTorch's profiler over some training steps: a trace of their operators, and a table of them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import record_function

WARM_UP = 3  # the first steps allocate memory and choose kernels, as no later one does


class Trace:
    """Traces `steps` training steps of a run of `epochs`, from the fourth or as late as it can be.

    Writes `<stem>.trace.json.gz`, in Chrome's format, and `<stem>.operators.json`: a list of Name,
    Calls, CpuSeconds and DeviceSeconds (on a GPU), which are an operator's own, without those of
    the operators that it calls. A failure is told in one line and not raised.
    """

    def __init__(self, stem: Path, steps: int, epochs: int):
        self.stem, self.steps, self.epochs = stem, steps, epochs
        self.first: int | None = None
        self.profiler: Any = None
        self.paused = self.over = False

    def begins(self, steps: int, step: int) -> bool:
        """Whether `step` shall be traced, counted from 0 over a run with epochs of `steps`.

        If so, the profiler runs on return; it takes seconds to start.
        """
        if self.first is None:
            self.first = max(0, min(WARM_UP, steps * self.epochs - self.steps))
        if self.over or not self.first <= step < self.first + self.steps:
            return False
        if self.profiler is None:
            self._start()
        elif self.paused:
            self._collect(True)
        return not self.over

    @contextlib.contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Give the step its name, for as long as the context lasts."""
        with record_function(f"ProfilerStep#{step}"):  # what viewers take for a step
            yield

    def ends(self, step: int) -> bool:
        """Whether `step` was the last one, so that it is time to write."""
        return not self.over and self.first is not None and step + 1 == self.first + self.steps

    def pause(self) -> None:
        """Leave out what follows until the next step: it is no training."""
        if self.profiler is not None and not self.over:
            self._collect(False)

    def write(self) -> None:
        """Write what has been traced, if anything has: the trace is over."""
        if self.over or self.profiler is None:
            return
        self.over = True
        try:
            self.profiler.stop()
            self.stem.parent.mkdir(parents=True, exist_ok=True)
            self.profiler.export_chrome_trace(f"{self.stem}.trace.json.gz")
            table = json.dumps(_operators(self.profiler), indent=1) + "\n"
            Path(f"{self.stem}.operators.json").write_text(table)
        except (OSError, RuntimeError) as error:
            print(f"trace=off: {error}", flush=True)

    def _start(self) -> None:
        self.profiler = torch.profiler.profile(activities=_activities())
        try:
            self.profiler.start()
        except RuntimeError as error:  # another profiler holds the GPU, say
            self.over = True
            print(f"trace=off: {error}", flush=True)

    def _collect(self, on: bool) -> None:
        self.profiler.toggle_collection_dynamic(on, _activities())
        self.paused = not on


def _activities() -> list[Any]:
    return sorted(torch.profiler.supported_activities(), key=str)


def _operators(profiler: Any) -> list[dict[str, Any]]:
    """The operators' own times, the longest first."""
    rows = [
        {
            "Name": event.key,
            "Calls": event.count,
            "CpuSeconds": event.self_cpu_time_total / 1e6,
            "DeviceSeconds": event.self_device_time_total / 1e6,
        }
        for event in profiler.key_averages()
        # A GPU's kernels have rows besides; their times are already those of their operators.
        if event.device_type == torch.autograd.DeviceType.CPU and not event.is_user_annotation
    ]
    return sorted(rows, key=lambda row: (-row["DeviceSeconds"], -row["CpuSeconds"]))
