"""`make course` stops at a failing cell and names it; nbval fails where a cell raises or hangs."""

import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course import run

PASSES = "print('Made: one thing')"
RAISES = "values = {}\nvalues['breed']"
HANGS = "import time\ntime.sleep(600)"


@pytest.fixture
def notebook(tmp_path):
    def write(*sources):
        cells = [new_markdown_cell("# A title"), *map(new_code_cell, sources)]
        path = tmp_path / "tiny.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return write


def nbval(path, timeout_s):
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q"]
    command += [f"--nbval-cell-timeout={timeout_s}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent)


def test_a_notebook_that_passes_is_kept_with_its_html(notebook, tmp_path):
    content = run.execute(notebook(PASSES))
    assert run.made(content) == "one thing"
    run.keep(content, tmp_path / "build" / "tiny.ipynb")
    kept = nbformat.read(tmp_path / "build" / "tiny.ipynb", as_version=4)
    assert kept.cells[1].outputs[0].text == "Made: one thing\n"
    assert "Made: one thing" in (tmp_path / "build" / "tiny.html").read_text()


def test_a_cell_that_raises_is_named_with_notebook_and_error(notebook, capsys):
    path = notebook(PASSES, RAISES, PASSES)
    assert run.main([str(path)]) == 1
    said = capsys.readouterr().err
    assert "tiny.ipynb, cell 3 (`values = {}`): KeyError: 'breed'" in said


def test_a_cell_that_hangs_is_named(notebook):
    with pytest.raises(run.CellFailed, match=r"tiny.ipynb, cell 2 \(`import time`\)"):
        run.execute(notebook(HANGS), timeout_s=3)


def test_nbval_passes_what_is_right(notebook):
    assert nbval(notebook(PASSES), 60).returncode == 0


def test_nbval_fails_on_a_cell_that_raises(notebook):
    answer = nbval(notebook(PASSES, RAISES), 60)
    assert answer.returncode == 1, answer.stdout
    assert "KeyError" in answer.stdout


def test_nbval_fails_on_a_cell_that_hangs(notebook):
    answer = nbval(notebook(PASSES, HANGS), 5)
    assert answer.returncode == 1, answer.stdout
    assert "1 failed, 1 passed" in answer.stdout
