"""The rules that find nothing, but sum up: of the system, and of the training loop."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from open_debugger.profiler import samples
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.rules.base import MONITOR, STEPS, ProfilerRule
from open_debugger.profiler.rules.steps import GENERAL, LABELS, MODE_OF, part_shares, statistics
from open_debugger.profiler.samples import NotRecorded
from open_debugger.profiler.text import percent

# AWS's names of the tables, what each holds, and how the series of a node are put together.
TABLES = {
    "Network": ("network", ("ReceiveBytesPerSecond", "TransmitBytesPerSecond"), np.nansum),
    "GPU": ("gpu", ("GPUUtilization",), samples.mean),
    "CPU": ("cpu", ("CPUUtilization",), samples.mean),
    "CPU memory": ("memory", ("MemoryUsedPercent",), samples.mean),
    "GPU memory": ("gpu", ("GPUMemoryUtilization",), samples.mean),
    "I/O": ("cpu", ("I/OWaitPercentage",), samples.mean),
}
PHASES = {
    MODE_OF["train"]: "training steps",
    MODE_OF["valid"]: "evaluation steps",
    "others": "the rest",
}
TOP = 5  # operators, as in AWS's reports


@dataclass(frozen=True)
class OverallSystemUsage(ProfilerRule):
    """Percentiles of what each node used: percent, and of the network bytes a second."""

    def look(self, recording: Recording) -> Finding:
        details, datapoints = {table: {} for table in TABLES}, 0
        for table, node in itertools.product(TABLES, samples.nodes(recording)):
            if len(values := usage(recording, node, table)):
                details[table][node] = {k: round(v, 2) for k, v in statistics(values).items()}
                datapoints = max(datapoints, len(values))
        filled = [table for table in TABLES if details[table] and table != "Network"]
        if not any(details.values()):
            raise NotRecorded(f"no system metrics were recorded: {MONITOR}")
        summary = "; ".join(_row(table, details[table]) for table in filled)
        return self.verdict(False, f"{summary}.", "", 0, datapoints=datapoints, details=details)


def usage(recording: Recording, node: str, table: str) -> np.ndarray:
    """A node's values in one of AWS's tables, all cores or GPUs put together."""
    type, dimensions, together = TABLES[table]
    found = {
        (dimension, name): each
        for dimension in dimensions
        for name, each in samples.series(recording, node, type, dimension).items()
    }
    if not found:
        return np.array([])
    times = max((each.times for each in found.values()), key=len)
    rows = samples.table(times, found)
    rows = rows[:, np.isfinite(rows).any(axis=0)]
    return together(rows, axis=0) if together is np.nansum else together(rows)


def _row(table: str, nodes: dict) -> str:
    p50 = np.mean([figures["p50"] for figures in nodes.values()])
    p95 = np.mean([figures["p95"] for figures in nodes.values()])
    return f"{table}: median {p50:.0f}%, p95 {p95:.0f}%"


@dataclass(frozen=True)
class OverallFrameworkMetrics(ProfilerRule):
    """Where the run's time went: phases, the parts of a training step, operators."""

    def look(self, recording: Recording) -> Finding:
        steps, operators = recording.steps, recording.operators
        if not len(steps) and not len(operators):
            raise NotRecorded(f"no step times were recorded: {STEPS}")
        phases, general = _phases(recording), part_shares(steps[steps["phase"] == "train"])
        spans = recording.spans[recording.spans["seconds"].astype(float) > 0]
        details = {
            "phase": phases,
            "phase_time": spans.groupby("name")["seconds"].sum().astype(float).to_dict(),
            "general": {GENERAL[part]: share for part, share in general.items()},
            **_operators(operators),
        }
        told = {"the run": _named(phases, PHASES), "a training step": _named(general, LABELS)}
        said = [f"Of {whole}: {shares}." for whole, shares in told.items() if shares]
        summary = " ".join(said) or f"{len(operators)} operators."
        return self.verdict(False, summary, "", 0, datapoints=len(steps), details=details)


def _named(shares: dict[str, float], names: dict[str, str]) -> str:
    told = [f"{name} {percent(shares[key] / 100)}" for key, name in names.items() if key in shares]
    return ", ".join(told)


def _phases(recording: Recording) -> dict[str, float]:
    """Percent of the run's time in each mode's steps, of one process; others is the rest."""
    steps, ranks = recording.steps, recording.steps.groupby(["node", "rank"]).ngroups
    if not len(steps) or not recording.end > recording.start:
        return {}
    whole = ranks * (recording.end - recording.start)
    seconds = steps["seconds"].astype(float).groupby(steps["phase"].map(MODE_OF)).sum()
    phases = {mode: 100 * min(1.0, time / whole) for mode, time in seconds.items()}
    return {**phases, "others": max(0.0, 100 - sum(phases.values()))}


def _operators(operators: pd.DataFrame) -> dict:
    """AWS's tables of the operators that took most: percent, and microseconds."""
    columns = {"CPU": "cpu_seconds", "GPU": "device_seconds"}
    sums = {name: float(operators[column].sum()) for name, column in columns.items()}
    details: dict = {"ratio": {}}
    if sum(sums.values()) > 0:
        whole = sum(sums.values())
        ratio = {"cpu_functions": sums["CPU"], "gpu_functions-dev:0": sums["GPU"]}
        details["ratio"] = {name: 100 * value / whole for name, value in ratio.items() if value}
    for name, column in columns.items():
        top = operators.nlargest(TOP, column) if sums[name] > 0 else operators[:0]
        rows = dict(zip(top["name"], top[column].astype(float), strict=True))
        details[name] = {key: 100 * value / sums[name] for key, value in rows.items()}
        details[f"{name}_total"] = {key: int(value * 1e6) for key, value in rows.items()}
    return details
