"""The photos behind a confusion: those of one breed beside those of the breed it is taken for."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import boto3
import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from course.dataset import breed
from course.figures.style import STYLE

if TYPE_CHECKING:
    from course.workspace import Workspace

SHOWN = 3  # photos of a breed
PIXELS = (200, 150)  # the room of a photo


def worst(files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Which test photos show the pair of breeds that is mixed up most.

    Args:
        files: what `course.outcome.fetch` returns.

    Returns:
        A title, and up to `SHOWN` photos that were mistaken; another one, and photos of the breed
        that they were taken for, those first that were recognised. Where no breed was mistaken for
        another, photos of the first two.
    """
    tested = json.loads(files["test.json"])
    said = pd.read_csv(io.BytesIO(files["predictions.csv"]), dtype=str, keep_default_na=False)
    if not tested["confused"]:
        names = [each["breed"] for each in tested["breeds"]][:2]
        return {breed(name): _of(said, name) for name in names}
    pair = tested["confused"][0]
    true, taken = pair["true"], pair["predicted"]
    return {
        f"{breed(true)}, taken for {breed(taken)}": pair["examples"][:SHOWN],
        breed(taken): _of(said, taken),
    }


def _of(said: pd.DataFrame, name: str) -> list[str]:
    own = said[said["label"] == name]
    recognised = own["predicted"] == name
    return [*own["file"][recognised], *own["file"][~recognised]][:SHOWN]


def photos(ws: Workspace, files: Mapping[str, Sequence[str]]) -> dict[str, list[Image.Image]]:
    """The same, with the photos themselves, from the test channel's place in the bucket."""
    bucket = boto3.resource("s3").Bucket(ws.bucket)

    def load(file: str) -> Image.Image:
        body = bucket.Object(f"{ws.prefix}/data/test/{file}").get()["Body"].read()
        with Image.open(io.BytesIO(body)) as photo:
            upright = ImageOps.exif_transpose(photo).convert("RGB")
        upright.thumbnail(PIXELS)
        return upright

    return {title: [load(file) for file in names] for title, names in files.items()}


@matplotlib.rc_context(STYLE)
def side_by_side(rows: Mapping[str, Sequence[Image.Image]]) -> Figure:
    """A row of photos under each title."""
    wide, high = PIXELS[0] / STYLE["figure.dpi"], PIXELS[1] / STYLE["figure.dpi"] + 0.35
    figure, axes = plt.subplots(
        len(rows), SHOWN, figsize=(SHOWN * wide, len(rows) * high), squeeze=False
    )
    for row, (title, photos) in zip(axes, rows.items(), strict=True):
        row[0].set_title(title)
        for axis in row:
            axis.axis("off")
        for axis, photo in zip(row, photos, strict=False):
            axis.imshow(photo)
            axis.set_anchor("W")
    plt.close(figure)
    return figure
