"""CloudWatch's metrics of the machine that a job runs on, by AWS's names: a point a minute.

As on AWS, CPUUtilization adds up the cores (100 percent each), GPUUtilization and
GPUMemoryUtilization the GPUs; MemoryUtilization and DiskUtilization are percent of all. An instance
is this machine, with whatever else runs on it. A job of less than a minute has one point, at its
end.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pynvml

from local_sagemaker.aws.cloudwatch import TRAINING_METRICS, CloudWatch

log = logging.getLogger(__name__)

PERIOD_S = 60.0
IDLE = ("idle", "iowait")
COUNTED_TWICE = ("guest", "guest_nice")  # Linux counts a guest's time as user time as well


@contextmanager
def watching(cloudwatch: CloudWatch, hosts: Sequence[str], folder: Path) -> Iterator[None]:
    """Record the machine's metrics inside the block and at its end, as each of `hosts`.

    Args:
        hosts: values of the dimension Host, such as ``job/algo-1``.
        folder: what lies on the disk of DiskUtilization.
    """
    ended = threading.Event()
    arguments = (cloudwatch, hosts, folder, ended)
    thread = threading.Thread(target=_watch, args=arguments, name="machine metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(
    cloudwatch: CloudWatch, hosts: Sequence[str], folder: Path, ended: threading.Event
) -> None:
    before = psutil.cpu_times()
    while True:
        is_last = ended.wait(PERIOD_S)
        try:
            now = psutil.cpu_times()
            points = {**cpu(before, now), **_memory_and_disk(folder), **gpus()}
            before = now
            values = [(name, value, "Percent") for name, value in points.items()]
            for host in hosts:
                cloudwatch.put_metrics(TRAINING_METRICS, {"Host": host}, values, time.time())
        except Exception:  # a point is missing: no reason to end a job
            log.warning("metrics of %s", hosts, exc_info=True)
        if is_last:
            return


def cpu(before, now) -> dict[str, float]:
    """CPUUtilization between two of psutil's `cpu_times`; nothing if no time went by."""
    spent = {name: value - getattr(before, name) for name, value in now._asdict().items()}
    total = sum(value for name, value in spent.items() if name not in COUNTED_TWICE)
    if total <= 0:
        return {}
    idle = sum(spent.get(name, 0) for name in IDLE)
    return {"CPUUtilization": 100 * psutil.cpu_count() * max(0.0, 1 - idle / total)}


def _memory_and_disk(folder: Path) -> dict[str, float]:
    return {
        "MemoryUtilization": psutil.virtual_memory().percent,
        "DiskUtilization": psutil.disk_usage(str(folder)).percent,
    }


def gpus() -> dict[str, float]:
    """Use of the NVIDIA GPUs; nothing where there is none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    try:
        handles = list(map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount())))
        readings = {"GPUUtilization": _gpu_use, "GPUMemoryUtilization": _gpu_memory}
        found = {}
        for name, read in readings.items():
            with contextlib.suppress(pynvml.NVMLError):  # a part of a GPU tells only of its memory
                found[name] = sum(map(read, handles))
        return found if handles else {}
    finally:
        pynvml.nvmlShutdown()


def _gpu_use(handle) -> float:
    return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


def _gpu_memory(handle) -> float:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return 100 * memory.used / memory.total
