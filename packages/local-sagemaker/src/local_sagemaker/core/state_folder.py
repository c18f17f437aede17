"""What a state folder takes on the disk, and how to free it."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_sagemaker.core import shell_path
from local_sagemaker.core.state_files import DATABASE, LOCK, OLD_LOG, PARTS
from local_sagemaker.core.state_lock import StateError, StateInUse, hold
from local_sagemaker.core.store import Store

# What no start needs: it is made again, or was of use only while the engine ran.
SUPERFLUOUS = [
    *PARTS["jobs"],
    *PARTS["endpoints"],
    *PARTS["environments"],
    *PARTS["uploads on their way"],
    *PARTS["engine's log"],
]


def usage(state: Path) -> dict[str, int]:
    """Bytes that each part of the state folder takes; copies of one object share theirs."""
    seen: set[int] = set()
    return {part: sum(_size(state / name, seen) for name in PARTS[part]) for part in PARTS}


def _size(path: Path, seen: set[int]) -> int:
    size = 0
    for file in [path, *path.rglob("*")]:
        try:
            found = file.lstat()
        except OSError:  # gone meanwhile
            continue
        if file.is_file() and found.st_ino not in seen:
            seen.add(found.st_ino)
            size += found.st_size
    return size


def clean(state: Path) -> dict[str, int]:
    """Remove what no later start needs; return the bytes that were freed, by part.

    While an engine runs that is its former log only. Nothing acknowledged is touched.

    Raises:
        StateError: if there is no state, or it is damaged.
    """
    _check(state)
    before = usage(state)
    try:
        store = Store(state)  # drops bodies that no object names
    except StateInUse:
        (state / OLD_LOG).unlink(missing_ok=True)
    else:
        try:
            for name in SUPERFLUOUS:
                _remove(state / name)
            store.vacuum()
        finally:
            store.close()
    return _freed(before, usage(state))


def remove(state: Path) -> tuple[dict[str, int], list[str]]:
    """Remove the whole state; return the bytes freed, by part, and names that are not ours.

    Raises:
        StateInUse: if an engine runs on it.
        StateError: if there is no state.
    """
    _check(state)
    before = usage(state)
    with hold(state):
        for name in (name for names in PARTS.values() for name in names):
            _remove(state / name)
        (state / LOCK).unlink()
        shell_path.forget_link_to(state.resolve())  # left by an engine that was killed
    foreign = sorted(path.name for path in state.iterdir())
    if not foreign:
        state.rmdir()
    return _freed(before, usage(state)), foreign


def _check(state: Path) -> None:
    if not (state / DATABASE).exists() and not (state / LOCK).exists():
        raise StateError(f"{state} holds no state of an engine: name its folder with --state")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _freed(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {part: max(0, before[part] - after[part]) for part in before}
