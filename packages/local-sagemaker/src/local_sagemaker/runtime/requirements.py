"""requirements.txt inside a container: what is there stays, what is missing is added once for all.

Nothing is done, and no network asked, where the engine's environment satisfies every line. What is
missing is installed by pip into an environment that later containers with the same requirements
use again. Packages that the container itself runs on are never replaced.

``python -m local_sagemaker.runtime.requirements FILE`` stands for the installer of SDK v3's driver.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from local_sagemaker.runtime import environments, requirements_file

# What a container's contract rests on; a container on AWS has these in its image.
KEPT = (
    "torch",
    "torchvision",
    "torchaudio",
    "numpy",
    "smdebug",
    "sagemaker-training",
    "sagemaker-pytorch-training",
    "sagemaker-inference",
)
PACKAGES = ("-e", "--editable", "-r", "--requirement")  # options that name some
DRIVER = "input/data/sm_drivers/scripts/install_requirements.py"  # of SDK v3's ModelTrainer
COMPLETE = "complete"  # the file that an environment has once all is installed in it


class RequirementsFailed(Exception):
    """The requirements cannot be met; the text says which line, and why."""


@dataclass(frozen=True)
class Line:
    """One requirement and where it stands; `wanted` is None for what only pip understands."""

    place: str
    text: str
    wanted: Requirement | None

    @property
    def is_option(self) -> bool:
        """Whether it names no package; files were read, so that -r names an address."""
        return self.text.startswith("-") and not self.text.startswith(PACKAGES)


def install(file: Path) -> bool:
    """Meet the requirements of `file` for the Python processes started after this call.

    Returns:
        Whether anything was added: a running process has to start anew to see all of it.

    Raises:
        RequirementsFailed: a line would replace what the container runs on, or pip failed.
    """
    lines = list(_lines(file))
    for line in lines:
        _refuse_replacing(line)
    met = [line for line in lines if line.wanted and _is_met(line.wanted)]
    for line in met:
        print(f"Requirement already satisfied: {line.text}", flush=True)
    missing = [line for line in lines if line not in met and not line.is_option]
    if not missing:
        return False
    if all(line.wanted for line in lines):
        _use(_shared(file.name, sorted(line.text for line in missing)))
    else:  # files and addresses have no fixed content that others could share
        _pip(Path(sys.prefix), file.name, ["-r", file.name], file.parent)
    return True


def _lines(file: Path) -> Iterator[Line]:
    try:
        written = list(requirements_file.read(file))
    except requirements_file.RequirementsFileError as error:
        raise RequirementsFailed(str(error)) from None
    constraints = [_requirement(each.text) for each in written if each.is_constraint]
    for each in (each for each in written if not each.is_constraint):
        if wanted := _requirement(each.text):
            for one in filter(None, constraints):
                if _applies(one) and canonicalize_name(one.name) == canonicalize_name(wanted.name):
                    wanted.specifier &= one.specifier
        place = f"{each.file.name}, line {each.number}"
        only_pips = wanted and wanted.url and not _kept(wanted)
        yield Line(place, each.text, None if only_pips else wanted)


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _kept(wanted: Requirement) -> str | None:
    """The installed version of a package that must stay; None for all other packages."""
    name = wanted.name.lower().replace("_", "-").replace(".", "-")
    return _version(name) if name in KEPT else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _refuse_replacing(line: Line) -> None:
    wanted = line.wanted
    if not wanted or not _applies(wanted) or not (version := _kept(wanted)):
        return
    if wanted.url or not wanted.specifier.contains(version, prereleases=True):
        raise RequirementsFailed(
            f"{line.place}: '{line.text}' would replace {wanted.name} {version}, which this "
            "container runs on; remove the line, or loosen it"
        )


def _applies(wanted: Requirement, extra: str = "") -> bool:
    return wanted.marker is None or wanted.marker.evaluate({"extra": extra})


def _is_met(wanted: Requirement) -> bool:
    return not _applies(wanted) or _is_there(wanted)


def _is_there(wanted: Requirement) -> bool:
    try:
        found = metadata.distribution(wanted.name)
    except metadata.PackageNotFoundError:
        return False
    needed = [Requirement(text) for text in found.requires or []]
    return wanted.specifier.contains(found.version, prereleases=True) and all(
        _is_there(one)
        for extra in wanted.extras
        for one in needed
        if one.marker and not _applies(one) and _applies(one, extra) and one.name != wanted.name
    )


def _shared(name: str, texts: list[str]) -> Path:
    """The environment that holds these requirements, made if none is there yet."""
    base = Path(os.environ[environments.BASE])
    settings = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if "PIP_" in name]
    content = "\n".join([base.name, *settings, *texts])
    folder = base.parent / f"requirements-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    with _locked(folder.with_suffix(".lock")):
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a container that was killed meanwhile
            shutil.copytree(base / "environment", folder, symlinks=True)
            _pip(folder, name, texts, base.parent)
            (folder / COMPLETE).touch()
    return folder


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _pip(folder: Path, name: str, wanted: list[str], cwd: Path) -> None:
    """Let pip install into the environment in `folder`, leaving the kept packages as they are."""
    constraints = folder / "constraints.txt"
    kept = {package: _version(package) for package in KEPT}
    constraints.write_text("".join(f"{n}=={version}\n" for n, version in kept.items() if version))
    command = [str(folder / "bin/python"), "-m", "pip", "install", "-c", str(constraints), *wanted]
    variables = {**os.environ, "VIRTUAL_ENV": str(folder)}
    process = subprocess.Popen(
        command, cwd=cwd, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    errors = []
    for line in process.stdout:
        print(line, end="", flush=True)
        errors += [line.strip()] if line.startswith("ERROR:") else []
    if process.wait() != 0:
        said = " ".join(errors) or f"exit code {process.returncode}"
        raise RequirementsFailed(f"pip cannot install {name}: {said}")


def _use(shared: Path) -> None:
    """Let this container's Python see the packages of `shared`, and its path their commands."""
    own = Path(sys.prefix)
    packages = str(shared / environments.PACKAGES)
    entry = own / environments.PACKAGES / f"10-{shared.name}.pth"
    entry.write_text(f"import site; site.addsitedir({packages!r})\n")
    for tool in (shared / "bin").iterdir():
        if not tool.name.startswith("python"):
            environments.expose(tool, own / "bin", shared / "bin")


def adopt_driver(ml: Path) -> None:
    """Let SDK v3's driver, downloaded to `ml`, install requirements by this module."""
    if (driver := ml / DRIVER).exists():
        driver.write_text("from local_sagemaker.runtime.requirements import main\n\nmain()\n")


def main() -> None:
    try:
        install(Path(sys.argv[1] if len(sys.argv) > 1 else "requirements.txt"))
    except RequirementsFailed as error:
        print(f"ERROR: {error}", flush=True)
        output = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "output"
        output.mkdir(parents=True, exist_ok=True)
        (output / "failure").write_text(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
