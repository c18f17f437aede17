"""The lock of a state folder: one engine at a time, and which process it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from local_sagemaker.core.state_files import LOCK


class StateError(RuntimeError):
    """The state folder cannot be used; the text says why and what to do. Nothing was changed."""


class StateInUse(StateError):
    """Another engine holds this state folder."""


def hold(folder: Path) -> IO[str]:
    """Hold the state in `folder` for this process, until the file that is returned is closed.

    Raises:
        StateInUse: if another process holds it.
        OSError: if the folder cannot be written.
    """
    held = (folder / LOCK).open("a")  # it may be another's: nothing is written yet
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise StateInUse(
            f"{folder} is in use by a running engine: stop that one "
            "(local-sagemaker stop) or name another folder with --state"
        ) from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def release(held: IO[str]) -> None:
    """Give up what `hold` has returned."""
    if not held.closed:
        held.truncate(0)
        held.close()


def holder(folder: Path) -> int | None:
    """The number of the process that holds the state in `folder`, or None."""
    try:
        pid = int((folder / LOCK).read_text())
    except (OSError, ValueError):
        return None
    # The number first: a process that is about to take the lock must not find it taken by this.
    return pid if is_alive(pid) and is_held(folder) else None


def is_alive(pid: int) -> bool:
    """Whether there is such a process; an ended child of this one is reaped."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def is_held(folder: Path) -> bool:
    """Whether a process holds the state in `folder`."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
