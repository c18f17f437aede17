"""The containers' Python environments, built by uv under `build/containers/`."""

import atexit
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from python312 import python312

from local_sagemaker.core import shell_path

HERE = Path(__file__).parent
_FOLDER = HERE.parents[1] / "build" / "containers"
_FOLDER.mkdir(parents=True, exist_ok=True)
# AWS's driver and toolkit write the interpreter's path into shell commands without quoting it.
BUILD = shell_path.path(_FOLDER)
atexit.register(shell_path.forget, BUILD)
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Venv:
    """An environment and the lock that it was made from."""

    folder: Path
    lock: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def reset(self) -> None:
        """Make it hold what the lock says and nothing else: each job's container is a new one."""
        _uv("pip", "sync", self.lock, venv=self.folder)

    def install(self, requirements: Path, *, no_deps: bool = False) -> None:
        """Install a requirements file, as a container's pip would."""
        options = ["--no-deps"] if no_deps else []
        _uv("pip", "install", *options, "-r", requirements, venv=self.folder)

    def versions(self, *names: str) -> dict[str, str | None]:
        """The installed versions of packages; None for one that is not there."""
        command = [UV, "pip", "freeze"]
        listed = subprocess.run(
            command, env=_environment(self.folder), check=True, capture_output=True, text=True
        ).stdout
        found = dict(line.split("==") for line in listed.splitlines() if "==" in line)
        return {name: found.get(name) for name in names}


def build(name: str) -> Venv:
    """Return the environment of `<name>.txt`; what is there already is used again."""
    wheels = os.environ.get("UV_TORCH_BACKEND", "index")
    pins, venv = HERE / f"{name}.txt", Venv(BUILD / name, BUILD / f"{name}-{wheels}.lock")
    if not venv.python.exists():
        _uv("venv", "--no-python-downloads", "--python", python312(), venv.folder)
    if not venv.lock.exists() or venv.lock.stat().st_mtime < pins.stat().st_mtime:
        shape = ["--no-header", "--no-annotate", "--no-emit-index-url", "--python", venv.python]
        _uv("pip", "compile", *shape, pins, "-o", venv.lock, venv=venv.folder)
    venv.reset()
    return venv


def _environment(venv: Path | None) -> dict[str, str]:
    return {**os.environ, "VIRTUAL_ENV": str(venv)} if venv else dict(os.environ)


def _uv(command: str, *arguments: object, venv: Path | None = None) -> None:
    words = [UV, command, *map(str, arguments), "--quiet"]
    if command == "pip":  # --quiet belongs to the subcommand
        words = [UV, command, str(arguments[0]), "--quiet", *map(str, arguments[1:])]
    done = subprocess.run(words, env=_environment(venv), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"uv {command} {' '.join(map(str, arguments))}:\n{done.stderr}")
