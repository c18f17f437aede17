"""Made-up recordings of runs whose truth is known: in memory, and as the files a run leaves.

``make("starved", seconds=120)`` is a `Recording`; ``write(recording, folder)`` lays it out in
`open_debugger.profiler.recording`'s layout, so that what is read back equals it (but for `job`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from open_debugger.profiler.recording import (
    OPERATOR_COLUMNS,
    PARTS,
    SPAN_COLUMNS,
    STEP_COLUMNS,
    Job,
    Metric,
    Phase,
    Recording,
    Series,
)

START = 1_790_000_040.0  # a full minute
MEMORY = 16_000_000_000  # bytes of a GPU
GPU_SHARES = {"data": 0.02, "host_to_device": 0.02, "forward": 0.3, "backward": 0.55}
CPU_SHARES = {"data": 0.03, "forward": 0.31, "backward": 0.6}
WAITING = {"data": 0.78, "host_to_device": 0.01, "forward": 0.06, "backward": 0.11}
KEYS = dict(zip(PARTS, ("Data", "HostToDevice", "Forward", "Backward", "Optimizer"), strict=True))
# A report of one of AWS's own profiler rules.
RULE_REPORT = {
    "RuleTriggered": 3,
    "Violations": 7,
    "Details": {"algo-1": {"gpu0": {"gpu_max": 91.0}}, "last_timestamp": 1790000100000000},
    "Datapoints": 400,
    "RuleParameters": "threshold_p95:70\nthreshold_p5:10\npatience:1000",
}


@dataclass(frozen=True)
class Scene:
    """How a run behaves: means in percent and seconds; a series' last entry holds for the rest."""

    seconds: float = 600.0
    interval: float = 0.5
    cores: int = 4
    gpus: int = 1
    nodes: int = 1
    seed: int = 0
    epochs: int = 3
    initialization: float | None = None  # 1.5% of the run, at most 8 s
    cpu: tuple[float, ...] = (45.0,)  # by core
    io_wait: float = 1.0
    gpu: tuple[float, ...] = (93.0,)  # by GPU
    gpu_spread: float = 3.0
    gpu_memory: tuple[float, float] = (70.0, 70.0)  # at the start and at the end of the training
    step: float = 0.4
    shares: dict[str, float] = field(default_factory=lambda: GPU_SHARES)  # optimizer: 5%
    outliers: float = 0.0  # the share of the training steps that take eight times as long
    workers: int = 4
    batch: int = 32


_STARVED = {"gpu": (4.0,), "gpu_spread": 12.0, "shares": WAITING, "workers": 0, "step": 1.2}
SCENES: dict[str, dict] = {
    "healthy": {},
    "starved": {**_STARVED, "cpu": (97.0, 8.0), "gpu_memory": (40.0, 40.0)},
    "io_bound": {
        **{**_STARVED, "workers": 4},
        "cpu": (12.0,),
        "io_wait": 75.0,
        "gpu": (2.0,),
        "gpu_spread": 4.0,
    },
    "one_slow_core": {
        "cpu": (99.5, 2.0),
        "gpu": (5.0,),
        "shares": {"data": 0.03, "host_to_device": 0.01, "forward": 0.1, "backward": 0.1},
    },
    "cpu_bottleneck": {**{**_STARVED, "workers": 4}, "cpu": (96.0,), "gpu": (3.0,)},
    "memory_leak": {"gpu_memory": (20.0, 92.0)},
    "unbalanced": {"gpus": 4, "gpu": (95.0, 35.0, 30.0, 25.0)},
    "outliers": {"outliers": 0.06},
    "small_batch": {
        "cpu": (25.0,),
        "gpu": (30.0,),
        "gpu_spread": 8.0,
        "gpu_memory": (12.0, 12.0),
        "batch": 4,
        "step": 0.05,
    },
    "cpu_compute": {"gpus": 0, "cpu": (97.0,), "shares": CPU_SHARES, "workers": 0, "step": 0.6},
    "cpu_data": {
        "gpus": 0,
        "cpu": (97.0, 8.0),
        "shares": {"data": 0.75, "forward": 0.07, "backward": 0.13},
        "workers": 0,
        "step": 0.6,
    },
    "three_seconds": {"seconds": 3.0, "epochs": 1, "step": 0.2},
    "slow_start": {"seconds": 1800.0, "initialization": 1300.0},
}
# What limits them, by `Diagnosis.limit`, where there is no doubt.
LIMITS = {
    "healthy": "compute",
    "starved": "data",
    "io_bound": "io",
    "one_slow_core": "cpu",
    "cpu_bottleneck": "cpu",
    "memory_leak": "memory",
    "unbalanced": "balance",
    "outliers": "outliers",
    "cpu_compute": "compute",
    "cpu_data": "data",
}


