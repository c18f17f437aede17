"""Processes that have PyTorch from their first moment: forks of one that has imported it.

Importing PyTorch takes seconds, and a process that has used its threads cannot be forked. So a
server, which multiprocessing starts at the first need, imports all and uses none of it. Where
Python is older than 3.12.3, the server learns of no path but PYTHONPATH.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

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
