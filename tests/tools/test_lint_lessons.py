"""`tools/lint_lessons.py`: each finding is made. (`tests/notebooks`: the lessons have none.)"""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import lint_lessons
from tools.run import NOTEBOOKS

LESSON = NOTEBOOKS / "01-data-to-s3.ipynb"


@pytest.fixture
def lesson():
    return nbformat.read(LESSON, as_version=4)


def said(check, notebook):
    return "; ".join(check(notebook))


@pytest.mark.parametrize("check", lint_lessons.CHECKS, ids=lambda check: check.__name__)
def test_each_check_finds_something_in_a_notebook_of_no_form(check):
    long = "\n".join(f"x = {i}" for i in range(30))
    names = ["costs", "dataset", "exercises", "figures.style", "images", "jobs", "widgets"]
    cells = [
        new_markdown_cell("Hello, from $1 to $2\n\n## 1.2 B\n\n## 1.1 A"),
        *(new_code_cell(long) for _ in range(60)),
        *(new_code_cell(f"import course.{name}") for name in names),
    ]
    assert said(check, new_notebook(cells=cells))


@pytest.mark.parametrize(("title", "most"), [("# 2 · Tuning", 60), ("# 3 · Training", 80)])
def test_lesson_3_may_be_longer(title, most):
    def notebook(cells):
        code = [new_code_cell("") for _ in range(cells - 1)]
        return new_notebook(cells=[new_markdown_cell(title), *code])

    assert said(lint_lessons.number_of_cells, notebook(most)) == ""
    assert said(lint_lessons.number_of_cells, notebook(most + 1)) == (
        f"there are {most + 1} cells, more than {most}"
    )


def test_each_module_of_course_is_counted_once_however_it_is_imported():
    sources = [
        "import course\nimport course.jobs",
        "from course import jobs, figures",
        "from course.figures import tuning, photos",
        "from course.figures.style import BLUE",
        "from course import costs, dataset, exercises, widgets",
    ]
    cells = [new_code_cell(source) for source in sources]
    assert said(lint_lessons.imports, new_notebook(cells=cells)) == ""
    cells.append(new_code_cell("from course import upload"))
    found = said(lint_lessons.imports, new_notebook(cells=cells))
    assert found.startswith("there are 7 modules of course, more than 6: costs, dataset,")


def test_a_term_that_the_glossary_lacks_is_named():
    text = "[{0}](../docs/glossary.md#{0})"
    words = " ".join(text.format(word) for word in ("channel", "hook", "gizmo"))
    found = said(lint_lessons.terms, new_notebook(cells=[new_markdown_cell(words)]))
    assert found == "the glossary has no gizmo"


def test_prices_that_jupyter_would_take_for_a_formula_are_found():
    def found(text):
        return said(lint_lessons.prices, new_notebook(cells=[new_markdown_cell(text)]))

    assert found("| about $0.50, at most $2.94 |").startswith("two prices in one block, $0.50 and")
    assert found("about $0.50\n\nat most $2.94") == ""
    assert found("`$0.50` to $2.94, or 3 USD, if $p < 0.5$") == ""


def test_the_mark_for_nbval_is_not_a_line_of_the_lesson():
    lines = "\n".join("x = 1" for _ in range(6))
    cell = new_code_cell(lint_lessons.COMPARED + lines)
    assert said(lint_lessons.cells, new_notebook(cells=[cell])) == ""


def test_modules_and_packages_of_course_are_counted(tmp_path):
    for name in ("__init__.py", "costs.py", "figures/__init__.py", "sample_photos/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert lint_lessons.modules(tmp_path) == ["costs", "figures"]
    for number in range(15):
        (tmp_path / f"m{number}.py").touch()
    (found,) = lint_lessons.too_many_modules(tmp_path)
    assert found.startswith("there are 17 modules, more than 16: costs, figures, m0,")


def test_a_long_function_is_named(lesson):
    body = "\n".join("    x = 1" for _ in range(10))
    lesson.cells.append(new_code_cell(f"def draw():\n{body}"))
    assert said(lint_lessons.cells, lesson) == "function draw has 11 lines, more than 10"


def test_an_answer_without_a_run_in_between_is_found(lesson):
    lesson.cells.append(new_markdown_cell("**Question.** Why?\n\n**Answer.** So."))
    assert "an answer without a question and a run above it" in said(lint_lessons.questions, lesson)


def test_findings_do_not_fail(tmp_path, monkeypatch, capsys):
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# 1"), new_code_cell("")]), tmp_path / "1.ipynb"
    )
    monkeypatch.setattr(lint_lessons, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(lint_lessons, "too_many_modules", lambda: ["many"])
    lint_lessons.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "course: many"
    assert lines[1].startswith("1.ipynb: the first code cell is not")
    assert lines[-1] == f"{len(lines) - 1} findings"
