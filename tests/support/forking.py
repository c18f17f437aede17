"""Processes that have PyTorch from their first moment: forks of one that has imported it.

Importing PyTorch takes seconds, and a process that has used its threads cannot be forked. So a
server, which multiprocessing starts at the first need, imports all and uses none of it. Where
Python is older than 3.12.3, the server learns of no path but PYTHONPATH.
"""

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

IMPORTED = ["torch", "torchvision.transforms.v2", "torchvision.models", "safetensors.torch"]
IMPORTED += ["train", "learning", "loading", "networks", "checkpoints", "records.debugging"]
IMPORTED += ["records.results", "records.scalars", "torch.utils.serialization.config"]
IMPORTED += ["PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.GifImagePlugin"]
IMPORTED += ["torch.distributed.launcher.api", "tests.support.narrow", "pytest"]

_starting = threading.Lock()


def fork(target: Callable, *arguments: Any, daemon: bool = True) -> BaseProcess:
    """Start a fork of the server: a function of a module, with arguments that can be pickled.

    Only a process that is no daemon may start others.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_begin, args=(target, *arguments), daemon=daemon)
    with _starting, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        process.start()
    return process


def _begin(target: Callable, *arguments: Any) -> None:
    # As in a process of one's own: not from the server, which has forced its way on this one.
    multiprocessing.set_start_method("fork", force=True)
    target(*arguments)


def write_to(log: Path) -> None:
    """In a fork: let all output go to a file, a line at a time."""
    stream = log.open("a", buffering=1)
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
    sys.stdout = sys.stderr = stream


def train_alone(
    arguments: list[str], log: Path, variables: dict[str, str], pace: float = 0, wide: bool = False
) -> None:
    """In a fork: run train.py on one thread, with more environment and a log for its output.

    ResNet18 is a narrow one, unless it is to be `wide`. Each batch and each file that is forced to
    the disk takes at least `pace` seconds: who wants to interrupt a run then has time to, on a busy
    machine as well.
    """
    import torch
    from torchvision.models import resnet

    import train
    from tests.support import narrow

    torch.set_num_threads(1)
    if not wide:
        resnet.resnet18, narrow.PACE = narrow.resnet18, pace
    fsync = os.fsync
    os.fsync = lambda descriptor: (time.sleep(pace), fsync(descriptor))
    for name in [name for name in os.environ if name.startswith("SM_")]:
        del os.environ[name]
    os.environ.update(variables, OMP_NUM_THREADS="1")  # the processors are for all tests
    write_to(log)
    train.main(arguments)


def run_in_fork(
    command: list[str], *, env: dict[str, str] | None = None, check: bool = False, **_: Any
) -> subprocess.CompletedProcess:
    """What `subprocess.run` does with `[python, train.py, ...]`, sooner, on a narrow network."""
    assert Path(command[1]).name == "train.py"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = fork(train_alone, list(map(str, command[2:])), log, env or {}, daemon=False)
        process.join(120)
        said = log.read_text()
    if check and process.exitcode:
        raise subprocess.CalledProcessError(process.exitcode, command, said, said)
    return subprocess.CompletedProcess(command, process.exitcode, said, said)


def _launch(log: Path, restarts: int, target: Callable, arguments: tuple) -> None:
    """In a fork: what `torchrun --standalone --nproc-per-node 2` does, without importing anew."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in [name for name in os.environ if name.startswith("SM_")]:
        del os.environ[name]
    os.environ["OMP_NUM_THREADS"] = "1"
    # Else the restarted meet addresses of the dead in torchrun's own store (pytorch#135712).
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    write_to(log)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=str(uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
        start_method="fork",
    )
    elastic_launch(config, target)(*arguments)


@contextlib.contextmanager
def torchrun(
    log: Path, target: Callable, *arguments: Any, restarts: int = 0
) -> Iterator[BaseProcess]:
    """Run a function in two processes by torchrun's agent; none of them outlives the context."""
    agent = fork(_launch, log, restarts, target, arguments, daemon=False)
    try:
        yield agent
    finally:
        agent.terminate()  # and its processes with it
        agent.join(60)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
