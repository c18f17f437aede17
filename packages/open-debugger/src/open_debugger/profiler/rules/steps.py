"""Rules on the training loop: its steps' lengths, its data loader, its beginning."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from open_debugger.parameters import require
from open_debugger.profiler import samples
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.recording import PARTS, Recording
from open_debugger.profiler.rules.base import STEPS, ProfilerRule, counts
from open_debugger.profiler.samples import NotRecorded
from open_debugger.profiler.text import percent

MODES = {"TRAIN": ("train",), "EVAL": ("valid", "test")}
MODE_OF = {phase: f"Step:ModeKeys.{mode}" for mode, phases in MODES.items() for phase in phases}
GENERAL = dict(
    zip(PARTS, ("Data", "HostToDevice", "Forward", "Backward", "Optimizer"), strict=True)
)
MICROSECONDS = 1_000_000
LEAST_OUTLIERS = 2  # of any run: its first step makes buffers and chooses kernels


@dataclass(frozen=True)
class StepOutlier(ProfilerRule):
    """More than `n_outliers` steps of a process take longer than the mean and `stddev` standard
    deviations of its steps in the same phase.

    `mode` is TRAIN, EVAL or None, which is both. No value of n can lie further than sqrt(n - 1)
    standard deviations from their mean, so fewer steps than that cannot be judged. Of a short run's
    steps 5% are allowed, but two at least, for at most 1 / (1 + stddev^2) of them can be outliers
    at all. Of more than 1000 steps `n_outliers` in 1000 are allowed: noise alone makes some of any
    long run.
    """

    threshold: float | None = None  # AWS's reports name it besides stddev, and mean the same
    mode: str | None = None
    n_outliers: int = 10
    stddev: float = 3

    def __post_init__(self) -> None:
        counts(self, "n_outliers")
        require(self._factor > 0, f"stddev {self._factor:g} is not above 0")
        require(self._mode in (None, *MODES), f"mode '{self.mode}' is none: give TRAIN or EVAL")

    @property
    def _factor(self) -> float:
        return self.stddev if self.threshold is None else self.threshold

    @property
    def _mode(self) -> str | None:
        name = str(self.mode or "").removeprefix("ModeKeys.").upper()
        return None if name in ("", "NONE") else name

    def look(self, recording: Recording) -> Finding:
        phases = [phase for mode in MODES if self._mode in (None, mode) for phase in MODES[mode]]
        steps = recording.steps[recording.steps["phase"].isin(phases)]
        steps = steps[np.isfinite(steps["seconds"].astype(float))]
        groups = dict(iter(steps.groupby(["node", "rank", "phase"])))
        least = math.floor(self._factor**2) + 2
        long = {key: group for key, group in groups.items() if len(group) >= least}
        if not long:
            most = max((len(group) for group in groups.values()), default=0)
            raise NotRecorded(
                f"{most or 'no'} step times were recorded, {least} are the least: {STEPS}"
            )
        most = max(len(group) for group in long.values())
        allowed = min(self.n_outliers, max(LEAST_OUTLIERS, most // 20)) * max(1.0, most / 1000)
        rule = replace(self, n_outliers=int(allowed))
        finding = rule._judged(long, len(steps))
        if rule.n_outliers < self.n_outliers:
            finding.scaled = {"n_outliers": self.n_outliers}
        if rule != self:
            changed = "lowered" if rule.n_outliers < self.n_outliers else "raised"
            finding.summary += f" (With {most:,} steps, the rule {changed} n_outliers from "
            finding.summary += f"{self.n_outliers} to {rule.n_outliers}.)"
        return finding

    def _judged(self, groups: dict, datapoints: int) -> Finding:
        outliers = {key: group[self._is_outlier(group)] for key, group in groups.items()}
        many = [key for key in groups if len(outliers[key]) > self.n_outliers]
        count, total = sum(map(len, outliers.values())), sum(map(len, groups.values()))
        summary = f"{count} of {total} steps took longer than mean + {self._factor:g} standard "
        summary += f"deviations; up to {self.n_outliers} in a phase are allowed."
        advice = ""
        if many:
            slow = pd.concat([outliers[key] for key in many])
            summary += f" The slowest took {slow['seconds'].max():.2f} s, {_where(slow)}"
            advice = OUTLIER_ADVICE
        details = _step_details(groups, outliers)
        members = {"triggered": len(many), "datapoints": datapoints, "details": details}
        return self.verdict(bool(many), summary, advice, count, **members)

    def _is_outlier(self, group: pd.DataFrame) -> pd.Series:
        seconds = group["seconds"].astype(float)
        return seconds > seconds.mean() + self._factor * seconds.std(ddof=0)


OUTLIER_ADVICE = (
    "See in the timeline what runs at those steps: the first batch of an epoch (keep the loader's "
    "processes with persistent_workers=True), a checkpoint or an evaluation in the loop, images "
    "that are much larger than the others, or another process on the machine."
)


def _where(slow: pd.DataFrame) -> str:
    shares = part_shares(slow)
    if not shares:
        return "and where, was not measured."
    part = max(shares, key=shares.get)
    return f"and {percent(shares[part] / 100)} of the outliers' time is {LABELS[part]}."


LABELS = {
    "data": "the wait for data",
    "host_to_device": "the copy to the device",
    "forward": "the forward pass",
    "backward": "the backward pass",
    "optimizer": "the optimizer",
}


def _step_details(groups: dict, outliers: dict) -> dict:
    details = {}
    for (node, rank, phase), group in groups.items():
        slow, seconds = outliers[node, rank, phase], group["seconds"].astype(float).to_numpy()
        name = f"{node}-{rank}" if phase == "train" else f"{node}-{rank}-{phase}"
        details[name] = {
            "step_stats": statistics(seconds),
            "number_of_outliers": len(slow),
            "phase": MODE_OF[phase],
            "stddev": round(float(seconds.std()), 6),
            **samples.histogram(seconds),
            "step_numbers": [f"{step:.0f}" for step in slow["step"].astype(float)],
        }
    slow = pd.concat(list(outliers.values()))
    general = {GENERAL[part]: share for part, share in part_shares(slow).items()}
    phases = slow["phase"].map(MODE_OF).value_counts(normalize=True) * 100
    return {"step_details": details, "phase": phases.to_dict(), "general": general}


def statistics(values: np.ndarray) -> dict[str, float]:
    """AWS's figures of values: mean, max, p99, p95, p50, min."""
    p99, p95, p50 = (float(each) for each in np.percentile(values, (99, 95, 50)))
    ends = {"mean": float(values.mean()), "max": float(values.max())}
    return {**ends, "p99": p99, "p95": p95, "p50": p50, "min": float(values.min())}


