"""Pictures of a data set: its photos, and how they are spread over the classes."""

import math
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from course import dataset
from course.figures.style import (
    DPI,
    FAINT,
    SPLIT_COLOURS,
    fitted,
    in_style,
    short,
)

_CELL, _NAME = (142, 120), 24  # the room of a photo in a gallery, and of its name, in pixels


@in_style
def gallery(
    folder: str | os.PathLike,
    split: str = "train",
    classes: int = 12,
    columns: int = 6,
    seed: int = 0,
) -> Figure:
    """One photo a breed, with its name: up to `classes` breeds, evenly spread over the data set.

    Raises:
        FileNotFoundError: `folder` has no such split, or no images in it.
    """
    root = Path(folder) / split
    homes = sorted(home for home in root.iterdir() if home.is_dir()) if root.is_dir() else []
    if not homes:
        raise FileNotFoundError(f"{root} has no class folders to show. Try dataset.check(folder).")
    spread = np.linspace(0, len(homes) - 1, min(classes, len(homes))).round().astype(int)
    rng = np.random.default_rng(seed)
    photos = [(homes[i].name, _any_photo(homes[i], rng)) for i in spread]
    columns = min(columns, len(photos))
    rows = math.ceil(len(photos) / columns)
    wide, high = _CELL[0] * columns, _CELL[1] * rows
    figure = plt.figure(figsize=(wide / DPI, high / DPI), layout="none")
    for i, (name, photo) in enumerate(photos):
        shown = fitted(photo, _CELL[0] - 8, _CELL[1] - _NAME)
        left = _CELL[0] * (i % columns) + (_CELL[0] - shown.width) // 2
        foot = _CELL[1] * (rows - 1 - i // columns) + 4
        # One pixel of the photo is one of the figure: neither blurred nor larger than it must be.
        axis = figure.add_axes((left / wide, foot / high, shown.width / wide, shown.height / high))
        axis.axis("off")
        axis.set_title(short(dataset.breed(name), 21), fontsize=9, loc="center", pad=3)
        axis.imshow(shown, interpolation="nearest", aspect="auto")
    return figure


def _any_photo(home: Path, rng: np.random.Generator) -> Image.Image:
    """A photo of the class, another where one is damaged, a grey one where none can be read."""
    files = sorted(file for file in home.iterdir() if file.suffix.lower() in dataset.IMAGES)
    for index in rng.permutation(len(files))[:5]:
        try:
            with Image.open(files[index]) as image:
                return image.convert("RGB")
        except OSError:
            continue
    return Image.new("RGB", (120, 90), FAINT)


@in_style
def counts(report: dataset.Report) -> Figure:
    """Images per breed and split: stacked bars, one row a breed; many breeds in three columns."""
    table = report.table()
    table.index = [dataset.breed(name) for name in table.index]
    columns = 1 if len(table) <= 40 else 3
    per_column = math.ceil(len(table) / columns)
    size = 8 if columns == 1 else 6
    high = per_column * (0.27 if columns == 1 else 0.135) + 0.9
    figure, axes = plt.subplots(
        1, columns, figsize=(7.5 if columns == 1 else 10.5, high), sharex=True, squeeze=False
    )
    for i, axis in enumerate(axes.flat):
        part = table.iloc[i * per_column : (i + 1) * per_column]
        start = np.zeros(len(part))
        for split in dataset.SPLITS:
            values = part[split].to_numpy()
            axis.barh(
                range(len(part)), values, 0.78, left=start, color=SPLIT_COLOURS[split], label=split
            )
            start += values
        axis.set_yticks(range(len(part)), part.index, fontsize=size)
        axis.set_ylim(per_column - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("images")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    totals = [f"{label} {table[label].sum():,}" for label in labels]
    figure.legend(handles, totals, loc="outside upper left", ncols=3, frameon=False)
    return figure
