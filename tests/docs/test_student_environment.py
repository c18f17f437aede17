"""requirements-aws.txt: no PyTorch, no engine, the tested versions, small, and all imports work."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course.workspace import ROOT

FILE = ROOT / "requirements-aws.txt"
README = (ROOT / "README.md").read_text()
PYTHON = {"python_version": "3.12", "python_full_version": "3.12.1", "sys_platform": "linux"}
UV = Path(sys.executable).with_name("uv")
MOST_BYTES = 1e9
# Four lines of notebook 03 show what a training step is; all else there needs no PyTorch.
BESIDES = {"torch"}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def asked():
    lines = [line for line in FILE.read_text().splitlines() if line and line[0] not in "#-"]
    return [Requirement(line) for line in lines]


def closure():
    """All that pip would install, by what this environment's packages say of themselves."""
    found, todo = set(), asked()
    while todo:
        wanted = todo.pop()
        name = canonical(wanted.name)
        if (name, *wanted.extras) in found:
            continue
        found.add((name, *wanted.extras))
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # for another version of Python
            continue
        for need in map(Requirement, needs):
            extras = [{**PYTHON, "extra": extra} for extra in (wanted.extras or {""})]
            if need.marker is None or any(need.marker.evaluate(each) for each in extras):
                todo.append(need)
    return {name for name, *_ in found}


def pins():
    """Name → version of requirements.txt, for the student's Python."""
    lines = map(Requirement, (ROOT / "requirements.txt").read_text().splitlines())
    kept = [each for each in lines if each.marker is None or each.marker.evaluate(PYTHON)]
    return {canonical(each.name): str(each.specifier) for each in kept}


def test_all_that_is_installed_has_its_tested_version():
    assert "-c requirements.txt" in FILE.read_text().splitlines()
    assert closure() - set(pins()) == set()


@pytest.mark.parametrize("name", ["torch", "torchvision", "timm", "moto", "optuna", "jupyterlab"])
def test_what_makes_an_environment_large_is_not_there(name):
    assert name not in closure()


def test_the_readme_makes_it_and_registers_its_kernel():
    assert "-m pip install --no-compile -r requirements-aws.txt" in README
    assert "-m pip install --no-deps -e packages/open-debugger -e ." in README
    assert "-m ipykernel install --user --name dog-breeds" in README


def imports(code):
    """The modules that a notebook's cell imports, and the names from each."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"from {node.module} import {', '.join(a.name for a in node.names)}"


def of_the_notebooks():
    for notebook in sorted((ROOT / "notebooks").rglob("[0-9]*.ipynb")):
        for cell in json.loads(notebook.read_text())["cells"]:
            if cell["cell_type"] == "code":
                yield from imports("".join(cell["source"]))


def of_the_packages():
    for folder, place in (("course", "."), ("open_debugger", "packages/open-debugger/src")):
        for file in sorted((ROOT / place / folder).rglob("*.py")):
            if file.name not in {"__main__.py"}:
                module = ".".join(file.relative_to(ROOT / place).with_suffix("").parts)
                yield f"import {module.removesuffix('.__init__')}"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # pip compiles and downloads without a cache
def test_it_is_solved_installed_and_enough_for_python_3_12(tmp_path):
    """From the package index, with pip's own resolver; cache and configuration lie in tmp_path."""
    from tests.containers.python312 import python312

    venv, python = tmp_path / "venv", tmp_path / "venv/bin/python"
    own = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    variables = {**os.environ, **own, "UV_CACHE_DIR": str(tmp_path / "uv")}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(*command, cwd=ROOT):
        words = list(map(str, command))
        done = subprocess.run(words, env=variables, cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(python312(), "-m", "venv", venv)
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", FILE)
    installed = json.loads(run(python, "-m", "pip", "list", "--format", "json"))
    found = {canonical(each["name"]): each["version"] for each in installed}
    wrong = {n: v for n, v in found.items() if n != "pip" and pins().get(n) != f"=={v}"}
    assert wrong == {}
    # As the two packages of the repository, which `--no-deps -e` would put on this path.
    (paths,) = venv.glob("lib/python3.12/site-packages")
    (paths / "course.pth").write_text(f"{ROOT}\n{ROOT / 'packages/open-debugger/src'}\n")
    lines = [*of_the_notebooks(), *of_the_packages()]
    wanted = [line for line in dict.fromkeys(lines) if line.split()[1].split(".")[0] not in BESIDES]
    variables["AWS_DEFAULT_REGION"] = "us-east-1"  # sagemaker.serve asks at import
    run(python, "-c", "\n".join(wanted), cwd=tmp_path)
    size = sum(file.lstat().st_size for file in venv.rglob("*") if not file.is_dir())
    print(f"{len(found)} packages, {size / 1e6:.0f} MB, the bytecode of what was imported included")
    assert size < MOST_BYTES
