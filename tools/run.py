"""`make course`: run the notebooks in order, keep executed copies and HTML, print a table.

python -m tools.run [--in-place] [NOTEBOOK ...]
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbconvert import HTMLExporter

from course.workspace import ROOT
from tools.site import formulas

NOTEBOOKS = ROOT / "notebooks"
OUTPUT = ROOT / "build" / "notebooks"
REPORTS = NOTEBOOKS / "reports"  # the committed one; other runs leave it alone
CELL_TIMEOUT_S = 1800
VIEW = "application/vnd.jupyter.widget-view+json"


class CellFailed(Exception):
    """A notebook stopped; the text names notebook, cell and error."""


def execute(
    notebook: Path, timeout_s: int = CELL_TIMEOUT_S, reports: Path = OUTPUT / REPORTS.name
) -> nbformat.NotebookNode:
    """Run all cells of `notebook` in its own folder and return it with its outputs.

    The profiler's reports that it saves go to `reports`.

    Raises:
        CellFailed: at the first cell that raises or takes longer than `timeout_s` seconds.
    """
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        timeout=timeout_s,
        record_timing=False,  # times of each cell would make every rendering a change
        extra_arguments=["--log-level=ERROR"],  # not that its sockets on 127.0.0.1 are unencrypted
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    try:
        client.execute(env={**os.environ, "COURSE_REPORTS": str(reports)})
    except (CellExecutionError, CellTimeoutError) as error:
        number, source = _failed_cell(content)
        first = source.splitlines()[0] if source else ""
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
        raise CellFailed(
            f"{notebook.name}, cell {number} (`{first}`): {said[-1] if said else error}"
        ) from error
    return without_views(content)


def without_views(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of an executed notebook without what only its own kernel can show.

    Widgets' states and views carry ids that are new with each run, and leave an empty place in the
    HTML: pictures and sentences stay. An output that is nothing but a view goes.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        seen = [output for output in cell.get("outputs", []) if VIEW in output.get("data", {})]
        for output in seen:
            del output.data[VIEW]
            output.get("metadata", {}).pop(VIEW, None)
            if not output.data:
                cell.outputs.remove(output)
    return notebook


def _failed_cell(content: nbformat.NotebookNode) -> tuple[int, str]:
    """The last cell that was begun, counted as a reader counts: from 1, prose included."""
    code = [(i, c) for i, c in enumerate(content.cells, start=1) if c.cell_type == "code"]
    begun = [(i, c) for i, c in code if c.execution_count or c.get("outputs")]
    position, cell = begun[-1] if begun else code[0]
    failed = [(i, c) for i, c in code if any(o.output_type == "error" for o in c.outputs)]
    if failed:
        position, cell = failed[0]
    return position, cell.source


def keep(content: nbformat.NotebookNode, target: Path) -> None:
    """Write the executed notebook to `target`, and its HTML beside it, linked to other HTML.

    The page needs no network: formulas are MathML, and scripts from elsewhere are left out.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, target)
    page = copy.deepcopy(content)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = formulas.in_markdown(cell.source)
    html, _ = HTMLExporter().from_notebook_node(page)
    html = re.sub(r'<script src="https?:[^"]*">\s*</script>', "", html)
    html = re.sub(r'href="([\w./-]+)\.ipynb"', r'href="\1.html"', html)
    html = re.sub(r'href="(\.\./[\w./-]+)', lambda m: f'href="{_outside(m[1], target)}', html)
    target.with_suffix(".html").write_text(html)


def _outside(link: str, target: Path) -> str:
    """A link of a notebook, as its copy `target` needs it: the docs are not copied."""
    if not target.is_relative_to(OUTPUT):
        return link
    here = NOTEBOOKS / target.relative_to(OUTPUT).parent
    file = Path(os.path.normpath(here / link))
    copied = file.is_relative_to(NOTEBOOKS) or not file.exists()
    return link if copied else Path(os.path.relpath(file, target.parent)).as_posix()


def keep_solutions() -> None:
    """Keep the committed solutions, which are executed ones, where the notebooks link to."""
    for notebook in _solutions():
        keep(nbformat.read(notebook, as_version=4), OUTPUT / f"{_name(notebook)}.ipynb")


def made(content: nbformat.NotebookNode) -> str:
    """What the notebook says it made: the last line printed that begins with ``Result: ``."""
    texts = [o.get("text", "") for c in content.cells for o in c.get("outputs", [])]
    lines = [line for text in texts for line in str(text).splitlines()]
    return next(
        (x.removeprefix("Result: ") for x in reversed(lines) if x.startswith("Result: ")), ""
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the notebooks; the exit code is 1 if one of them failed."""
    parser = argparse.ArgumentParser(description="Run the course's notebooks in order.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all four")
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="write outputs into the notebooks; run those in solutions/ as well",
    )
    options = parser.parse_args(arguments)
    if not options.notebooks:
        keep_solutions()
    reports = REPORTS if options.in_place else OUTPUT / REPORTS.name
    rows, failure = [], None
    default = _lessons() + (_solutions() if options.in_place else [])
    for notebook in map(Path.resolve, options.notebooks or default):
        name = _name(notebook)
        print(f"running {name} ...", flush=True)
        begun = time.monotonic()
        try:
            content = execute(notebook, reports=reports)
        except CellFailed as error:
            failure = str(error)
            break
        keep(content, OUTPUT / f"{name}.ipynb")
        if options.in_place:
            nbformat.write(content, notebook)
        code = sum(cell.cell_type == "code" for cell in content.cells)
        rows.append((name, code, time.monotonic() - begun, made(content)))
    if options.in_place and REPORTS.exists():
        shutil.copytree(REPORTS, OUTPUT / REPORTS.name, dirs_exist_ok=True)
    _print_table(rows)
    if failure:
        print(f"FAILED {failure}", file=sys.stderr)
        return 1
    print(f"executed copies and HTML: {OUTPUT.relative_to(ROOT)}/")
    return 0


def _lessons() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def _solutions() -> list[Path]:
    return sorted(NOTEBOOKS.glob("solutions/[0-9]*.ipynb"))


def _name(notebook: Path) -> str:
    """The notebook's path below notebooks/ without its ending, else its bare name."""
    inside = notebook.is_relative_to(NOTEBOOKS)
    path = notebook.relative_to(NOTEBOOKS) if inside else Path(notebook.name)
    return path.with_suffix("").as_posix()


def _print_table(rows: list[tuple[str, int, float, str]]) -> None:
    print(f"\n{'notebook':<34}{'cells':>6}{'seconds':>9}  made")
    for name, cells, seconds, result in rows:
        print(f"{name:<34}{cells:>6}{seconds:>9.1f}  {result}")
    print(f"{'total':<34}{sum(r[1] for r in rows):>6}{sum(r[2] for r in rows):>9.1f}\n")


if __name__ == "__main__":
    sys.exit(main())
