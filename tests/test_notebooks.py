"""The notebooks' form, and what they say when they are run out of order."""

import statistics

import nbformat
import pytest
from conftest import running_engine

from course import run
from course.workspace import ROOT
from local_sagemaker.client_environment import client_environment

NOTEBOOKS = sorted(run.NOTEBOOKS.glob("[0-9]*.ipynb"))
FIRST_CELL = "import course\n\nws = course.connect()"


def cells(notebook, kind):
    return [c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == kind]


def test_all_four_are_there():
    names = ["01-data-to-s3", "02-hpo", "03-train-debug-profile", "04-deploy-query"]
    assert [notebook.stem for notebook in NOTEBOOKS] == names


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
class TestStyle:
    def test_the_first_cell_settles_where_it_runs(self, notebook):
        assert cells(notebook, "code")[0] == FIRST_CELL

    def test_cells_are_short(self, notebook):
        lengths = [len(source.splitlines()) for source in cells(notebook, "code")]
        assert max(lengths) <= 20
        assert statistics.median(lengths) <= 6

    def test_it_opens_with_a_title_and_a_table_and_ends_with_clean_up(self, notebook):
        prose = "\n\n".join(cells(notebook, "markdown"))
        assert prose.startswith(f"# {int(notebook.stem[:2])} · ")
        for row in ("**You learn**", "**You need**", "**Time**", "**Cost**"):
            assert row in cells(notebook, "markdown")[0]
        headings = [line for line in prose.splitlines() if line.startswith("## ")]
        assert headings[-3:] == ["## Recap", "## Exercises", "## Clean-up"]
        number = int(notebook.stem[:2])
        sections = [line.split()[1] for line in headings[:-3]]
        assert sections == [f"{number}.{i}" for i in range(1, len(sections) + 1)]

    def test_there_is_as_much_prose_as_code(self, notebook):
        kinds = [c.cell_type for c in nbformat.read(notebook, as_version=4).cells]
        assert kinds.count("markdown") >= 0.6 * kinds.count("code")


EARLIER = {
    "02-hpo": "01-data-to-s3",
    "03-train-debug-profile": "02-hpo",
    "04-deploy-query": "03-train-debug-profile",
}


@pytest.mark.parametrize("name,earlier", EARLIER.items())
def test_run_out_of_order_it_names_the_notebook_to_run_first(name, earlier, tmp_path, monkeypatch):
    with running_engine(tmp_path) as clients:
        for variable, value in client_environment(clients.url, tmp_path).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("COURSE_MODE", "local")
        with pytest.raises(run.CellFailed, match=f"MissingStep: .* run notebook {earlier} first"):
            run.execute(ROOT / "notebooks" / f"{name}.ipynb", timeout_s=60)
