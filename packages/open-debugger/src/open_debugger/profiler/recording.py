"""What was recorded of a run: system metrics, step times, and what is known of its job.

The plain data that readers make and that rules and report look at. A recording lies in a folder, or
below an ``s3://`` address, in this layout:

- ``system/incremental/<YYYYMMDDHH>/<unix minute>.<node>.json``: AWS's system metrics, one JSON
  object a line with Type, Name, Dimension, Value, NodeId, Timestamp (`sampler.py` beside this).
- ``framework/steps/<YYYYMMDDHH>/<unix minute>.<node>-<rank>.json``: our step times, one JSON object
  a line, of Type step, span, loader or run (`docs/profiler.md` lists their members).
- ``framework/trace/<node>-<rank>.trace.json.gz`` and ``….operators.json``: PyTorch's profiler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

# Parts of a step in their order, in seconds; what is left of `seconds` is Python's.
PARTS = ("data", "host_to_device", "forward", "backward", "optimizer")
STEP_COLUMNS = ("node", "rank", "phase", "epoch", "step", "start", "seconds", *PARTS, "images")
SPAN_COLUMNS = ("node", "rank", "name", "start", "seconds")
OPERATOR_COLUMNS = ("name", "calls", "cpu_seconds", "device_seconds", "share")


class RecordingError(Exception):
    """There is nothing to read; the text names the place and what was looked for."""


class Metric(NamedTuple):
    """One measured quantity, by AWS's names: ``("algo-1", "gpu", "gpu0", "GPUUtilization")``.

    Of memory, i/o and network AWS writes what was measured into Name; here it is always the
    dimension: ``("algo-1", "memory", "memory", "MemoryUsedPercent")``, ``(…, "i/o", "i/o",
    "IOPS")``, ``(…, "network", "Algorithm" or "Platform", "ReceiveBytesPerSecond")``.
    """

    node: str
    type: str  # cpu, memory, i/o, network, gpu
    name: str  # cpu0, gpu0, ...
    dimension: str


@dataclass(frozen=True)
class Series:
    """Samples of one metric: `times` in seconds since the epoch, ascending, and their `values`."""

    times: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Phase:
    """A part of a job's life by SageMaker's clock; `end` is None while it lasts."""

    name: str  # Starting, Downloading, Training, Uploading, ...
    start: float
    end: float | None


@dataclass(frozen=True)
class Job:
    """What DescribeTrainingJob says; times in seconds since the epoch."""

    name: str
    status: str
    instance_type: str = ""
    instances: int = 1
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    billable_seconds: float | None = None
    failure: str = ""
    phases: list[Phase] = field(default_factory=list)


@dataclass
class Recording:
    """All that is known of one run; what could not be read is missing, and said in `notes`."""

    source: str
    system: dict[Metric, Series] = field(default_factory=dict)
    steps: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(STEP_COLUMNS)))
    spans: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SPAN_COLUMNS)))
    loaders: list[dict] = field(default_factory=list)  # Name, Workers, PinMemory, BatchSize, Cores
    run: dict = field(default_factory=dict)  # Model, Device, Precision, ... as the script says
    operators: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=list(OPERATOR_COLUMNS))
    )
    job: Job | None = None
    managed: dict[str, dict] = field(default_factory=dict)  # AWS's own rule reports, by rule
    notes: list[str] = field(default_factory=list)

    def select(self, type: str, dimension: str, node: str | None = None) -> dict[str, Series]:
        """The series of one type and dimension, by their names (of several nodes, node/name)."""
        nodes = {metric.node for metric in self.system}
        return {
            metric.name if len(nodes) == 1 else f"{metric.node}/{metric.name}": series
            for metric, series in sorted(self.system.items(), key=_natural)
            if (metric.type, metric.dimension) == (type, dimension) and node in (None, metric.node)
        }

    @property
    def gpus(self) -> list[str]:
        """The names of the GPUs that were sampled; none where there is none."""
        return list(self.select("gpu", "GPUUtilization"))

    @property
    def interval(self) -> float | None:
        """The median time between two samples of a metric, in seconds; None without samples."""
        longest = max(self.system.values(), key=lambda series: len(series.times), default=None)
        if longest is None or len(longest.times) < 2:
            return None
        return float(np.median(np.diff(longest.times)))

    @property
    def start(self) -> float | None:
        """When the first thing was recorded, in seconds since the epoch."""
        return min(self._ends()[0], default=None)

    @property
    def end(self) -> float | None:
        """When the last thing was recorded."""
        return max(self._ends()[1], default=None)

    def _ends(self) -> tuple[list[float], list[float]]:
        series = [each for each in self.system.values() if len(each.times)]
        firsts = [float(each.times[0]) for each in series]
        lasts = [float(each.times[-1]) for each in series]
        for frame in (self.steps, self.spans):
            if len(frame):
                firsts.append(float(frame["start"].min()))
                lasts.append(float((frame["start"] + frame["seconds"]).max()))
        return firsts, lasts


def _natural(item: tuple[Metric, Series]) -> list:
    """An order in which cpu2 comes before cpu10."""
    pieces = re.split(r"(\d+)", f"{item[0].node} {item[0].name}")
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]
