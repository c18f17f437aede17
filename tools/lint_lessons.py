"""`make lint-lessons`: what is wrong with the form of the notebooks and of `course`.

    python -m tools.lint_lessons

Prints one line for each finding and never fails; `tests/notebooks` asserts that there is none. The
contents of the notebooks are tested elsewhere: they are executed, their links, commands and
exercises exist, and their outputs name no machine.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.workspace import ROOT
from tools.run import NOTEBOOKS

COURSE = ROOT / "course"
FIRST_CELL = "import course\n\nws = course.connect()"
COMPARED = "# NBVAL_CHECK_OUTPUT\n"  # a mark for nbval, not a line of the lesson
MOST_CELLS, MOST_CELLS_OF = 60, {"3": 80}  # in a notebook; and in those with more to show
LONGEST_CELL, MEDIAN_CELL, LONGEST_FUNCTION = 20, 6, 10  # lines
MOST_IMPORTS, MOST_MODULES = 6, 16  # of `course`: in a notebook, and in all
APART = {"sample_photos"}  # draws the offline set; no notebook imports it
OPENING = ("**You learn**", "**You need**", "**Time**", "**Cost**")
ENDING = ["Recap", "Exercises", "Clean-up"]


def code(notebook: NotebookNode) -> list[str]:
    """The sources of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> list[str]:
    """The sources of the Markdown cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def first_cell(notebook: NotebookNode) -> Iterator[str]:
    """The first code cell settles where the notebook runs."""
    if code(notebook)[0] != FIRST_CELL:
        yield f"the first code cell is not {FIRST_CELL!r}"


def number_of_cells(notebook: NotebookNode) -> Iterator[str]:
    """A notebook is no longer than one sitting."""
    number = re.match(r"# (\d+)", prose(notebook)[0])
    most = MOST_CELLS_OF.get(number[1] if number else "", MOST_CELLS)
    if len(notebook.cells) > most:
        yield f"there are {len(notebook.cells)} cells, more than {most}"


def cells(notebook: NotebookNode) -> Iterator[str]:
    """Code cells and functions are short."""
    lengths = [len(source.removeprefix(COMPARED).splitlines()) for source in code(notebook)]
    if max(lengths) > LONGEST_CELL:
        yield f"the longest code cell has {max(lengths)} lines, more than {LONGEST_CELL}"
    if statistics.median(lengths) > MEDIAN_CELL:
        yield f"the median code cell has more than {MEDIAN_CELL} lines"
    for source in code(notebook):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    yield f"function {node.name} has {length} lines, more than {LONGEST_FUNCTION}"


def imports(notebook: NotebookNode) -> Iterator[str]:
    """A reader has few modules of ours to look up."""
    names = set()
    for source in code(notebook):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
    modules = sorted({name.split(".")[1] for name in names if name.startswith("course.")})
    if len(modules) > MOST_IMPORTS:
        yield f"there are {len(modules)} modules of course, more than {MOST_IMPORTS}: " + ", ".join(
            modules
        )


def terms(notebook: NotebookNode) -> Iterator[str]:
    """Terms are linked to the glossary, and are there."""
    linked = re.findall(r"\]\(\.\./docs/glossary\.md#([\w-]+)\)", "\n".join(prose(notebook)))
    if not linked:
        yield "no term is linked to the glossary"
    there = anchors((ROOT / "docs" / "glossary.md").read_text())
    if missing := sorted(set(linked) - there):
        yield f"the glossary has no {', '.join(missing)}"


def anchors(page: str) -> set[str]:
    """The headings of a page in Markdown as GitHub names them in addresses."""
    headings = re.findall(r"^#+ +(.+?) *$", page, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def opening(notebook: NotebookNode) -> Iterator[str]:
    """The first cell has a title and a table of what one learns, needs, waits and pays."""
    text = prose(notebook)[0]
    if not re.match(r"# \d+ · ", text):
        yield "the title is not '# NUMBER · NAME'"
    for row in OPENING:
        if not re.search(rf"^\| {re.escape(row)} \| .+ \| .+ \|$", text, re.M):
            yield f"the opening table has no row {row}"


def sections(notebook: NotebookNode) -> Iterator[str]:
    """Sections are numbered, and end with a recap, exercises and the clean-up."""
    text = "\n\n".join(prose(notebook))
    headings = re.findall(r"^## (.+)$", text, re.M)
    if headings[-len(ENDING) :] != ENDING:
        yield f"the last sections are not {', '.join(ENDING)}"
    numbers = [heading.split()[0] for heading in headings if heading not in ENDING]
    chapter = numbers[0].partition(".")[0] if numbers else ""
    if numbers != [f"{chapter}.{i}" for i in range(1, len(numbers) + 1)]:
        yield f"the sections are not numbered one after another: {', '.join(numbers)}"
    recap = re.search(r"^## Recap\n(.+?)^## ", text, re.M | re.S)
    if recap and len(re.findall(r"^- ", recap[1], re.M)) < 3:
        yield "the recap has fewer than three points"


def share_of_prose(notebook: NotebookNode) -> Iterator[str]:
    """There is as much prose as code."""
    if len(prose(notebook)) < 0.6 * len(code(notebook)):
        yield "there are fewer than six cells of prose to ten of code"
    words = sum(len(source.split()) for source in prose(notebook))
    lines = sum(len(source.splitlines()) for source in code(notebook))
    if words < 3 * lines:
        yield "there are fewer than three words of prose to a line of code"


def questions(notebook: NotebookNode) -> Iterator[str]:
    """At least two questions, each answered below, with something to run in between."""
    asked, run, answered = False, False, 0
    for cell in notebook.cells:
        run |= cell.cell_type == "code"
        for word in re.findall(r"\*\*(Question|Answer)\.\*\*", cell.source):
            if word == "Question":
                if asked:
                    yield f"a question before the last one is answered: {cell.source[:60]!r}"
                asked, run = True, False
            else:
                if not asked or not run:
                    yield f"an answer without a question and a run above it: {cell.source[:60]!r}"
                asked, answered = False, answered + 1
    if asked:
        yield "the last question has no answer"
    if answered < 2:
        yield "there are fewer than two questions with answers"


def prices(notebook: NotebookNode) -> Iterator[str]:
    """Jupyter takes what stands between two dollar signs of a paragraph for a formula."""
    for source in prose(notebook):
        for block in re.split(r"\n\s*\n", re.sub(r"`[^`\n]*`", "", source)):
            if len(found := re.findall(r"(?<!\\)\$\d+(?:[.,]\d+)*", block)) > 1:
                yield f"two prices in one block, {' and '.join(found)}: write '2.94 USD' instead"


CHECKS = (
    first_cell,
    number_of_cells,
    cells,
    imports,
    terms,
    prices,
    opening,
    sections,
    share_of_prose,
    questions,
)


def modules(folder: Path = COURSE) -> list[str]:
    """The names that a notebook may import from `course`: its modules and packages."""
    files = {path.stem for path in folder.glob("*.py")}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return sorted((files | packages) - {"__init__"} - APART)


def too_many_modules(folder: Path = COURSE) -> Iterator[str]:
    """`course` is small enough to be known."""
    if len(names := modules(folder)) > MOST_MODULES:
        yield f"there are {len(names)} modules, more than {MOST_MODULES}: {', '.join(names)}"


def findings(path: Path) -> list[str]:
    """What is wrong with a notebook's form."""
    notebook = nbformat.read(path, as_version=4)
    return [finding for check in CHECKS for finding in check(notebook)]


def main() -> None:
    """Print the findings of all lessons, and of `course`."""
    lines = [f"course: {finding}" for finding in too_many_modules()]
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        lines += [f"{path.name}: {finding}" for finding in findings(path)]
    print("\n".join([*lines, f"{len(lines)} findings" if lines else "no findings"]))


if __name__ == "__main__":
    main()
