"""Sampling beside a training script: `running` starts ``sampler.py``, and ends it.

Shipped alone with it, so it imports nothing of ours.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PROGRAM = Path(__file__).absolute().with_name("sampler.py")
STOP_S = 5.0
NVIDIA = Path("/proc/driver/nvidia")  # where its driver is loaded


@contextlib.contextmanager
def running(
    folder: Path,
    interval_ms: int = 500,
    node: str = "algo-1",
    pid: int | None = None,
) -> Iterator[None]:
    """Sample the machine and the tree of `pid` (this process) while the context lasts.

    In a process of its own, on which the training's Python has no hold, and which ends with this
    one however that ends. Whatever fails is told in one printed line, and never raised.
    """
    process = _start(folder, interval_ms, node, pid or os.getpid())
    try:
        yield
    finally:
        if process is not None:
            _stop(process)


def _start(folder: Path, interval_ms: int, node: str, pid: int) -> subprocess.Popen | None:
    if find_spec("psutil") is None:
        _say("psutil is missing: name requirements-debugger.txt as the job's requirements")
        return None
    command = [sys.executable, PROGRAM, folder, "--node", node, "--pid", pid]
    command += ["--interval-ms", interval_ms]
    # Read only when it has ended: it writes a line at most.
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(list(map(str, command)), text=True, **streams)
    except OSError as error:
        _say(error)
        return None
    blind = NVIDIA.exists() and find_spec("pynvml") is None
    besides = " (without GPUs: nvidia-ml-py is missing)" if blind else ""
    print(f"monitor=on metrics={folder} interval={interval_ms}ms{besides}", flush=True)
    return process


def _stop(process: subprocess.Popen) -> None:
    early = process.poll() is not None
    # Its standard input need not close: loader processes may have inherited the other end.
    process.terminate()
    try:
        _, errors = process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    # By the signal itself it ends where it had not come to wait for one.
    if early or process.returncode not in (0, -signal.SIGTERM):
        reason = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        _say(f"it ended before the training: {reason}")


def _say(reason: object) -> None:
    print(f"monitor=off: {reason}", flush=True)
