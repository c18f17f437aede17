"""SageMaker's training toolkit, run in the place of the container's ``train``.

``python -m local_sagemaker.runtime.inside.train`` changes what does not fit here (`adapt`). The
toolkit itself prints every piece that it happens to read as a line of its own; on a busy machine
``print("loss:", 0.5)`` becomes two log lines, which no metric's expression matches. It hands every
requirements.txt to pip, which may ask the network for what is there. And it hands its own search
path on, in which the engine's packages would come before those that a job has installed.
"""

from __future__ import annotations

import os
import sys
from asyncio import StreamReader
from importlib import metadata
from pathlib import Path

from sagemaker_pytorch_container import training
from sagemaker_training import environment, errors, modules, process, runner
from sagemaker_training.cli.train import main

from local_sagemaker.runtime import requirements

_watch = process.watch


class Lines:
    """A stream whose pieces are whole lines."""

    def __init__(self, stream: StreamReader) -> None:
        self.stream, self.rest = stream, b""

    async def read(self, size: int) -> bytes:
        while b"\n" not in self.rest and (piece := await self.stream.read(size)):
            self.rest += piece
        lines, end, rest = self.rest.rpartition(b"\n")
        self.rest = rest if end else b""
        return lines + end if end else rest


async def watch(stream: StreamReader | None, *arguments, **members):
    return await _watch(stream and Lines(stream), *arguments, **members)


def install_requirements(path: str, capture_error: bool = False) -> None:
    """In the toolkit's place: `path` is the folder of the sources."""
    try:
        requirements.install(Path(path) / "requirements.txt")
    except requirements.RequirementsFailed as error:
        raise errors.ClientError(str(error)) from None


def write_env_vars(env_vars: dict[str, str] | None = None) -> None:
    """In the toolkit's place: set the script's variables.

    ``PYTHONPATH`` names the job's code and what it named before. All else the script's Python
    finds by itself, what was installed for the job first.
    """
    given = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([environment.code_dir, *([given] if given else [])])
    os.environ.update({**(env_vars or {}), "PYTHONPATH": path})


def set_torch_version() -> None:
    """In the toolkit's place, which imports torch for it: seconds, in every job."""
    os.environ["SM_DLC_TORCH_VERSION"] = metadata.version("torch")


def adapt() -> None:
    """Put this module's functions in the place of the toolkit's."""
    process.watch = watch
    modules.install_requirements = install_requirements
    environment.write_env_vars = write_env_vars
    training._set_torch_version_environment = set_torch_version
    # The launcher of pytorchddp wants MPI and SSH; torchrun gives its processes the same variables.
    runner.SMDataParallelRunnerType = runner.TorchDistributedRunnerType


if __name__ == "__main__":
    adapt()
    sys.exit(main())
