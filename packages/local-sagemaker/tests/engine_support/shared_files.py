"""Files that tests share with jobs on this machine: outside ``/tmp``, which is a job's own."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

PLACE = "/var/tmp"


def shared_folder() -> Path:
    """A new folder that jobs see, too; it is removed at the end of the tests."""
    folder = Path(tempfile.mkdtemp(prefix="local-sagemaker-tests-", dir=PLACE))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def shared(folder: Path) -> Path:
    """`folder`, or a copy of it if it lies where jobs do not see it."""
    if not folder.is_relative_to("/tmp"):
        return folder
    return Path(shutil.copytree(folder, shared_folder() / folder.name))
