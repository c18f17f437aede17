"""The figures that a diagnosis is made from, measured while the run trained."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from open_debugger.profiler import samples
from open_debugger.profiler.recording import Recording, Series
from open_debugger.profiler.rules.gpu import distance
from open_debugger.profiler.rules.steps import part_shares

OUTLIER = 2.0  # times the median step
FEWEST_OUTLIERS = 3
TOGETHER = "total"  # CloudWatch's one series of all cores


@dataclass(frozen=True)
class Measures:
    """Shares of 0 to 1; None, or nothing in a dict, where it was not measured.

    Of a recording with step times all but `seconds` and `overheads` is of the time between the
    first training step's start and the last one's end; without, of all but the first tenth.
    """

    seconds: float = 0.0  # from the first thing recorded to the last one
    steps: int = 0  # training steps of one process
    processes: int = 0  # that train, on a node
    stepping: float | None = None  # the share of the run's time in training steps
    parts: dict[str, float] = field(default_factory=dict)  # of the training steps' time; with rest
    overheads: dict[str, float] = field(default_factory=dict)  # of the run's time, by span
    outliers: float | None = None  # of the steps' time: what outliers take beyond the median
    samples: int = 0
    cores: int = 0  # of a node; 0 where it is not known
    cpu: float | None = None  # all cores' mean
    busiest: float | None = None  # the mean of the core with the highest one
    one_full: float | None = None  # of the samples: some core above 90%
    io: float | None = None  # of the samples: some core waits for storage more than half its time
    gpus: dict[str, float] = field(default_factory=dict)  # each one's mean utilization
    distance: float = 0.0  # the greatest between two GPUs
    memory: float | None = None  # the fullest GPU's maximum
    rise: float = 0.0  # the greatest steady rise of a GPU's memory
    workers: int | None = None  # of the training's loader, in one process

    @property
    def gpu(self) -> float | None:
        """The GPUs' mean utilization."""
        return float(np.mean(list(self.gpus.values()))) if self.gpus else None

    @property
    def idle(self) -> float | None:
        """The share of their time in which the cores are idle."""
        return None if self.cpu is None else max(0.0, 1 - self.cpu)

    @property
    def movable(self) -> float:
        """The share of a training step that more loader processes can save at most.

        A step cannot be shorter than without its wait for data. And the work does not disappear: it
        moves to other processes, which need cores that are idle. The smaller share is the bound.
        """
        wait = self.parts.get("data", 0.0)
        return wait if self.idle is None else min(wait, self.idle)

    @property
    def compute(self) -> float:
        """The share of the steps' time in the network and the optimizer."""
        return sum(self.parts.get(part, 0.0) for part in ("forward", "backward", "optimizer"))


def measure(recording: Recording) -> Measures:
    """Measure a recording."""
    start, end = recording.start, recording.end
    seconds = end - start if start is not None else 0.0
    span = samples.training(recording) or (start, end)
    if start is not None and samples.training(recording) is None:
        span = (start + 0.1 * seconds, end)
    figures = {**_of_steps(recording, seconds), **_of_system(recording, span)}
    return Measures(seconds=seconds, workers=_workers(recording), **figures)


