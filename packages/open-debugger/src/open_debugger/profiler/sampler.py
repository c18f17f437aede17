"""Samples a machine and a process tree while a job runs, in SageMaker Debugger's file format.

    python sampler.py FOLDER [--interval-ms 500] [--pid PID] [--node algo-1]

ends with 0 when its standard input (if that is a pipe) closes, at SIGTERM, or when the process PID
has ended; with 1 and one line on standard error if it cannot go on. `sampling.running` starts it
beside a training script. It needs psutil, and for GPUs nvidia-ml-py; PyTorch is not imported.

Below FOLDER come `system/incremental/<YYYYMMDDHH>/<minute>.<node>.json`, the hour in UTC and the
minute by the Unix time of its start. Each line is a JSON object with Type, Name, Dimension, Value,
NodeId and Timestamp (Unix seconds). AWS's metrics, by the names that it gives them:

    cpu      cpu0, ...               CPUUtilization, I/OWaitPercentage  percent
    memory   MemoryUsedPercent                                          percent
    i/o      IOPS, ReadThroughputInBytesPerSecond, WriteThroughputInBytesPerSecond
    network  ReceiveBytesPerSecond, TransmitBytesPerSecond; Dimension Algorithm
    gpu      gpu0, ...               GPUUtilization, GPUMemoryUtilization  percent

and, which AWS has not: `gpu` GPUMemoryUsedBytes and GPUPowerInWatts, and for PID with all that it
has started, `process` `tree`: ProcessorTimePercent (of one core), MemoryUsedBytes (resident; pages
that several processes share count for each) and Processes. What cannot be measured is absent, and
so are rates in the first sample. An empty file of the next minute comes last.
"""

import argparse
import contextlib
import errno
import itertools
import json
import math
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

INTERVALS_MS = (100, 60_000)  # the shortest and the longest of the API's
DEFAULT_INTERVAL_MS = 500  # the API's
LOOK_S = 1.0  # how often, at least, to look whether the process has ended
Row = tuple[str, str, str, float]  # Type, Name, Dimension, Value


