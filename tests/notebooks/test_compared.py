"""Outputs of marked cells are compared in a run of the default set, and in no other."""

import importlib.util
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import run, smoke

CONFTEST = run.NOTEBOOKS / "conftest.py"
CELL = "# NBVAL_CHECK_OUTPUT\nprint(133, 'breeds')"
# An engine that is never asked, so that none is started for one cell.
ENGINE = {"LOCAL_SAGEMAKER_URL": "http://127.0.0.1:1"}


@pytest.fixture(scope="module")
def conftest():
    spec = importlib.util.spec_from_file_location("notebooks_conftest", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(folder, source, printed, **environment):
    """What nbval says about a notebook with one cell, which printed `printed` when committed."""
    output = new_output("stream", name="stdout", text=f"{printed}\n")
    cell = new_code_cell(source, execution_count=1, outputs=[output])
    nbformat.write(new_notebook(cells=[cell]), folder / "01-lesson.ipynb")
    shutil.copy(CONFTEST, folder)
    plain = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "."]
    return subprocess.run(
        command,
        cwd=folder,
        env=plain | ENGINE | environment,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def test_a_changed_output_fails(tmp_path):
    text = said(tmp_path, CELL, "120 breeds")
    assert "outputs of marked cells: compared" in text
    assert "Cell outputs differ" in text and "1 failed" in text


def test_the_same_output_passes(tmp_path):
    assert "1 passed" in said(tmp_path, CELL, "133 breeds")


def test_a_cell_without_the_mark_may_change(tmp_path):
    assert "1 passed" in said(tmp_path, CELL.partition("\n")[2], "120 breeds")


def test_a_run_with_other_photos_is_not_compared(tmp_path):
    text = said(tmp_path, CELL, "120 breeds", COURSE_DATA="photos")
    assert "outputs of marked cells: not compared (COURSE_DATA is set)" in text
    assert "1 passed" in text


@pytest.mark.parametrize("mode", ["local", "aws"])
def test_the_run_on_twelve_breeds_is_not_compared(conftest, mode, tmp_path):
    assert conftest.reason_not_to_compare(smoke.environment(mode, tmp_path))


@pytest.mark.parametrize(
    ("environment", "compared"),
    [
        ({"COURSE_MODE": "local"}, True),
        ({"COURSE_MODE": "local", "COURSE_DATA": "", "COURSE_CLASSES": ""}, True),
        ({"COURSE_MODE": "local", "COURSE_DATA": "photos"}, False),
        ({"COURSE_MODE": "local", "COURSE_CLASSES": "12"}, False),
        ({"COURSE_MODE": "local", "COURSE_IMAGE_SIZE": "64"}, False),
        ({"COURSE_MODE": "aws"}, False),
    ],
)
def test_what_is_compared(conftest, environment, compared):
    assert (conftest.reason_not_to_compare(environment) == "") is compared
