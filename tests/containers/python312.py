"""The Python 3.12 of this machine, which AWS's containers and the student's environment run."""

import os
import subprocess
import sys
from pathlib import Path

UV = Path(sys.executable).with_name("uv")


def python312() -> str:
    """Find Python 3.12: $PYTHON312, what uv finds, or one of pyenv's."""
    if given := os.environ.get("PYTHON312"):
        return given
    command = [UV, "python", "find", "--no-python-downloads", "3.12"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip()
    # pyenv's shims answer with an error for every version that is not switched on.
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    if kept := sorted(root.glob("versions/3.12*/bin/python3.12")):
        return str(kept[-1])
    sys.exit("Python 3.12 is missing, which AWS's containers run: make ... PYTHON312=/path/to/it")
