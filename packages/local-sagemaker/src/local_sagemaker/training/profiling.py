"""The system sampler beside each instance of a profiled job.

It is `open_debugger`'s program, in a process of its own outside of the job's namespaces: it sees
the machine and the job's whole process tree. It samples until its standard input closes, and its
supervisor ends it with the engine.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from local_sagemaker.runtime import isolation
from local_sagemaker.training import profiler_config
from local_sagemaker.training.instance import Instance

log = logging.getLogger(__name__)

# By its path, for as a module it would first import the rules, and with them smdebug.
(_PACKAGE,) = find_spec("open_debugger").submodule_search_locations
PROGRAM = str(Path(_PACKAGE, "profiler", "sampler.py"))
END_S = 10  # that it may take to write its last samples
TAIL = 300  # characters of what it said last
HANDED_ON = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


@contextmanager
def sampling(job: dict, instance: Instance, tell: Callable[[str], None]) -> Iterator[None]:
    """Sample the system's metrics, and the processes of an instance that runs, inside the block.

    Only if the job is profiled.
    Whatever happens to the sampler, the job goes on; `tell` gets a line about it.
    """
    sampler = None
    if profiler_config.is_enabled(job):
        try:
            sampler = _start(instance, profiler_config.interval_ms(job))
        except OSError as error:
            tell(f"local_sagemaker: the system's metrics are not sampled: {error}")
    try:
        yield
    finally:
        if sampler and (why := _end(sampler, instance)):
            tell(f"local_sagemaker: the system's metrics are not complete: {why}")


def _start(instance: Instance, interval_ms: int) -> subprocess.Popen:
    scratch = instance.profiler / "scratch"
    scratch.mkdir(parents=True)
    command = [sys.executable, PROGRAM, str(instance.profiler)]
    command += ["--interval-ms", str(interval_ms), "--node", instance.host.name]
    command += ["--pid", str(instance.process.pid)]
    environment = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    environment |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(scratch)}
    with _errors(instance).open("wb") as errors:
        return isolation.start(
            instance.profiler,
            scratch,
            command,
            environment,
            cwd=str(scratch),
            how=isolation.RELOCATED,
            errors=errors,
        )


def _end(sampler: subprocess.Popen, instance: Instance) -> str | None:
    """Let the sampler write its last samples and end; say why it did not, if it did not."""
    sampler.stdin.close()
    try:
        code = sampler.wait(timeout=END_S)
    except subprocess.TimeoutExpired:
        isolation.kill(sampler)
        sampler.wait()
        return f"the sampler took more than {END_S} s to end"
    finally:
        sampler.stdout.close()
    said = _errors(instance).read_text(errors="replace").strip()[-TAIL:]
    return f"the sampler ended with exit code {code}. Its last words: {said}" if code else None


def _errors(instance: Instance) -> Path:
    return instance.profiler / "scratch" / "errors"
