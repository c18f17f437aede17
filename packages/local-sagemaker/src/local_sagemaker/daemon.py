"""Starting, finding and stopping the engine's process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local_sagemaker.client import callers_way
from local_sagemaker.client.environment import removed
from local_sagemaker.core import state_files
from local_sagemaker.core.state_lock import holder, is_alive, is_held

DEFAULT_STATE = Path(".local_sagemaker")
START_LIMIT_S = 60
STOP_LIMIT_S = 30
LOG_SIZE = 10_000_000  # bytes, from which on an engine begins a new log


class EngineError(RuntimeError):
    """The engine cannot be started, found or stopped; the text says why and what to do."""


@dataclass(frozen=True)
class Running:
    """An engine that runs: process, address, state folder, and its identity proxy's port if any."""

    pid: int
    url: str
    state: str
    identity: int = 0


def find(state: Path) -> Running | None:
    """The engine that runs on `state`, if one does; it need not have time to answer.

    Raises:
        PermissionError: the folder is another user's, who has closed it.
    """
    try:
        known = Running(**json.loads((state / state_files.RUNNING).read_text()))
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError):
        return None
    return known if holder(state) == known.pid else None


def start(
    state: Path,
    port: int = 0,
    idle_s: float | None = None,
    life: int | None = None,
    temporary: bool = False,
) -> subprocess.Popen:
    """Start an engine on `state`, detached from this terminal, and wait until it answers.

    Args:
        port: on 127.0.0.1; 0 takes a free one.
        idle_s: it ends by itself after so many seconds without a request.
        life: read end of a pipe; when its other end closes, the engine ends.
        temporary: the engine removes `state` when it ends.

    Raises:
        EngineError: with the engine's own words.
    """
    log_file = _log_file(state)
    command = [sys.executable, "-m", "local_sagemaker.cli", "serve", "--state", str(state)]
    command += ["--port", str(port)]
    command += ["--idle", str(idle_s)] if idle_s is not None else []
    command += ["--life", str(life)] if life is not None else []
    command += ["--temporary"] if temporary else []
    told, tell = os.pipe()
    with log_file as log:
        process = subprocess.Popen(
            [*command, "--tell", str(tell)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            pass_fds=[tell] + ([life] if life is not None else []),
            start_new_session=True,
        )
    os.close(tell)
    try:
        said = _read_line(told)
    finally:
        os.close(told)
    if not said.startswith("http"):
        _end(process)
        raise EngineError(said or f"the engine did not start: see {state / state_files.LOG}")
    return process


def _environment() -> dict[str, str]:
    """The caller's, without what means nothing here: a profile that is gone would fail every job.

    Nor is the engine to reach the network by the identity proxy of another one, which may end.
    """
    gone, own = removed(os.environ), callers_way.restored(os.environ)
    return {name: value for name, value in own.items() if name not in gone}


def _log_file(state: Path) -> IO[bytes]:
    """The engine's log, to append to; a long one is put aside first."""
    file = state / state_files.LOG
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)  # for its owner alone
        if file.exists() and file.stat().st_size > LOG_SIZE:
            file.replace(state / state_files.OLD_LOG)
        return file.open("ab")
    except OSError as error:
        raise EngineError(
            f"cannot write to the state folder {state}: {error.strerror or error}; "
            "name another one with --state"
        ) from None


def _end(process: subprocess.Popen) -> None:
    """Wait for an engine that gave up; end one that neither answers nor gives up."""
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_line(descriptor: int) -> str:
    """What the engine tells when it is ready, or when it gives up."""
    deadline, text = time.monotonic() + START_LIMIT_S, b""
    while time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.5)[0]:
            chunk = os.read(descriptor, 4096)
            text += chunk
            if not chunk or text.endswith(b"\n"):
                break
    return text.decode().strip()


def note(state: Path, url: str, identity: int = 0) -> None:
    """Leave word in `state` of the engine that is this process."""
    running = Running(os.getpid(), url, str(state.resolve()), identity)
    draft = state / state_files.RUNNING_DRAFT
    draft.write_text(json.dumps(asdict(running)))
    draft.replace(state / state_files.RUNNING)  # whoever reads meanwhile reads a whole one


def _awaited(state: Path) -> Running | None:
    """The engine on `state`, also one that is just starting."""
    deadline = time.monotonic() + START_LIMIT_S
    while (running := find(state)) is None and is_held(state) and time.monotonic() < deadline:
        time.sleep(0.1)
    return running


def stop(state: Path) -> bool:
    """End the engine on `state`; False if none runs."""
    running = _awaited(state)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT_S
    while is_alive(running.pid):
        if time.monotonic() > deadline:
            os.kill(running.pid, signal.SIGKILL)
        time.sleep(0.05)
    return True