def make(name: str = "healthy", **changes) -> Recording:
    """The recording of a scene of `SCENES`, with `changes` to `Scene`'s members."""
    scene = Scene(**{**SCENES[name], **changes})
    recording = Recording(f"made:{name}", job=_job(name, scene))
    slots = list(_slots(scene))
    steps, spans = [], _spans(scene, slots)
    for n, node in enumerate(_nodes(scene)):
        random = np.random.default_rng([scene.seed, n])
        recording.system |= _system(scene, node, random)
        for rank in range(max(1, scene.gpus)):
            whole = n * max(1, scene.gpus) + rank
            steps += [_steps(scene, slot, random, node, whole) for slot in slots]
            recording.loaders += [_loader(scene, node, whole, p) for p in ("train", "valid")]
    recording.steps = _sorted(pd.concat(steps, ignore_index=True))
    recording.spans = _sorted(pd.DataFrame(spans, columns=list(SPAN_COLUMNS)))
    recording.run, recording.operators = _run(scene), _operators(scene)
    return recording


def write(recording: Recording, root: Path) -> Path:
    """Write a recording's files below `root`, the profiler-output folder; return it."""
    files: dict[str, list[tuple[float, dict]]] = defaultdict(list)
    for time, node, rank, line in _step_lines(recording):
        whole = {"NodeId": node, "Rank": rank, "Timestamp": time, **line}
        files[f"framework/steps/{_minute(time)}.{node}-{rank}.json"].append((time, whole))
    texts = {
        name: [json.dumps(line) for _, line in sorted(lines, key=_time)]
        for name, lines in files.items()
    }
    for name, lines in {**texts, **_system_files(recording)}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
    if len(recording.operators):
        _write_operators(recording, root / "framework/trace/algo-1-0.operators.json")
    return root


def line(type: str, name: str, dimension: str, value: object, time: float, node="algo-1") -> str:
    """One of AWS's lines: of a memory, a disk or a network Name says what was measured."""
    if type in ("memory", "i/o"):
        name, dimension = dimension, ""
    elif type == "network":
        name, dimension = dimension, name
    return (
        f'{{"Type":"{type}","Name":"{name}","Dimension":"{dimension}","Value":{value},'
        f'"NodeId":"{node}","Timestamp":{time}}}'
    )


def _nodes(scene: Scene) -> list[str]:
    return [f"algo-{n + 1}" for n in range(scene.nodes)]


def _initialization(scene: Scene) -> float:
    given = scene.initialization
    return min(8.0, 0.015 * scene.seconds) if given is None else given


def _slots(scene: Scene) -> Iterator[tuple[str, int, float, float]]:
    """Phase, epoch, start and length of each training and validation, in turn."""
    first = START + _initialization(scene)
    length = (START + scene.seconds - first) / scene.epochs
    for epoch in range(scene.epochs):
        start = first + epoch * length
        yield "train", epoch + 1, start, 0.9 * length
        yield "valid", epoch + 1, start + 0.9 * length, 0.09 * length


def _spans(scene: Scene, slots: list) -> list[tuple]:
    rows = [("algo-1", 0, "initialization", START, round(_initialization(scene), 6))]
    for phase, _, start, length in slots:
        if phase == "valid":
            rows.append(("algo-1", 0, "evaluation", round(start, 6), round(length, 6)))
            end = round(start + length, 6)
            rows.append(("algo-1", 0, "checkpoint", end, round(0.1 * length, 6)))
    return rows