def _of_steps(recording: Recording, seconds: float) -> dict:
    steps = recording.steps[recording.steps["phase"] == "train"]
    steps = steps[np.isfinite(steps["seconds"].astype(float))]
    overheads = _overheads(recording, seconds)
    if not len(steps) or not seconds > 0:
        return {"overheads": overheads}
    processes = steps.groupby(["node", "rank"]).ngroups
    parts = {part: share / 100 for part, share in part_shares(steps).items()}
    if parts:
        parts["rest"] = max(0.0, 1 - sum(parts.values()))
    stepping = min(1.0, float(steps["seconds"].sum()) / processes / seconds)
    counted = {"steps": len(steps) // processes, "stepping": stepping, "parts": parts}
    counted["processes"] = max(1, processes // steps["node"].nunique())
    return {**counted, "overheads": overheads, "outliers": _outliers(steps)}


def _overheads(recording: Recording, seconds: float) -> dict[str, float]:
    """Of the run's time, by span, of the process that spends most."""
    spans = recording.spans
    if not len(spans) or not seconds > 0:
        return {}
    sums = spans.assign(seconds=spans["seconds"].astype(float))
    sums = sums.groupby(["name", "node", "rank"])["seconds"].sum().groupby("name").max()
    return {name: min(1.0, value / seconds) for name, value in sums.items()}


def _outliers(steps: pd.DataFrame) -> float:
    """Of the steps' time, what those beyond twice the median take more than the median.

    Waiting for data is no part of it, for that has its own share; nor is each process's first
    step, which is always long (the device's libraries load, memory is found).
    """
    more, several = 0.0, 0
    for _, group in steps.groupby(["node", "rank"]):
        own = group["seconds"].astype(float) - group["data"].astype(float).fillna(0)
        own = own.iloc[np.argsort(group["start"].to_numpy(float))].iloc[1:]
        beyond = own[own > OUTLIER * own.median()] - own.median()
        more, several = more + float(beyond.sum()), max(several, len(beyond))
    return more / float(steps["seconds"].sum()) if several >= FEWEST_OUTLIERS else 0.0


def _of_system(recording: Recording, span: tuple) -> dict:
    nodes = samples.nodes(recording)
    found = [_of_node(recording, node, span) for node in nodes]
    counted = {"samples": max((each["samples"] for each in found), default=0)}
    gpus = {
        f"{node}/{name}" if len(nodes) > 1 else name: within(each, span) / 100
        for node in nodes
        for name, each in samples.series(recording, node, "gpu", "GPUUtilization").items()
    }
    gpus = {name: values for name, values in gpus.items() if len(values)}
    figures = {key: _mean(found, key) for key in ("cpu", "busiest", "one_full", "io")}
    figures |= {"cores": max((each["cores"] for each in found), default=0)}
    figures |= {"gpus": {name: float(values.mean()) for name, values in gpus.items()}}
    if len(gpus) > 1:
        figures["distance"] = float(distance(list(gpus.values())).max())
    return {**counted, **figures, **_of_memory(recording, nodes, span)}


def _of_node(recording: Recording, node: str, span: tuple) -> dict:
    cores = samples.series(recording, node, "cpu", "CPUUtilization")
    waits = samples.series(recording, node, "cpu", "I/OWaitPercentage")
    levels = {name: within(each, span) / 100 for name, each in cores.items()}
    means = [float(values.mean()) for values in levels.values() if len(values)]
    gpus = samples.series(recording, node, "gpu", "GPUUtilization")
    counts = [len(within(each, span)) for each in (*cores.values(), *gpus.values())]
    return {
        "samples": max(counts, default=0),
        "cores": _cores(recording, cores),
        "cpu": float(np.mean(means)) if means else None,
        "busiest": max(means, default=None),
        "one_full": _share_above(cores, span, 90),
        "io": _share_above(waits, span, 50),
    }


def _cores(recording: Recording, cores: dict[str, Series]) -> int:
    """The number of cores; CloudWatch has all in one series, and then only the loader may know."""
    if list(cores) != [TOGETHER]:
        return len(cores)
    known = [each.get("Cores") for each in recording.loaders]
    return max((count for count in known if isinstance(count, int)), default=0)


def _share_above(found: dict[str, Series], span: tuple, percent: float) -> float | None:
    """The share of the times at which one of several series is above a percentage."""
    times = next((each.times for each in found.values()), np.array([]))
    times = times[(times >= span[0]) & (times <= span[1])] if len(times) else times
    if not len(times):
        return None
    return float((samples.table(times, found) > percent).any(axis=0).mean())


def _of_memory(recording: Recording, nodes: list[str], span: tuple) -> dict:
    found = [
        within(each, span)
        for node in nodes
        for each in samples.series(recording, node, "gpu", "GPUMemoryUtilization").values()
    ]
    found = [values for values in found if len(values)]
    # The model and its first batch fill the memory while the first steps run.
    rise = max((samples.steady_rise(values[len(values) // 20 :]) for values in found), default=0)
    most = max((float(values.max()) / 100 for values in found), default=None)
    return {"memory": most, "rise": rise / 100}


def within(each: Series, span: tuple) -> np.ndarray:
    """The values between two times."""
    return each.values[(each.times >= span[0]) & (each.times <= span[1])]


def _mean(found: list[dict], key: str) -> float | None:
    values = [each[key] for each in found if each[key] is not None]
    return float(np.mean(values)) if values else None


def _workers(recording: Recording) -> int | None:
    """What our script says of its training's loader, or what AWS's own rule had seen."""
    for loader in recording.loaders:
        if loader.get("Name", "train") == "train" and isinstance(loader.get("Workers"), int):
            return loader["Workers"]
    details = recording.managed.get("Dataloader", {}).get("Details") or {}
    workers = details.get("num_workers") if isinstance(details, dict) else None
    return workers if isinstance(workers, int) else None
