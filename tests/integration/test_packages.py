"""Each package is whole: its wheel runs its example with its declared dependencies alone."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from importlib.metadata import Distribution, PathDistribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course.workspace import ROOT

OWN = ("open-debugger", "local-sagemaker")
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "src")
UV = str(Path(sys.executable).with_name("uv"))
INSTALLED = Path(sysconfig.get_path("purelib"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """The wheel of each package, built from a copy of its folder."""
    built = {}
    for name in OWN:
        copy = tmp_path_factory.mktemp(name)
        for each in SHIPPED:
            source = ROOT / "packages" / name / each
            take = shutil.copytree if source.is_dir() else shutil.copy
            take(source, copy / each)
        build = [UV, "build", "--wheel", "--no-build-isolation", "--offline", "--quiet"]
        command = [*build, "--python", sys.executable, "--out-dir", str(copy / "dist"), str(copy)]
        subprocess.run(command, check=True)
        (built[name],) = (copy / "dist").glob("*.whl")
    return built


def needed(dist: Distribution, found: set[str] | None = None) -> set[str]:
    """Names of all distributions that `dist` declares, and those that these declare."""
    found = set() if found is None else found
    for line in dist.requires or []:
        requirement = Requirement(line)
        extras = requirement.extras or {""}
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not wanted or name in found or name in OWN:
            continue
        found.add(name)
        child = distribution(name)
        needed(child, found)
        for extra in extras - {""}:
            for each in map(Requirement, child.requires or []):
                if each.marker and each.marker.evaluate({"extra": extra}):
                    found.add(canonicalize_name(each.name))
                    needed(distribution(each.name), found)
    return found


def link(names: set[str], site: Path) -> None:
    """Link the files of distributions into `site`, and nothing else that lies beside them."""
    files = []
    for dist in distributions():
        owner = canonicalize_name(dist.name)
        for path, *_ in csv.reader((dist.read_text("RECORD") or "").splitlines()):
            if not path.startswith(("..", "/")):
                files.append((owner, path.split("/")))
    _link(files, names, INSTALLED, site)


def _link(files: list[tuple[str, list[str]]], names: set[str], source: Path, target: Path) -> None:
    """Link what distributions in `names` alone own; what they share with others, part by part."""
    below: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for owner, (first, *rest) in files:
        below[first].append((owner, rest))
    for entry, inner in below.items():
        owners = {owner for owner, _ in inner}
        if owners <= names and (source / entry).exists():
            (target / entry).symlink_to(source / entry)
        elif owners & names and all(rest for _, rest in inner):
            (target / entry).mkdir()
            _link(inner, names, source / entry, target / entry)


@pytest.fixture(scope="module", params=OWN)
def bare(request, wheels, tmp_path_factory) -> tuple[str, Path]:
    """A package, and the Python of an environment that has its wheel and what that declares."""
    home = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    needs_debugger = request.param == "local-sagemaker"  # which evaluates a job's rules
    for name in OWN if needs_debugger else [request.param]:
        install = [UV, "pip", "install", "--quiet", "--offline", "--no-deps"]
        subprocess.run([*install, "--python", python, wheels[name]], check=True)
    names: set[str] = set()
    for info in site.glob("*.dist-info"):
        needed(PathDistribution(info), names)
    link(names, site)
    return request.param, python


def run(command: list, cwd: Path) -> subprocess.CompletedProcess:
    """Run a command in `cwd` with nothing of this environment but the system's programs."""
    environment = {"PATH": os.defpath, "HOME": str(cwd), "TMPDIR": str(cwd)}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_the_example_of_its_readme_runs(bare, tmp_path):
    name, python = bare
    package = ROOT / "packages" / name
    (example,) = (package / "examples").glob("*.py")
    shown = example.read_text().partition('"""\n\n')[2] or example.read_text()
    assert shown.strip() in (package / "README.md").read_text()
    engine = name == "local-sagemaker"
    before = [python.with_name("local-sagemaker"), "run", "--"] if engine else []
    done = run([*before, python, example], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_nothing_of_the_course_is_in_it(bare, tmp_path):
    _, python = bare
    for module in ("course", "entry_points", "tools", "ipywidgets"):
        done = run([python, "-c", f"import {module}"], tmp_path)
        assert f"No module named '{module}'" in done.stderr
