"""How a container's command is started here: with a real /opt/ml where the kernel allows it."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local_sagemaker.core.access_key import write_private
from local_sagemaker.core.shell_path import TMP

log = logging.getLogger(__name__)
SUPERVISOR = Path(__file__).with_name("supervisor.py")
VARIABLE = "LOCAL_SAGEMAKER_ISOLATION"
HOST = "algo-1"  # the name SageMaker gives to a job's first instance

# One pipe for the engine's lifetime: supervisors read it and kill their trees when it closes.
_life_read, _life_write = os.pipe()


@dataclass(frozen=True)
class Isolation:
    """What the kernel grants: `namespaces` is full, mount or none (see supervisor.py)."""

    namespaces: str
    user_namespace: bool

    @property
    def real_opt_ml(self) -> bool:
        return self.namespaces != "none"


RELOCATED = Isolation("none", False)


@functools.cache
def isolation() -> Isolation:
    """The strongest isolation that works on this machine, found by trying.

    ``LOCAL_SAGEMAKER_ISOLATION=full|mount|none`` skips the stronger ones.
    """
    levels, strongest = ["full", "mount", "none"], os.environ.get(VARIABLE, "full")
    if strongest not in levels:
        raise ValueError(f"{VARIABLE}={strongest!r}: it can be full, mount or none")
    levels = levels[levels.index(strongest) :]
    if sys.platform == "linux":
        users = [False, True] if os.getuid() == 0 else [True]
        for candidate in [Isolation(n, u) for n in levels if n != "none" for u in users]:
            if _works(candidate):
                return candidate
    log.warning(
        "this kernel grants no mount namespace: jobs get their folder as SAGEMAKER_BASE_DIR"
    )
    return RELOCATED


def _works(candidate: Isolation) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        ml = Path(folder) / "ml"
        ml.mkdir()
        command = ["/bin/sh", "-c", "echo works > /opt/ml/sign"]
        process = start(ml, Path(folder), command, dict(os.environ), "/", candidate, kept=())
        process.communicate()
        return (ml / "sign").exists()


def start(
    ml: Path,
    scratch: Path,
    command: list[str],
    environment: dict[str, str],
    cwd: str,
    how: Isolation | None = None,
    read_only: Sequence[str] = (),
    host: str = HOST,
    addresses: dict[str, str] | None = None,
    errors: IO[bytes] | None = None,
    kept: Iterable[str | Path] | None = None,
) -> subprocess.Popen:
    """Start `command` under a supervisor; its standard output comes by ``stdout``.

    Args:
        ml: the folder that becomes ``/opt/ml``.
        scratch: a folder for what the start itself needs.
        cwd: the command's working directory, as the command sees it.
        read_only: folders below `ml` that the command cannot write to; needs a mount namespace.
        host: the command's name for its machine.
        addresses: what the names of its cluster's hosts stand for, its own among them.
        errors: where its standard error goes, and it gets a pipe as its standard input (``stdin``);
            None sends both streams to ``stdout`` and leaves it nothing to read.
        kept: what it needs of the machine's files, in case they lie in ``/tmp``: where there are
            mount namespaces, it has a ``/tmp`` of its own. None leaves it the machine's.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    hosts = scratch / "hosts"
    known = Path("/etc/hosts").read_text() if Path("/etc/hosts").exists() else ""
    lines = [f"{at} {name}\n" for name, at in (addresses or {host: "127.0.0.1"}).items()]
    hosts.write_text(f"{known}\n{''.join(lines)}")
    spec = {
        **asdict(how or isolation()),
        **_own_tmp(scratch / "tmp", kept),
        "ml": str(ml),
        "scratch": str(scratch),
        "hosts_file": str(hosts),
        "host": host,
        "command": command,
        "environment": environment,
        "cwd": cwd,
        "read_only": list(read_only),
    }
    spec_file = scratch / "supervisor.json"
    write_private(spec_file, json.dumps(spec))  # the environment holds the engine's key
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(SUPERVISOR), str(spec_file), str(_life_read)],
        stdin=subprocess.PIPE if errors else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors or subprocess.STDOUT,
        pass_fds=[_life_read],
        start_new_session=True,
        cwd="/",
    )


def _own_tmp(folder: Path, kept: Iterable[str | Path] | None) -> dict:
    """The members of a supervisor's instructions that are about ``/tmp``."""
    if kept is None or not TMP.is_dir() or TMP.is_symlink():
        return {"tmp": None, "kept": []}
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    return {"tmp": str(folder), "kept": _in_tmp(kept)}


def _in_tmp(paths: Iterable[str | Path]) -> list[str]:
    """Those of `paths` that are in ``/tmp``, without those inside another."""
    found: list[Path] = []
    for path in sorted({Path(path).absolute() for path in paths if str(path)}):
        if path.exists() and TMP in path.parents and not any(one in found for one in path.parents):
            found.append(path)
    return [str(path) for path in found]


def terminate(process: subprocess.Popen) -> None:
    """Ask the command to end, as SageMaker does (SIGTERM to the container's first process)."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def kill(process: subprocess.Popen) -> None:
    """End the whole tree at once."""
    if process.poll() is None:
        process.send_signal(signal.SIGUSR1)
