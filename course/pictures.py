"""`make img`: the README's pictures, taken from the executed notebooks.

    python -m course.pictures

Each is what a cell of the last `make course` (or `make render`) showed; nothing is drawn anew, so
the pictures cannot say other things than the run.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import nbformat
from PIL import Image

from course.run import OUTPUT
from course.workspace import ROOT

PICTURES = {  # file in img/ -> notebook, and the call whose output it is
    "gallery": ("01-data-to-s3", "figures.gallery("),
    "tuning": ("02-hpo", "figures.tuning("),
    "losses": ("03-train-debug-profile", "figures.losses("),
    "comparison": ("03-train-debug-profile", "figures.comparison("),
    "answers": ("04-deploy-query", "figures.answers("),
}
MAX_BYTES = 150_000
COLOURS = 128  # enough for drawings; a palette takes a third of the bytes


class NoPicture(LookupError):
    """The executed notebook or the cell's picture is not there; the text says what to run."""


def shown(notebook: Path, call: str) -> bytes:
    """The PNG that the cell with `call` shows in an executed notebook.

    Raises:
        NoPicture: the notebook was not executed, or no such cell shows a picture.
    """
    if not notebook.exists():
        raise NoPicture(f"{notebook.name} has not been executed: run make course first")
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []) if call in cell.source else []:
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output["data"]["image/png"])
    raise NoPicture(f"no cell of {notebook.name} with {call}...) shows a picture")


def small(png: bytes) -> bytes:
    """The same picture with a palette, if it would be larger than `MAX_BYTES` without."""
    if len(png) <= MAX_BYTES:
        return png
    target = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(target, "PNG", optimize=True)
    return target.getvalue()


def main() -> int:
    """Write all pictures; the exit code is 1 if one could not be had."""
    folder = ROOT / "img"
    folder.mkdir(exist_ok=True)
    try:
        taken = {
            name: small(shown(OUTPUT / f"{notebook}.ipynb", call))
            for name, (notebook, call) in PICTURES.items()
        }
    except NoPicture as error:
        print(f"make img: {error}", file=sys.stderr)
        return 1
    for name, png in taken.items():
        (folder / f"{name}.png").write_bytes(png)
        print(f"img/{name}.png  {len(png) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
