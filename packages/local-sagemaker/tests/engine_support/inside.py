"""Scripts run by a container's Python, without an engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local_sagemaker.runtime import environments
from local_sagemaker.runtime.inside import startup


def run_inside(folder: Path, script: str, version: str = "", **variables: str) -> list[str]:
    """Run a script in a container of the image that names PyTorch `version`; return its lines.

    Args:
        folder: keeps the container's environment, which further scripts use again.
    """
    image = {startup.VERSION: version} if version else {}
    done = subprocess.run(
        ["python", "-c", script],
        env=environments.make(folder / "own", folder / "shared") | image | variables,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()
