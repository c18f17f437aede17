"""A path to the state folder that shells need not quote.

SDK v3's driver and AWS's training toolkit write the interpreter's path into shell commands without
quoting it, and scripts do so with the paths of their channels. Where the state folder's path has a
space, or is very long, the engine therefore reaches the folder by a link in the temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import tempfile
from pathlib import Path

TMP = Path("/tmp")
LONGEST = 120  # characters of a state folder's path; a script's first line may have 127
TEMPORARY_LENGTH = 60  # bytes; a Unix socket's path may have 107, and Python's take 38 of them


def path(folder: Path) -> Path:
    """A path to `folder` without characters that mean something to a shell.

    `folder` itself, if it has none; else a link, in a folder that only this user may write.

    Raises:
        PermissionError: the links' folder belongs to someone else.
    """
    if _is_plain(folder):
        return folder
    links = _links()
    links.mkdir(mode=0o700, exist_ok=True)
    status = links.lstat()
    if links.is_symlink() or status.st_uid != os.getuid():
        raise PermissionError(f"{links} is not this user's own folder: set TMPDIR to another place")
    link = _link(folder)
    link.unlink(missing_ok=True)  # left by an engine that was killed
    link.symlink_to(folder)
    return link


def forget(path: Path) -> None:
    """Remove the link that `path` is, if it is one of ours."""
    if path.parent == _links():
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other engines' links are in it
            path.parent.rmdir()


def forget_link_to(folder: Path) -> None:
    """Remove the link that leads to `folder`, if there is one."""
    forget(_link(folder))


def _link(folder: Path) -> Path:
    return _links() / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def temporary() -> Path:
    """The temporary folder, if its path is plain and leaves room for a socket's name in it."""
    place = Path(tempfile.gettempdir())
    return place if _is_plain(place) and len(os.fsencode(place)) <= TEMPORARY_LENGTH else TMP


def _links() -> Path:
    return temporary() / f"local-sagemaker-{os.getuid()}"


def _is_plain(folder: Path) -> bool:
    return shlex.quote(str(folder)) == str(folder) and len(str(folder)) <= LONGEST
