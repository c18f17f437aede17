"""The notebooks' form and exercises, and what they say when they are run out of order."""

import os
import re
import subprocess
import sys
from itertools import pairwise

import nbformat
import pytest

from course import exercises
from engine_support.clients import running_engine
from local_sagemaker.client.environment import client_environment
from tools import lint_lessons, run

NOTEBOOKS = sorted(run.NOTEBOOKS.glob("[0-9]*.ipynb"))


def cells(notebook, kind):
    return [c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == kind]


def test_all_four_are_there():
    names = ["01-data-to-s3", "02-hpo", "03-train-debug-profile", "04-deploy-query"]
    assert [notebook.stem for notebook in NOTEBOOKS] == names


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_their_form_is_good(notebook):
    assert lint_lessons.findings(notebook) == []


def test_course_has_few_modules():
    assert list(lint_lessons.too_many_modules()) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_two_exercises_each_with_a_checking_cell_and_a_solution(notebook):
    all_cells = nbformat.read(notebook, as_version=4).cells
    titles = re.findall(r"^### (Exercise \d) · .+$", "\n".join(c.source for c in all_cells), re.M)
    assert titles == ["Exercise 1", "Exercise 2"]
    checks = []
    for before, cell in pairwise(all_cells):
        if "### Exercise" in before.source:
            assert "..." in cell.source, "the exercise is solved already"
            checks += re.findall(r"^exercises\.(\w+)\(", cell.source, re.M)
    solutions = "\n".join(cells(notebook.parent / "solutions" / notebook.name, "code"))
    assert re.findall(r"\bexercises\.(\w+)\(", solutions) == checks
    assert len(checks) == solutions.count("assert verdict, verdict") == 2
    assert all(hasattr(exercises, check) for check in checks)


EARLIER = {
    "02-hpo": "01-data-to-s3",
    "03-train-debug-profile": "02-hpo",
    "04-deploy-query": "02-hpo",  # whose best job names the network
}


# Runs the code cells of each notebook in turn, until one raises.
RUN = """
import json, sys
from pathlib import Path
for name in sys.argv[1:]:
    cells = json.loads(Path(name + ".ipynb").read_text())["cells"]
    names = {"__name__": "__main__"}
    try:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), names)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_must_not_change_is_compared(notebook):
    """`make check-lessons` fails if a marked cell prints something else than is committed."""
    marked = [cell for cell in cells(notebook, "code") if cell.startswith("# NBVAL_CHECK_OUTPUT\n")]
    assert len(marked) >= 2


def test_run_out_of_order_each_names_the_notebook_to_run_first(tmp_path):
    with running_engine(tmp_path / "engine") as clients:
        here = {**os.environ, "COURSE_MODE": "local"}
        done = subprocess.run(
            [sys.executable, "-c", RUN, *EARLIER],
            cwd=run.NOTEBOOKS,
            env=here | client_environment(clients.url, clients.state),
            capture_output=True,
            text=True,
            timeout=120,
        )
    said = "\n".join(line for line in done.stdout.splitlines() if "MissingStep" in line)
    for name, earlier in EARLIER.items():
        assert re.search(f"^{name}: MissingStep: .* run notebook {earlier} first", said, re.M), done
