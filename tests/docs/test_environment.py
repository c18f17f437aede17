"""environment.yml: what the notebooks need and no engine, in the versions that are tested."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from course.workspace import ROOT

PACKAGES = ROOT / "packages"


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


PROJECT, DEBUGGER = project(ROOT), project(PACKAGES / "open-debugger")
ENGINE = project(PACKAGES / "local-sagemaker")
SPEC = yaml.safe_load((ROOT / "environment.yml").read_text())
CONDA_NAMES = {"pytorch": "torch"}  # conda's name, and pip's


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(lines):
    """Name → what follows it (version, build), of conda's and pip's lines alike."""
    split = (re.fullmatch(r"([\w.-]+)(?:\[\w+\])?\s*(.*)", line) for line in lines)
    return {canonical(CONDA_NAMES.get(found[1], found[1])): found[2] for found in split}


(PIP_LINES,) = (entry["pip"] for entry in SPEC["dependencies"] if isinstance(entry, dict))
CONDA = packages(entry for entry in SPEC["dependencies"] if isinstance(entry, str))
PIP = packages(line for line in PIP_LINES if not line.startswith("-"))
TESTED = dict(  # pinned without a marker, or the same everywhere that conda makes Python 3.12
    re.fullmatch(r"([\w.-]+)==(\S+)", line).groups()
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if ";" not in line
)


def version(pin):
    """The version in ``=2.13.0=cpu*``, ``==1.0`` or ``>=1``, without what is no equality."""
    found = re.fullmatch(r"==?([\w.]+)(=.*)?", pin)
    return found and found[1]


def test_pip_takes_the_versions_that_are_tested():
    assert "-c requirements.txt" in PIP_LINES
    assert (ROOT / "requirements.txt").exists()


@pytest.mark.parametrize("name", sorted((CONDA | PIP).keys() & TESTED.keys() - {"pip"}))
def test_a_version_that_both_name_is_the_same(name):
    pin = (CONDA | PIP)[name]
    if pin or name in CONDA:  # pip's bare names have theirs from the constraints
        assert version(pin) == TESTED[name]


@pytest.mark.slow
def test_pips_part_is_solved_for_python_3_12_beside_what_conda_installs(tmp_path):
    """From the package index; what conda would install is there in conda's versions."""
    lines = [f"{line[:3]}{ROOT / line[3:]}" if line.startswith("-") else line for line in PIP_LINES]
    conda = {name: version(pin) for name, pin in CONDA.items() if name != "python"}
    lines += [f"{name}=={pin}" for name, pin in conda.items() if pin]
    (tmp_path / "environment.in").write_text("\n".join(lines))
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "compile", "--python-version", version(CONDA["python"]), "--no-annotate"]
    done = subprocess.run(
        [*command, "--no-header", "--quiet", "environment.in"],
        env={**os.environ, "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "uv")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    solved = packages(line for line in done.stdout.splitlines() if not line.startswith("-e"))
    assert {"sagemaker", "smdebug", "jupyterlab", "torch"} <= solved.keys()
    wrong = {n: pin for n, pin in solved.items() if n in TESTED and version(pin) != TESTED[n]}
    assert wrong == {}


def test_pytorch_is_condas_and_for_the_cpu():
    assert {"torch", "torchvision"} <= set(CONDA) and not {"torch", "torchvision"} & set(PIP)
    assert CONDA["torch"].split("=")[-1].startswith("cpu")
    assert SPEC["channels"] == ["conda-forge"]


def test_python_is_one_that_the_project_takes():
    assert PROJECT["requires-python"] == ">=3.11,<3.13"
    assert version(CONDA["python"]) in {"3.11", "3.12"}


NEEDED = packages(PROJECT["dependencies"] + DEBUGGER["dependencies"]).keys() - {"open-debugger"}


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_each_dependency_of_course_and_debugger_is_there(name):
    assert name in CONDA | PIP


@pytest.mark.parametrize("name", sorted(packages(ENGINE["dependencies"]).keys() - NEEDED - {"pip"}))
def test_nothing_of_the_engine_is_there(name):
    assert name not in CONDA | PIP


def test_the_debugger_and_then_the_course_are_there_without_extras():
    installed = [line for line in PIP_LINES if line.startswith("-e")]
    assert installed == ["-e packages/open-debugger", "-e ."]


def test_no_address_is_named():
    text = (ROOT / "environment.yml").read_text()
    assert "://" not in text and "-index" not in text and "--find-links" not in text


def test_the_readme_makes_it_and_registers_its_kernel():
    text = (ROOT / "README.md").read_text()
    assert "conda env create --file environment.yml" in text
    assert f"-m ipykernel install --user --name {SPEC['name']}" in text
