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
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ENTRY_POINTS = Path(__file__).parents[2] / "entry_points"
IMPORTED = ["torch", "torchvision.transforms.v2", "torchvision.models", "pytest", "safetensors"]
IMPORTED += ["train", "learning", "loading", "networks", "checkpoints", "records.debugging"]


def fork(target: Callable, *arguments: Any) -> BaseProcess:
    """Start a fork of the server: a function of a module, with arguments that can be pickled."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return process


def train_alone(arguments: list[str], log: Path, variables: dict[str, str]) -> None:
    """In a fork: run train.py on one thread, with more environment and a log for its output."""
    import torch

    import train

    torch.set_num_threads(1)
    for name in [name for name in os.environ if name.startswith("SM_")]:
        del os.environ[name]
    os.environ.update(variables, OMP_NUM_THREADS="1")  # the processors are for all tests
    with log.open("a", buffering=1) as stream, contextlib.redirect_stdout(stream):
        os.dup2(stream.fileno(), 2)
        train.main(arguments)


@contextlib.contextmanager
def torchrun(log: Path, *arguments: object, restarts: int = 0) -> Iterator[subprocess.Popen]:
    """Run a script in two processes by torchrun; none of them outlives the context."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", f"--max-restarts={restarts}", *map(str, arguments)]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("SM_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ENTRY_POINTS)}
    # Else the restarted meet addresses of the dead in torchrun's own store (pytorch#135712).
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    with log.open("w") as output:
        agent = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield agent
    finally:
        agent.terminate()  # and its processes with it
        agent.wait(60)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
