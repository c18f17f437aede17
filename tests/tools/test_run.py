"""`make course` stops at a failing cell and names it; nbval fails where a cell raises or hangs."""

import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.support import widget_notebook
from tests.support.widget_notebook import PICKER, WATCH, outputs
from tools import run

PASSES = "print('Result: one thing')"
RAISES = "values = {}\nvalues['breed']"
HANGS = "import time\ntime.sleep(600)"
WIDGET = "import ipywidgets\nipywidgets.HTML('words')"


@pytest.fixture
def notebook(tmp_path):
    def write(*sources):
        cells = [new_markdown_cell("# A title"), *map(new_code_cell, sources)]
        path = tmp_path / "tiny.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return write


def test_the_page_needs_no_network_and_links_to_the_docs(tmp_path, monkeypatch):
    text = "$g < 1$, [a term](../docs/glossary.md#hook), [next](02-hpo.ipynb)"
    content = new_notebook(cells=[new_markdown_cell(text)])
    monkeypatch.setattr(run, "OUTPUT", run.ROOT / "build" / "tests" / "notebooks")
    monkeypatch.setattr(run, "NOTEBOOKS", run.ROOT / "notebooks")
    run.keep(content, run.OUTPUT / "tiny.ipynb")
    page = (run.OUTPUT / "tiny.html").read_text()
    assert "<math" in page and not re.search(r"""src=["']https?:""", page)
    assert 'href="../../../docs/glossary.md#hook"' in page and 'href="02-hpo.html"' in page
    assert nbformat.read(run.OUTPUT / "tiny.ipynb", as_version=4).cells[0].source == text


def test_a_notebook_that_passes_is_kept_with_its_html(notebook, tmp_path):
    content = run.execute(notebook(PASSES))
    assert run.made(content) == "one thing"
    run.keep(content, tmp_path / "build" / "tiny.ipynb")
    kept = nbformat.read(tmp_path / "build" / "tiny.ipynb", as_version=4)
    assert kept.cells[1].outputs[0].text == "Result: one thing\n"
    assert "Result: one thing" in (tmp_path / "build" / "tiny.html").read_text()


def test_links_between_notebooks_lead_to_html_in_html(notebook, tmp_path):
    content = nbformat.read(notebook(PASSES), as_version=4)
    content.cells[0].source = "[s](solutions/01-data.ipynb) [u](https://example.org/x.ipynb)"
    run.keep(content, tmp_path / "build" / "tiny.ipynb")
    html = (tmp_path / "build" / "tiny.html").read_text()
    assert 'href="solutions/01-data.html"' in html
    assert 'href="https://example.org/x.ipynb"' in html


def test_the_solutions_are_kept_where_the_notebooks_link_to(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "OUTPUT", tmp_path)
    run.keep_solutions()
    for lesson in run.NOTEBOOKS.glob("0*.ipynb"):
        assert f"solutions/{lesson.name}" in lesson.read_text()
        assert (tmp_path / "solutions" / f"{lesson.stem}.html").exists()


def saves(notebook):
    """A notebook that saves a report, as notebook 03 does."""
    lines = "import os; from pathlib import Path", "folder = Path(os.environ['COURSE_REPORTS'])"
    saving = "folder.mkdir(exist_ok=True); (folder / 'page.html').write_text('new')"
    return notebook("\n".join([*lines, saving]))


def test_reports_are_kept_beside_the_executed_copies(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "OUTPUT", tmp_path / "out")
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    (tmp_path / "out").mkdir()
    assert run.main([str(saves(notebook))]) == 0
    assert (tmp_path / "out/reports/page.html").read_text() == "new"
    assert not (tmp_path / "reports").exists()
    (tmp_path / "out/reports/page.html").unlink()
    assert run.main([str(saves(notebook)), "--in-place"]) == 0
    for folder in ("reports", "out/reports"):
        assert (tmp_path / folder / "page.html").read_text() == "new"


def test_a_cell_that_raises_is_named_with_notebook_and_error(notebook, capsys):
    path = notebook(PASSES, RAISES, PASSES)
    assert run.main([str(path)]) == 1
    said = capsys.readouterr().err
    assert "tiny.ipynb, cell 3 (`values = {}`): KeyError: 'breed'" in said


def test_a_cell_that_hangs_is_named(notebook):
    with pytest.raises(run.CellFailed, match=r"tiny.ipynb, cell 2 \(`import time`\)"):
        run.execute(notebook(HANGS), timeout_s=2)


@pytest.fixture(scope="module")
def nbval(tmp_path_factory):
    """What nbval makes of a notebook that passes, one that raises and one that hangs."""
    folder = tmp_path_factory.mktemp("nbval")
    for name, last in {"passes": PASSES, "raises": RAISES, "hangs": HANGS}.items():
        cells = [new_code_cell(PASSES), new_code_cell(last)]
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-rA"]
    command += ["--nbval-cell-timeout=4", "."]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_nbval_passes_what_is_right(nbval):
    for cell in ("passes.ipynb::Cell 0", "passes.ipynb::Cell 1", "raises.ipynb::Cell 0"):
        assert f"PASSED {cell}" in nbval.stdout


def test_nbval_fails_on_a_cell_that_raises(nbval):
    assert nbval.returncode == 1
    assert "FAILED raises.ipynb::Cell 1" in nbval.stdout and "KeyError" in nbval.stdout


def test_nbval_fails_on_a_cell_that_hangs(nbval):
    assert nbval.returncode == 1
    assert "FAILED hangs.ipynb::Cell 1" in nbval.stdout


def test_what_only_the_kernel_can_show_is_not_in_what_is_executed(notebook):
    content = run.execute(notebook(WIDGET))
    assert "widgets" not in content.metadata
    (output,) = content.cells[1].outputs
    assert set(output.data) == {"text/plain"}


def test_without_views_only_pictures_and_words_are_left():
    executed = widget_notebook.executed()
    clean = run.without_views(executed)
    text = nbformat.writes(clean)
    for trace in (run.VIEW, "model_id", "widget-state", "HBox(", "VBox(", "Error displaying"):
        assert trace not in text
    (output,) = outputs(clean, PICKER)
    assert set(output["data"]) == {"image/png", "text/plain"}
    assert outputs(clean, WATCH) == outputs(executed, WATCH)
    assert run.VIEW in nbformat.writes(executed)  # a copy was cleaned, not the notebook
    nbformat.validate(clean)


def test_an_output_that_is_only_a_view_goes():
    view = {run.VIEW: {"model_id": "1"}}
    cell = new_code_cell("x", outputs=[new_output("display_data", view)])
    assert run.without_views(new_notebook(cells=[cell])).cells[0].outputs == []


def test_the_html_shows_the_pictures_and_nothing_that_needs_a_kernel(tmp_path):
    run.keep(run.without_views(widget_notebook.executed()), tmp_path / "widgets.ipynb")
    html = (tmp_path / "widgets.html").read_text()
    body = html[html.index("<body") :]
    assert body.count("<img") == 5
    assert "widget-view" not in body
    assert "widget-state" not in body