def _steps(scene: Scene, slot: tuple, random, node: str, rank: int) -> pd.DataFrame:
    phase, epoch, start, length = slot
    mean = scene.step if phase == "train" else 0.5 * scene.step
    lasting = random.lognormal(0, 0.05, max(1, int(length / mean)))
    if phase == "train":
        lasting[random.random(len(lasting)) < scene.outliers] *= 8
    lasting *= length / lasting.sum()  # they fill their slot
    count = len(lasting)
    starts = start + np.concatenate([[0], np.cumsum(lasting)[:-1]])
    first = 0 if epoch == 1 else (epoch - 1) * count
    frame = {"node": node, "rank": rank, "phase": phase, "epoch": float(epoch)}
    frame |= {"step": first + np.arange(count), "start": starts.round(6)}
    frame |= {"seconds": lasting.round(6)}
    shares = {"optimizer": 0.05, **scene.shares}
    for part in PARTS:
        noise = random.normal(1, 0.03, count)
        frame[part] = (lasting * shares.get(part, np.nan) * noise).round(6)
    if phase == "valid":
        frame |= {"backward": np.full(count, np.nan), "optimizer": np.full(count, np.nan)}
    frame["images"] = float(scene.batch)
    return pd.DataFrame(frame, columns=list(STEP_COLUMNS))


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["start", "node", "rank"], kind="stable", ignore_index=True)


def _loader(scene: Scene, node: str, rank: int, name: str) -> dict:
    return {
        "NodeId": node,
        "Rank": rank,
        "Name": name,
        "Workers": scene.workers,
        "PinMemory": scene.gpus > 0,
        "BatchSize": scene.batch,
        "Cores": scene.cores,
        "Photos": 192,
    }


def _run(scene: Scene) -> dict:
    device = "NVIDIA T4" if scene.gpus else "cpu"
    sizes = {"BatchSize": scene.batch, "ImageSize": 224, "Epochs": scene.epochs}
    return {"Model": "resnet50", "Device": device, "Precision": "fp32", **sizes}


def _operators(scene: Scene) -> pd.DataFrame:
    names = ("aten::convolution_backward", "aten::cudnn_convolution", "aten::batch_norm")
    calls, seconds = [530, 530, 520], np.array([5.0, 3.0, 2.0])
    device = seconds if scene.gpus else 0 * seconds
    rows = zip(names, calls, seconds / (10 if scene.gpus else 1), device, seconds / 10, strict=True)
    return pd.DataFrame(rows, columns=list(OPERATOR_COLUMNS))


def _job(name: str, scene: Scene) -> Job:
    times = [START - 90, START - 60, START - 10, START + scene.seconds, START + scene.seconds + 25]
    names = ("Starting", "Downloading", "Training", "Uploading")
    phases = [Phase(n, *ends) for n, ends in zip(names, pairwise(times), strict=True)]
    return Job(
        name.replace("_", "-"),
        "Completed",
        "ml.g4dn.xlarge" if scene.gpus else "ml.m5.xlarge",
        scene.nodes,
        created=times[0] - 3,
        started=times[1],
        ended=times[4],
        billable_seconds=times[4] - times[1],
        phases=[*phases, Phase("Completed", times[4], times[4])],
    )


def _system(scene: Scene, node: str, random) -> dict[Metric, Series]:
    count = max(1, round(scene.seconds / scene.interval))
    ticks = START + scene.interval * np.arange(count) + random.exponential(0.001, count)
    running = ticks >= START + _initialization(scene)
    times = {t: (ticks + 1e-4 * i).round(6) for i, t in enumerate(dict.fromkeys(_TYPES))}
    return {
        Metric(node, type, name, dimension): Series(times[type], values.clip(0).round(2))
        for type, name, dimension, values in _measured(scene, running, random)
    }


_TYPES = ("cpu", "memory", "i/o", "network", "gpu")