def part_shares(steps: pd.DataFrame) -> dict[str, float]:
    """Percent of the steps' time in each part that was measured."""
    whole = float(steps["seconds"].astype(float).sum())
    times = {part: float(steps[part].astype(float).sum(min_count=1)) for part in PARTS}
    if not whole > 0:
        return {}
    return {part: 100 * time / whole for part, time in times.items() if math.isfinite(time)}


@dataclass(frozen=True)
class Dataloader(ProfilerRule):
    """The loader's processes on a node are fewer than `min_threshold` percent of its cores, or
    more than `max_threshold`; a loader without workers is one: the training process itself.

    Few of them are no issue where the steps were measured and hardly wait: a set that lies decoded
    in memory needs none. AWS's rule, which knows no waits, finds one there too.
    """

    min_threshold: float = 70
    max_threshold: float = 200

    def __post_init__(self) -> None:
        for name in ("min_threshold", "max_threshold"):
            require(getattr(self, name) >= 0, f"{name} {getattr(self, name):g} is below 0")
        message = f"min_threshold {self.min_threshold:g} is above max_threshold "
        message += f"{self.max_threshold:g}"
        require(self.min_threshold <= self.max_threshold, message)

    def look(self, recording: Recording) -> Finding:
        found = list(_training_loaders(recording.loaders))
        if not found:
            raise NotRecorded(f"no data loader was recorded, nor its workers: {STEPS}")
        shares = [100 * processes / cores for processes, cores, _ in found]
        few = [share < self.min_threshold for share in shares]
        many = [share > self.max_threshold for share in shares]
        worst = shares.index(max(shares) if any(many) and not any(few) else min(shares))
        _, cores, loaders = found[worst]
        wait = part_shares(recording.steps[recording.steps["phase"] == "train"]).get("data")
        processes = sum(max(1, each["Workers"]) for each in loaders)
        summary = f"{_workers(loaders)}. That is {processes} loading process"
        summary += f"{'es'[: 2 * (processes > 1)]} on {cores} core{'s'[: cores > 1]}, "
        summary += f"{shares[worst]:.0f}%; the rule accepts {self.min_threshold:g}% to "
        summary += f"{self.max_threshold:g}%.{_waited(wait)}"
        advice = _loader_advice(any(few), cores, len(loaders))
        missed = 0 if wait is not None and wait < LITTLE_WAIT else sum(few)
        if sum(few) > missed:
            summary += " So more workers can save little."
        violations = missed + sum(many)
        details = _loader_details(recording, loaders, cores)
        members = {"datapoints": len(recording.loaders), "details": details}
        return self.verdict(violations > 0, summary, advice, violations, **members)


