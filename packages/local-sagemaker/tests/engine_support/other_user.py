"""Commands of another user of this machine, who has no more rights than any.

Only root can become somebody else. Whoever else runs the tests stands for both users: what the
other one may not write is then closed to its owner, too.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

IS_ROOT = os.geteuid() == 0
NAME = "nobody" if IS_ROOT else pwd.getpwuid(os.getuid()).pw_name
# The interpreter, its packages and the sources that they lead to.
PROGRAMS = {Path(sys.prefix), Path(sys.base_prefix).resolve(), Path(__file__).resolve().parents[3]}


class OtherUser:
    """Runs commands as `NAME`, with `home` as home, working and temporary folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uid = pwd.getpwnam(NAME).pw_uid

    def run(self, command: Sequence[str], **variables: str) -> subprocess.CompletedProcess:
        """A command to its end, with nothing of this process's environment but the PATH."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(self.home), "USER": NAME, "LOGNAME": NAME}
        return subprocess.run(
            [*_become(self.home), *command],
            cwd=self.home,
            env={**own, **variables},
            capture_output=True,
            text=True,
        )

    def sh(self, script: str, **variables: str) -> subprocess.CompletedProcess:
        """A script of `sh`, which ends at its first failure."""
        return self.run(["sh", "-euc", script], **variables)


@contextmanager
def other_user() -> Iterator[OtherUser]:
    """The other user, with a new home."""
    home = Path(tempfile.mkdtemp(prefix="other-user-", dir="/var/tmp"))
    try:
        if IS_ROOT:
            shutil.chown(home, NAME)
        yield OtherUser(home)
    finally:
        shutil.rmtree(home)


@contextmanager
def occupied(*folders: Path) -> Iterator[None]:
    """These folders are there, and the other user cannot write to them."""
    with ExitStack() as undone:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            undone.callback(folder.chmod, folder.stat().st_mode)
            folder.chmod(0o755 if IS_ROOT else 0o555)
        yield


def _become(home: Path) -> list[str]:
    """The words before a command that make it the other user's."""
    if not IS_ROOT:
        return []
    rights = ["setpriv", f"--reuid={NAME}", f"--regid={pwd.getpwnam(NAME).pw_gid}"]
    rights += ["--clear-groups", "--inh-caps=-all"]
    return ["unshare", "--mount", "sh", "-euc", _opened(), "sh", *rights]


def _opened() -> str:
    """Shell lines for a mount namespace in which everybody can reach the `PROGRAMS`.

    An interpreter or a clone may lie in a folder that only its owner may enter, such as /root.
    """
    lines, stash = [], Path("/mnt")
    closed = {each: place for each in PROGRAMS if (place := _closed(each))}
    if closed:
        lines.append(f"mount -t tmpfs -o mode=700 stash {stash}")
    for number, each in enumerate(closed):
        lines += [
            f"mkdir {stash}/{number}",
            f"mount --rbind {shlex.quote(str(each))} {stash}/{number}",
        ]
    for place in sorted(set(closed.values())):
        lines.append(f"mount -t tmpfs -o mode=755 opened {shlex.quote(str(place))}")
    for number, each in enumerate(closed):
        words = shlex.quote(str(each))
        lines += [f"mkdir -p {words}", f"mount --rbind {stash}/{number} {words}"]
    return "\n".join([*lines, 'exec "$@"'])


def _closed(path: Path) -> Path | None:
    """The outermost folder on the way to `path` that others may not enter."""
    way = [*reversed(path.parents), path]
    return next((folder for folder in way if not folder.stat().st_mode & 0o001), None)