def _measured(scene: Scene, running: np.ndarray, random) -> Iterator[tuple]:
    def noisy(mean: object, spread: float) -> np.ndarray:
        return np.asarray(mean) + random.normal(0, spread, len(running))

    for core in range(scene.cores):
        level = np.where(running, _at(scene.cpu, core), 30.0)
        waits = np.where(running, scene.io_wait, 2.0)
        yield "cpu", f"cpu{core}", "CPUUtilization", noisy(level, 1.5).clip(0, 100)
        yield "cpu", f"cpu{core}", "I/OWaitPercentage", noisy(waits, 1.0).clip(0, 100)
    grown = 20 + 10 * np.minimum(1, np.cumsum(running) / max(1, 0.1 * len(running)))
    yield "memory", "memory", "MemoryUsedPercent", noisy(grown, 0.2)
    operations = noisy(40 * scene.io_wait, 10.0).clip(0)
    yield "i/o", "i/o", "IOPS", operations
    yield "i/o", "i/o", "ReadThroughputInBytesPerSecond", operations * 65536
    yield "i/o", "i/o", "WriteThroughputInBytesPerSecond", noisy(2e4, 1e4)
    for name, bytes_ in (("Algorithm", 0.0), ("Platform", 3e4)):
        yield "network", name, "ReceiveBytesPerSecond", noisy(bytes_, bytes_ / 10)
        yield "network", name, "TransmitBytesPerSecond", noisy(bytes_ / 2, bytes_ / 20)
    for gpu in range(scene.gpus):
        yield from _gpu(scene, f"gpu{gpu}", _at(scene.gpu, gpu), running, noisy)


def _gpu(scene: Scene, name: str, level: float, running: np.ndarray, noisy) -> Iterator[tuple]:
    busy = noisy(level, scene.gpu_spread).clip(0, 100) * running
    rise = np.linspace(*scene.gpu_memory, max(1, int(running.sum())))
    memory = np.concatenate([np.zeros(len(running) - int(running.sum())), rise])[: len(running)]
    used = np.where(running, noisy(memory, 0.3).clip(0, 100), 0)
    yield "gpu", name, "GPUUtilization", busy.round()  # NVML tells whole percents
    yield "gpu", name, "GPUMemoryUtilization", used.round()
    yield "gpu", name, "GPUPowerInWatts", noisy(27 + 0.4 * busy, 0.5)
    yield "gpu", name, "GPUMemoryUsedBytes", (used / 100 * MEMORY).round()


def _at(levels: tuple[float, ...], index: int) -> float:
    return levels[min(index, len(levels) - 1)]


def _time(entry: tuple) -> float:
    return entry[0]


def _minute(time: float) -> str:
    start = int(time // 60 * 60)
    return f"{datetime.fromtimestamp(start, UTC):%Y%m%d%H}/{start}"


def _system_files(recording: Recording) -> dict[str, list[str]]:
    files: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for (node, type, name, dimension), series in recording.system.items():
        minutes = series.times // 60
        edges = [0, *(np.flatnonzero(np.diff(minutes)) + 1), len(minutes)]
        for first, last in pairwise(edges):
            file = f"system/incremental/{_minute(series.times[first])}.{node}.json"
            times, values = series.times[first:last].tolist(), series.values[first:last].tolist()
            pairs = zip(times, values, strict=True)
            files[file] += [(t, line(type, name, dimension, v, t, node)) for t, v in pairs]
    return {name: [text for _, text in sorted(rows, key=_time)] for name, rows in files.items()}


def _step_lines(recording: Recording) -> Iterator[tuple[float, str, int, dict]]:
    start = recording.start
    for loader in recording.loaders:
        rest = {key: value for key, value in loader.items() if key not in ("NodeId", "Rank")}
        yield start, loader["NodeId"], loader["Rank"], {"Type": "loader", **rest}
    if recording.run:
        yield start, "algo-1", 0, {"Type": "run", **recording.run}
    for row in recording.spans.to_dict("records"):
        line = {"Type": "span", "Name": row["name"], "Seconds": row["seconds"]}
        yield row["start"], row["node"], row["rank"], line
    for row in recording.steps.to_dict("records"):
        line = {"Type": "step", "Phase": row["phase"], "Step": row["step"]}
        named = {"Epoch": "epoch", "Seconds": "seconds", "Images": "images"}
        named |= {key: part for part, key in KEYS.items()}
        line |= {key: row[column] for key, column in named.items() if row[column] == row[column]}
        yield row["start"], row["node"], row["rank"], line


def _write_operators(recording: Recording, path: Path) -> None:
    keys = {"name": "Name", "calls": "Calls", "cpu_seconds": "CpuSeconds"}
    rows = recording.operators.rename(columns={**keys, "device_seconds": "DeviceSeconds"})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows.drop(columns="share").to_dict("records")))
