"""`make img`: the README's pictures, taken from the executed notebooks.

    python -m tools.pictures

Each is what a cell of the last `make course` (or `make render`) showed, so the pictures say what
the run said. The first one puts two of them beside each other, a table becomes a picture with the
same rows, and the profiler's report, which is a page, is photographed in a browser.
"""

from __future__ import annotations

import base64
import io
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from course.figures.style import FAINT, INK, STYLE
from course.workspace import ROOT
from tools.run import OUTPUT, REPORTS
from tools.screenshot import NoBrowser, take

PICTURES = {  # file in img/ -> notebook, and pieces of the cell whose last picture it is
    "architecture": ("01-data-to-s3", "figures.workflow("),
    "gallery": ("01-data-to-s3", "figures.gallery("),
    "tuning": ("02-hpo", "figures.search("),
    "losses": ("03-train-debug-profile", "figures.losses("),
    "gradients": ("03-train-debug-profile", "figures.gradients("),
    "parts": ("03-train-debug-profile", "figures.parts(", "profiling.outcome("),
}
FRONT = {  # the same, for the parts of the first picture
    "answer": ("04-deploy-query", "figures.answers("),
    "pretraining": ("03-train-debug-profile", "figures.accuracies(", "scratch"),
}
DRAWN = "Photos drawn by this repository: these accuracies say nothing about real photos."
TABLES = {  # the same, where the cell shows a table
    "jobs": ("02-hpo", "table[columns]"),
}
REPORT = "profiler-report.html"  # beside the executed notebooks, in reports/
REPORT_SIZE = (1200, 1250)  # pixels: its verdict and what follows
MAX_BYTES = 150_000
ASKED = 3  # photos in notebook 04's cell
LABEL_HEIGHT = 26  # pixels
COLOURS = 128  # enough for drawings; a palette takes a third of the bytes


class NoPicture(LookupError):
    """The executed notebook or the cell's picture is not there; the text says what to run."""


def shown(notebook: Path, *pieces: str, kind: str = "image/png") -> str:
    """What the first cell with all `pieces` in it shows last in an executed notebook, as `kind`.

    Returns:
        The output's data as notebooks store it: text, and of pictures their base64.

    Raises:
        NoPicture: the notebook was not executed, or no such cell shows that.
    """
    if not notebook.exists():
        raise NoPicture(f"{notebook.name} has not been executed: run make course first")
    for cell in nbformat.read(notebook, as_version=4).cells:
        if all(piece in cell.source for piece in pieces):
            for output in reversed(cell.get("outputs", [])):
                if kind in output.get("data", {}):
                    return output["data"][kind]
    raise NoPicture(f"no cell of {notebook.name} with {' and '.join(pieces)} shows {kind}")


class _Rows(HTMLParser):
    """Collects the texts of a table, row by row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td"}:
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in {"th", "td"}

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data.strip()


def drawn(html: str) -> Figure:
    """The figure of a table that a notebook shows: its header and rows, without the index."""
    header, *rows = [row[1:] for row in _Rows(html).rows]
    widths = [max(len(row[i]) for row in [header, *rows]) + 3 for i in range(len(header))]
    sides = ["right" if _is_number(cell) else "left" for cell in rows[0]]
    edges = {"left": [sum(widths[:i]) + 1 for i in range(len(widths))]}
    edges["right"] = [left + width - 2 for left, width in zip(edges["left"], widths, strict=True)]
    with plt.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(sum(widths) * 0.083, 0.3 * (len(rows) + 1.4)))
        axis = figure.add_axes((0, 0, 1, 1), xlim=(0, sum(widths)), ylim=(len(rows) + 0.7, -0.7))
        axis.axis("off")
        axis.axhline(0.5, color=FAINT)
        for number, row in enumerate([header, *rows]):
            weight = "normal" if number else "bold"
            for i, (side, text) in enumerate(zip(sides, row, strict=True)):
                axis.text(edges[side][i], number, text, ha=side, va="center", weight=weight)
        plt.close(figure)
        return figure


def front(answer: Image.Image, pretraining: Image.Image) -> Image.Image:
    """The README's first picture: one photo with its answer, and what pretraining is worth.

    Args:
        answer: the figure of the endpoint's answers about `ASKED` photos, one below the other.
        pretraining: the figure of the accuracies with and without it.
    """
    first = answer.crop((0, 0, answer.width, answer.height // ASKED))
    width = max(first.width, pretraining.width)
    height = first.height + pretraining.height + LABEL_HEIGHT
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(first.convert("RGB"), (0, 0))
    sheet.paste(pretraining.convert("RGB"), (0, first.height))
    font = ImageFont.truetype(findfont("DejaVu Sans"), 11)
    at = (sheet.width // 2, sheet.height - LABEL_HEIGHT // 2)
    ImageDraw.Draw(sheet).text(at, DRAWN, INK, font, anchor="mm")
    return sheet


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdigit()


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=100)
    return target.getvalue()


def small(png: bytes) -> bytes:
    """The same picture with a palette, if it would be larger than `MAX_BYTES` without."""
    if len(png) <= MAX_BYTES:
        return png
    target = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(target, "PNG", optimize=True)
    return target.getvalue()


def _picture(folder: Path, notebook: str, *pieces: str) -> bytes:
    return base64.b64decode(shown(folder / f"{notebook}.ipynb", *pieces))


def _taken(folder: Path) -> dict[str, bytes]:
    """All pictures, by name, from the executed notebooks in `folder`."""
    pictures = {}
    for name, place in PICTURES.items():
        pictures[name] = _picture(folder, *place)
    parts = {name: Image.open(io.BytesIO(_picture(folder, *at))) for name, at in FRONT.items()}
    sheet = io.BytesIO()
    front(**parts).save(sheet, "PNG", optimize=True)
    pictures["front"] = sheet.getvalue()
    for name, (notebook, piece) in TABLES.items():
        html = shown(folder / f"{notebook}.ipynb", piece, kind="text/html")
        pictures[name] = png(drawn(html))
    pictures["report"] = take(folder / REPORTS.name / REPORT, *REPORT_SIZE)
    return {name: small(picture) for name, picture in pictures.items()}


def main() -> int:
    """Write all pictures; the exit code is 1 if one could not be had."""
    folder = ROOT / "img"
    folder.mkdir(exist_ok=True)
    try:
        taken = _taken(OUTPUT)
    except (NoPicture, NoBrowser, FileNotFoundError) as error:
        print(f"make img: {error}", file=sys.stderr)
        return 1
    for name, picture in taken.items():
        (folder / f"{name}.png").write_bytes(picture)
        print(f"img/{name}.png  {len(picture) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
