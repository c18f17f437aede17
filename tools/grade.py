"""`make grade`: what the checking cells of handed-in notebooks said.

    python -m tools.grade FOLDER

Prints a table with one row for each exercise in each executed notebook below FOLDER, and a count.
It reads the outputs as they were handed in and runs nothing; docs/instructors.md says how to run a
notebook again.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

CHECK = re.compile(r"\bexercises\.(\w+)\(")
SAID = {"✓": "right", "✗": "not yet", "…": "not answered"}  # how a verdict begins


def verdicts(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """The name of each exercise's check, and what it said (`SAID`), or not run, or error."""
    for cell in notebook.cells:
        for name in CHECK.findall(cell.source) if cell.cell_type == "code" else []:
            yield name, _said(cell)


def _said(cell: NotebookNode) -> str:
    for output in reversed(cell.outputs):
        if output.output_type == "error":
            return "error"
        text = output.get("data", {}).get("text/plain", "")
        if word := SAID.get(text[:1]):
            return word
    return "not run"


def main(arguments: list[str]) -> int:
    """Print the table; the exit code is 1 if there is no notebook."""
    folder = Path(arguments[0]) if arguments else Path()
    found = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not arguments or not found:
        print(f"no notebooks in {folder}: name the folder with those that were handed in")
        return 1
    rows = [
        (str(file.relative_to(folder)), check, said)
        for file in found
        for check, said in verdicts(nbformat.read(file, as_version=4))
    ]
    first, second = (max((len(row[i]) for row in rows), default=0) + 2 for i in (0, 1))
    for name, check, said in rows:
        print(f"{name:<{first}}{check:<{second}}{said}")
    counts = Counter(said for *_, said in rows)
    print(", ".join(f"{number} {said}" for said, number in counts.most_common()) or "no exercises")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