class MinuteFiles:
    """Appends JSON lines to a file for each minute, in a folder for each hour of UTC.

    `ending` follows the minute in the files' names. Rows have a Timestamp in Unix seconds.
    """

    def __init__(self, folder: Path, ending: str):
        self.folder, self.ending, self.file = folder, ending, None

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append each row to the file of its Timestamp's minute; OSError if that fails."""
        for minute, group in itertools.groupby(rows, lambda row: int(row["Timestamp"] // 60 * 60)):
            file = self._open(minute)
            text = "".join(json.dumps(row) + "\n" for row in group).encode()
            with file.open("ab", buffering=0) as lines:  # one system call, which no kill divides
                if lines.write(text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    def close(self) -> None:
        """Add an empty file of the next minute: smdebug's TimelineCharts reads up to its name."""
        if self.file is not None:
            self._open(int(self.file.name.partition(".")[0]) + 60).touch()

    def clear(self) -> None:
        """Remove what an earlier attempt at the job has written under these names."""
        for file in self.folder.glob(f"*/*{self.ending}"):
            file.unlink()

    def _open(self, minute: int) -> Path:
        hour = time.strftime("%Y%m%d%H", time.gmtime(minute))
        file = self.folder / hour / f"{minute}{self.ending}"
        if file != self.file:
            file.parent.mkdir(parents=True, exist_ok=True)
            _drop_half_line(file)
            self.file = file
        return file


def _drop_half_line(file: Path) -> None:
    """Cut off what an earlier writer, killed, left unfinished: a line after it would be lost."""
    if file.exists():
        text = file.read_bytes()
        os.truncate(file, text.rfind(b"\n") + 1)


class Rates:
    """How fast counters grow, by the second, between one call and the next."""

    def __init__(self):
        self.last: dict[str, float] = {}
        self.time = 0.0

    def __call__(self, counters: dict[str, float]) -> dict[str, float]:
        """The rates by name; without those of new counters and of such as were set back."""
        now = time.monotonic()
        passed, last = now - self.time, self.last
        self.time, self.last = now, counters
        grown = {name: value - last[name] for name, value in counters.items() if name in last}
        return {name: more / passed for name, more in grown.items() if more >= 0 and passed > 0}


class Cores:
    """Each core's utilisation and its wait for input and output, in percent, since the last call.

    From the kernel's counters: psutil's own `cpu_times_percent` takes what is shorter than a second
    for a whole one, and calls an idle core half busy at 500 ms.
    """

    def __init__(self):
        self.last: list[Any] = []

    def __call__(self) -> list[Row]:
        import psutil

        now, last = psutil.cpu_times(percpu=True), self.last
        self.last = now
        rows = []
        for number, (before, after) in enumerate(zip(last, now, strict=False)):
            spent = _spent(before, after)
            whole = sum(spent.values())
            if not whole:  # so short a time that the kernel has counted nothing
                continue
            shares = {name: 100 * seconds / whole for name, seconds in spent.items()}
            waited = shares.get("iowait")  # on Linux only
            busy = 100 - shares["idle"] - (waited or 0)
            rows.append(("cpu", f"cpu{number}", "CPUUtilization", max(busy, 0)))
            if waited is not None:
                rows.append(("cpu", f"cpu{number}", "I/OWaitPercentage", waited))
        return rows


def _spent(before: Any, after: Any) -> dict[str, float]:
    """Seconds of a core by what it did; those of guests are counted as the user's already."""
    names = [name for name in after._fields if not name.startswith("guest")]
    return {name: max(0.0, getattr(after, name) - getattr(before, name)) for name in names}


def memory() -> list[Row]:
    """The share of the machine's memory that is not available, in percent."""
    import psutil

    return [("memory", "MemoryUsedPercent", "", psutil.virtual_memory().percent)]


class Disks:
    """What all disks do; nothing where the system counts none."""

    def __init__(self):
        self.rates = Rates()

    def __call__(self) -> list[Row]:
        import psutil

        counted = psutil.disk_io_counters()
        if counted is None:
            return []
        counters = {
            "IOPS": counted.read_count + counted.write_count,
            "ReadThroughputInBytesPerSecond": counted.read_bytes,
            "WriteThroughputInBytesPerSecond": counted.write_bytes,
        }
        return [("i/o", name, "", rate) for name, rate in self.rates(counters).items()]


class Network:
    """What goes through all interfaces but the loopback."""

    def __init__(self):
        self.rates = Rates()

    def __call__(self) -> list[Row]:
        import psutil

        found = psutil.net_io_counters(pernic=True).items()
        outside = [counted for name, counted in found if not name.startswith("lo")]
        if not outside:
            return []
        counters = {
            "ReceiveBytesPerSecond": sum(counted.bytes_recv for counted in outside),
            "TransmitBytesPerSecond": sum(counted.bytes_sent for counted in outside),
        }
        # AWS also gives Platform, the host's traffic, which a container cannot see.
        return [("network", name, "Algorithm", rate) for name, rate in self.rates(counters).items()]


class Gpus:
    """NVIDIA's GPUs by NVML; nothing without a GPU, its driver or nvidia-ml-py."""

    def __init__(self):
        self.gpus: list[Any] = []
        with contextlib.suppress(ImportError):
            import pynvml

            with contextlib.suppress(pynvml.NVMLError):
                pynvml.nvmlInit()
                count = pynvml.nvmlDeviceGetCount()
                self.gpus = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(count)]

    def __call__(self) -> list[Row]:
        return [
            ("gpu", f"gpu{number}", dimension, value)
            for number, gpu in enumerate(self.gpus)
            for dimension, value in self._read(gpu)
        ]

    def _read(self, gpu: Any) -> Iterator[tuple[str, float]]:
        import pynvml

        # Each by itself: a MIG device, say, has memory and no utilisation.
        with contextlib.suppress(pynvml.NVMLError):
            yield "GPUUtilization", pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
        with contextlib.suppress(pynvml.NVMLError):
            held = pynvml.nvmlDeviceGetMemoryInfo(gpu)
            # As CloudWatch's metric of this name: the share that is taken, not the traffic.
            yield "GPUMemoryUtilization", 100 * held.used / held.total
            yield "GPUMemoryUsedBytes", held.used
        with contextlib.suppress(pynvml.NVMLError):
            yield "GPUPowerInWatts", pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000


class Tree:
    """A process and all it has started, but for this one; readers take CPUUtilization for cores."""

    def __init__(self, root: Any):
        self.root, self.rates = root, Rates()

    def __call__(self) -> list[Row]:
        import psutil

        seconds, resident, count = 0.0, 0, 0
        for process in [self.root, *self.root.children(recursive=True)]:
            if process.pid == os.getpid():
                continue
            with contextlib.suppress(psutil.Error), process.oneshot():  # it may just have ended
                seconds += sum(process.cpu_times()[:4])  # with those of the children it has had
                resident += process.memory_info().rss
                count += process.status() != psutil.STATUS_ZOMBIE
        found = self.rates({"ProcessorTimePercent": 100 * seconds})
        found |= {"MemoryUsedBytes": resident, "Processes": count}
        return [("process", "tree", name, value) for name, value in found.items()]


def sample(sources: list[Callable[[], list[Row]]], node: str) -> list[dict[str, Any]]:
    """Read all sources, as lines with one Timestamp; a source that fails gives none."""
    now, rows = round(time.time(), 6), []
    for source in sources:
        with contextlib.suppress(Exception):  # whatever a system lacks: the others go on
            rows += source()
    names = ("Type", "Name", "Dimension", "Value")
    return [
        {**dict(zip(names, row, strict=True)), "Value": round(row[3], 2)}
        | {"NodeId": node, "Timestamp": now}
        for row in rows
    ]


def ticks(seconds: float, ended: Callable[[float], bool]) -> Iterator[None]:
    """Yield every `seconds` on a fixed grid, until `ended`; a tick that is missed is left out.

    `ended` gets a time.monotonic() to wait for, and says whether the sampling is over before.
    """
    start, tick = time.monotonic(), 0
    while not ended(start + tick * seconds):
        yield
        tick = max(tick + 1, math.ceil((time.monotonic() - start) / seconds))


class Lifeline:
    """Waits for a moment, or for the end of what is sampled."""

    def __init__(self, process: Any | None):
        self.process, self.pipe = process, []
        with contextlib.suppress(OSError):  # there may be no standard input
            mode = os.fstat(0).st_mode
            # /dev/null, a file, a terminal: nobody is at the other end.
            self.pipe = [0] if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else []

    def __call__(self, moment: float) -> bool:
        """Wait until `moment` by time.monotonic(); return whether the end came before."""
        while True:
            left = moment - time.monotonic()
            ready, _, _ = select.select(self.pipe, [], [], min(max(left, 0), LOOK_S))
            if (ready and not os.read(0, 4096)) or self._has_ended():
                return True
            if left <= 0:
                return False

    def _has_ended(self) -> bool:
        import psutil

        if self.process is None:
            return False
        try:  # killed, it lasts as a zombie for as long as nobody asks after it
            return not self.process.is_running() or self.process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def files(folder: Path, node: str) -> MinuteFiles:
    """The files of a machine's samples in a recording."""
    return MinuteFiles(folder / "system" / "incremental", f".{node}.json")


def run(folder: Path, interval_ms: int, pid: int | None, node: str) -> None:
    """Sample until the end, as the module's docstring says; OSError if a file cannot be written."""
    import psutil

    try:
        process = None if pid is None else psutil.Process(pid)
    except psutil.NoSuchProcess:
        return  # a very short job
    sources = [Cores(), memory, Disks(), Network(), Gpus()]
    if process is not None:
        sources.append(Tree(process))
    with contextlib.closing(files(folder, node)) as written:
        for _ in ticks(interval_ms / 1000, Lifeline(process)):
            written.write(sample(sources, node))


def _interval(text: str) -> int:
    shortest, longest = INTERVALS_MS
    if not text.isdecimal() or not shortest <= int(text) <= longest:
        raise argparse.ArgumentTypeError(f"{text!r} is not {shortest} to {longest} milliseconds")
    return int(text)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; leaves by SystemExit if that fails, or at SIGTERM."""
    parser = argparse.ArgumentParser(description="Samples a machine for SageMaker's profiler.")
    parser.add_argument("folder", type=Path, help="where system/incremental comes into being")
    parser.add_argument("--interval-ms", type=_interval, default=DEFAULT_INTERVAL_MS)
    parser.add_argument("--pid", type=int, help="a process to sample with all that it starts")
    parser.add_argument("--node", default="algo-1", help="the machine's name")
    arguments = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        run(arguments.folder, arguments.interval_ms, arguments.pid, arguments.node)
    except (OSError, ImportError) as error:
        sys.exit(f"monitor: {error}")


if __name__ == "__main__":
    main()
