"""Start processes in which PyTorch is already imported, by forking a server that has imported it.

Importing PyTorch takes seconds, and a process that has used PyTorch's threads cannot be forked. So
multiprocessing starts a server, which imports everything and runs none of it. In Python before
3.12.3, only PYTHONPATH reaches the server's sys.path.
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
IMPORTED += ["train", "options", "preprocess", "data", "distributed", "optim", "features", "models"]
IMPORTED += ["pretrained", "checkpoint", "report", "debugger.hook", "debugger.profiling"]
IMPORTED += ["debugger.scalars", "torch.utils.serialization.config"]
IMPORTED += ["PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.GifImagePlugin"]
IMPORTED += ["torch.distributed.launcher.api", "tests.support.narrow", "pytest"]

_starting = threading.Lock()


def fork(target: Callable, *arguments: Any, daemon: bool = True) -> BaseProcess:
    """Run a function in a fork of the server; the arguments must be picklable.

    A daemon may not start processes of its own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_begin, args=(target, *arguments), daemon=daemon)
    with _starting, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        process.start()
    return process


def _begin(target: Callable, *arguments: Any) -> None:
    # As in any process on Linux; the server has set it to forkserver.
    multiprocessing.set_start_method("fork", force=True)
    target(*arguments)


def write_to(log: Path) -> None:
    """In a fork: redirect all output to a file, line by line."""
    stream = log.open("a", buffering=1)
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
    sys.stdout = sys.stderr = stream


def train_alone(
    arguments: list[str], log: Path, variables: dict[str, str], pace: float = 0, wide: bool = False
) -> None:
    """In a fork: run train.py on one thread, with these environment variables, and log its output.

    ResNet18 is the narrow one, unless `wide` is true. Each batch, and each fsync of a file, takes
    at least `pace` seconds, which leaves time to interrupt a run on a busy machine as well.
    """
    import torch
    from torchvision.models._api import BUILTIN_MODELS

    import train
    from tests.support import narrow

    torch.set_num_threads(1)
    if not wide:
        BUILTIN_MODELS["resnet18"], narrow.PACE = narrow.resnet18, pace
    fsync = os.fsync
    os.fsync = lambda descriptor: (time.sleep(pace), fsync(descriptor))
    for name in [name for name in os.environ if name.startswith("SM_")]:
        del os.environ[name]
    os.environ.update(variables, OMP_NUM_THREADS="1")  # other tests run at the same time
    write_to(log)
    train.main(arguments)


def run_in_fork(
    command: list[str], *, env: dict[str, str] | None = None, check: bool = False, **_: Any
) -> subprocess.CompletedProcess:
    """Do what `subprocess.run` does with `[python, train.py, ...]`, faster, on a narrow network."""
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
    """In a fork: do what `torchrun --standalone --nproc-per-node 2` does, with forks as workers."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in [name for name in os.environ if name.startswith("SM_")]:
        del os.environ[name]
    os.environ["OMP_NUM_THREADS"] = "1"
    # Else restarted workers find stale addresses in torchrun's own store (pytorch#135712).
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
    """Have torchrun's agent run a function in two processes; none outlives the context."""
    agent = fork(_launch, log, restarts, target, arguments, daemon=False)
    try:
        yield agent
    finally:
        agent.terminate()  # and its processes with it
        agent.join(60)


def free_port() -> int:
    """Return a port on which nothing listens at present."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
