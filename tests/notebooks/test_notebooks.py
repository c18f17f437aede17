"""The notebooks' form, and what they say when they are run out of order."""

import ast
import re
import statistics
from itertools import pairwise

import nbformat
import pytest

from course import exercises
from course.workspace import ROOT
from engine_support.clients import running_engine
from local_sagemaker.client_environment import client_environment
from tools import run

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

    def test_it_opens_with_a_title_and_a_table(self, notebook):
        opening = cells(notebook, "markdown")[0]
        assert opening.startswith(f"# {int(notebook.stem[:2])} · ")
        for row in ("**You learn**", "**You need**", "**Time**", "**Cost**"):
            assert re.search(rf"^\| {re.escape(row)} \| .+ \| .+ \|$", opening, re.M), row

    def test_sections_are_numbered_and_end_with_recap_exercises_and_clean_up(self, notebook):
        prose = "\n\n".join(cells(notebook, "markdown"))
        headings = re.findall(r"^## (.+)$", prose, re.M)
        assert headings[-3:] == ["Recap", "Exercises", "Clean-up"]
        number = int(notebook.stem[:2])
        sections = [heading.split()[0] for heading in headings[:-3]]
        assert sections == [f"{number}.{i}" for i in range(1, len(sections) + 1)]
        recap = re.search(r"^## Recap\n(.+?)^## ", prose, re.M | re.S)[1]
        assert len(re.findall(r"^- ", recap, re.M)) >= 3
        assert len(re.search(r"^## Clean-up\n(.+)", prose, re.M | re.S)[1].split()) >= 20

    def test_there_is_as_much_prose_as_code(self, notebook):
        kinds = [c.cell_type for c in nbformat.read(notebook, as_version=4).cells]
        assert kinds.count("markdown") >= 0.6 * kinds.count("code")
        words = sum(len(source.split()) for source in cells(notebook, "markdown"))
        lines = sum(len(source.splitlines()) for source in cells(notebook, "code"))
        assert words >= 3 * lines

    def test_no_function_is_longer_than_ten_lines(self, notebook):
        for source in cells(notebook, "code"):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno < 10, node.name

    def test_questions_are_asked_before_what_answers_them(self, notebook):
        """At least two, each answered below, with something to run in between."""
        open_question, answered = False, 0
        code_since = False
        for cell in nbformat.read(notebook, as_version=4).cells:
            code_since |= cell.cell_type == "code"
            for word in re.findall(r"\*\*(Question|Answer)\.\*\*", cell.source):
                if word == "Question":
                    assert not open_question, cell.source
                    open_question, code_since = True, False
                else:
                    assert open_question and code_since, cell.source
                    open_question, answered = False, answered + 1
        assert not open_question and answered >= 2

    def test_two_exercises_each_with_a_checking_cell_and_a_solution(self, notebook):
        all_cells = nbformat.read(notebook, as_version=4).cells
        titles = re.findall(
            r"^### (Exercise \d) · .+$", "\n".join(c.source for c in all_cells), re.M
        )
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
