"""`tools/lint_lessons.py`: each finding is made, and none fails a build."""

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


def test_a_lesson_of_good_form_has_no_findings():
    assert lint_lessons.findings(LESSON) == []


@pytest.mark.parametrize("check", lint_lessons.CHECKS, ids=lambda check: check.__name__)
def test_each_check_finds_something_in_a_notebook_of_no_form(check):
    long = "\n".join(f"x = {i}" for i in range(30))
    cells = [
        new_markdown_cell("Hello\n\n## 1.2 B\n\n## 1.1 A"),
        *(new_code_cell(long) for _ in range(3)),
    ]
    assert said(check, new_notebook(cells=cells))


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
    lint_lessons.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1.ipynb: the first code cell is not")
    assert lines[-1] == f"{len(lines) - 1} findings"
