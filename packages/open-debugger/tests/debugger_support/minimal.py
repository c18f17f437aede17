"""The least of a recording: just the samples and the steps that a rule is to look at."""

from __future__ import annotations

import numpy as np
import pandas as pd

from open_debugger.profiler.recording import PARTS, STEP_COLUMNS, Job, Metric, Recording, Series

START = 1_790_000_000.0
MEMORY = "GPUMemoryUtilization"


def recording(
    gpus: dict | list | None = None,
    cores: list | None = None,
    io: list | None = None,
    memory: list | None = None,
    interval: float = 0.5,
    nodes: tuple[str, ...] = ("algo-1",),
    **members,
) -> Recording:
    """A recording with these values: of each GPU, of each core, of their I/O wait, of a memory."""
    made = Recording("minimal", **members)
    kinds = {
        ("gpu", "GPUUtilization", "gpu"): gpus,
        ("gpu", MEMORY, "gpu"): memory,
        ("cpu", "CPUUtilization", "cpu"): cores,
        ("cpu", "I/OWaitPercentage", "cpu"): io,
    }
    for node in nodes:
        for (type, dimension, name), found in kinds.items():
            for index, values in enumerate(found or []):
                metric = Metric(node, type, f"{name}{index}", dimension)
                made.system[metric] = series(values, interval)
    return made


def series(values, interval: float = 0.5, start: float = START) -> Series:
    values = np.asarray(values, float)
    return Series(start + interval * np.arange(len(values)), values)


def steps(seconds, phase: str = "train", rank: int = 0, start: float = START, **parts):
    """Steps one after the other: the parts are shares of each one's time, or arrays of them."""
    seconds = np.asarray(seconds, float)
    starts = start + np.cumsum(seconds) - seconds
    frame = pd.DataFrame({"step": np.arange(len(seconds)), "start": starts, "seconds": seconds})
    frame["node"], frame["rank"], frame["phase"] = "algo-1", rank, phase
    frame["epoch"], frame["images"] = 1.0, 32.0
    for part in PARTS:
        frame[part] = seconds * parts.get(part, np.nan)
    return frame[list(STEP_COLUMNS)]


def loader(workers: int, cores: int, **members) -> dict:
    whole = {"NodeId": "algo-1", "Rank": 0, "Name": "train", "Workers": workers}
    return {**whole, "PinMemory": True, "BatchSize": 32, "Cores": cores, **members}


def job(**members) -> Job:
    return Job("a-job", "Completed", **members)