def _training_loaders(loaders: list[dict]) -> Iterator[tuple[int, int, list[dict]]]:
    """Of each node: loading processes, cores, and the loaders of the training, one a rank."""
    usable = [each for each in loaders if _whole(each, "Workers", 0) and _whole(each, "Cores", 1)]
    training = [each for each in usable if each.get("Name", "train") == "train"] or usable
    nodes: dict[str, dict] = {}
    for each in training:
        nodes.setdefault(str(each.get("NodeId", "")), {})[each.get("Rank", 0)] = each
    for ranks in nodes.values():
        latest = list(ranks.values())
        yield sum(max(1, each["Workers"]) for each in latest), latest[0]["Cores"], latest


def _whole(loader: dict, name: str, least: int) -> bool:
    value = loader.get(name)
    return isinstance(value, int) and value >= least


def _workers(loaders: list[dict]) -> str:
    workers = loaders[0]["Workers"]
    text = f"{workers} loader worker{'s' if workers != 1 else ''}"
    if not workers:
        text = "No loader worker: the training process loads the photos itself"
    return text + (f" in each of {len(loaders)} processes" if len(loaders) > 1 else "")


def _waited(wait: float | None) -> str:
    if wait is None:
        return ""
    return f" A training step waited {percent(wait / 100)} of its time for data."


LITTLE_WAIT = 10  # percent of the steps' time that more workers cannot much reduce


def _loader_advice(few: bool, cores: int, ranks: int) -> str:
    if not few:
        return f"Lower num_workers to {max(1, cores // ranks)}: more only share cores."
    return (
        f"Where the cores have time left, give the DataLoader num_workers={max(1, cores // ranks)},"
        " with pin_memory=True on a GPU and persistent_workers=True where epochs are short; where "
        "they are busy, let it decode less."
    )


def _loader_details(recording: Recording, loaders: list[dict], cores: int) -> dict:
    data = recording.steps["data"][recording.steps["phase"] == "train"].astype(float)
    data = data[np.isfinite(data)].to_numpy()
    details = {
        "pin_memory": bool(loaders[0].get("PinMemory", False)),
        "num_workers": loaders[0]["Workers"],
        "cores": cores,
        "dataloaders": len(loaders),
    }
    if not len(data):
        return details
    p25, p50, p95 = (float(each) for each in np.percentile(data, (25, 50, 95)))
    quantiles = {"p25": p25, "p50": p50, "p95": p95}
    return {**details, "dataloading_time": {**quantiles, **samples.histogram(data)}}


@dataclass(frozen=True)
class MaxInitializationTime(ProfilerRule):
    """The first training step comes later than `threshold` minutes after the job's start."""

    threshold: float = 20

    def __post_init__(self) -> None:
        require(self.threshold > 0, f"threshold {self.threshold:g} is not above 0")

    def look(self, recording: Recording) -> Finding:
        ends = samples.training(recording)
        if ends is None:
            raise NotRecorded(f"no training step was recorded: {STEPS}")
        start = _started(recording)
        minutes = (ends[0] - start) / 60
        found = minutes > self.threshold
        summary = f"The first training step came {_lasted(minutes)} after the "
        summary += f"job's start; up to {self.threshold:g} minutes are allowed."
        train = recording.steps[recording.steps["phase"] == "train"]["start"].astype(float)
        steps = {"first": int(ends[0] * MICROSECONDS), "last": int(train.max() * MICROSECONDS)}
        details = {"step_num": steps, "job_start": start, "job_end": recording.end}
        members = {"datapoints": len(recording.steps), "details": details}
        return self.verdict(found, summary, START_ADVICE, int(found), **members)


START_ADVICE = (
    "Let less happen before the first step: FastFile mode instead of downloading all photos, "
    "packages in the image instead of requirements.txt, pretrained weights from a channel; a warm "
    "pool (keep_alive_period_in_seconds) saves the next job its start."
)


def _started(recording: Recording) -> float:
    started = recording.job.started if recording.job else None
    return recording.start if started is None else started


def _lasted(minutes: float) -> str:
    return f"{minutes:.1f} minutes" if minutes >= 1.5 else f"{60 * minutes:.0f} s"
