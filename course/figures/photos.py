"""Pictures of a data set: its photos, how many each class has, and how large they are."""

import math
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from course import dataset
from course.figures.style import (
    BLUE,
    DPI,
    FAINT,
    INK,
    ORANGE,
    SPLIT_COLOURS,
    fitted,
    in_style,
    short,
)

_CELL, _NAME = (132, 116), 24  # the room of a photo in a gallery, and of its name, in pixels
NAMED = 40  # with more classes than this, bars are sorted and carry no names


@in_style
def gallery(
    folder: str | os.PathLike,
    split: str = "train",
    classes: int = 16,
    columns: int = 4,
    seed: int = 0,
) -> Figure:
    """One photo of each of up to `classes` breeds, evenly spread over the data set, with its name.

    Raises:
        FileNotFoundError: `folder` has no such split, or no images in it.
    """
    rng = np.random.default_rng(seed)
    homes = _spread(folder, split, classes)
    return _grid(
        [(_shown(home), photo) for home in homes for photo in _some(home, rng, 1)], columns
    )


@in_style
def variety(
    folder: str | os.PathLike,
    split: str = "train",
    classes: int = 4,
    photos: int = 4,
    seed: int = 0,
) -> Figure:
    """Several photos of each of a few breeds, one row per breed, with the breed's name.

    A breed with fewer photos leaves the rest of its row empty.

    Raises:
        FileNotFoundError: `folder` has no such split, or no images in it.
    """
    rng = np.random.default_rng(seed)
    cells = []
    for home in _spread(folder, split, classes):
        row = _some(home, rng, photos)
        cells += [(_shown(home), photo) for photo in row] + [None] * (photos - len(row))
    return _grid(cells, photos)


def _spread(folder: str | os.PathLike, split: str, classes: int) -> list[Path]:
    """The folders of up to `classes` breeds, evenly spread over the data set."""
    root = Path(folder) / split
    homes = dataset.class_folders(root) if root.is_dir() else []
    if not homes:
        raise FileNotFoundError(f"{root} has no class folders to show. Try dataset.check(folder).")
    spread = np.linspace(0, len(homes) - 1, min(classes, len(homes))).round().astype(int)
    return [homes[i] for i in spread]


def _shown(home: Path) -> str:
    return short(dataset.breed(home.name), 21)


def _grid(cells: list[tuple[str, Image.Image] | None], columns: int) -> Figure:
    """Photos in rows, each under its name; None leaves its place empty."""
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    wide, high = _CELL[0] * columns, _CELL[1] * rows
    figure = plt.figure(figsize=(wide / DPI, high / DPI), layout="none")
    for i, cell in enumerate(cells):
        if cell is None:
            continue
        name, photo = cell
        shown = fitted(photo, _CELL[0] - 8, _CELL[1] - _NAME)
        left = _CELL[0] * (i % columns) + (_CELL[0] - shown.width) // 2
        foot = _CELL[1] * (rows - 1 - i // columns) + 4
        # One pixel of the photo is one of the figure: neither blurred nor larger than it must be.
        axis = figure.add_axes((left / wide, foot / high, shown.width / wide, shown.height / high))
        axis.axis("off")
        axis.set_title(name, fontsize=9, loc="center", pad=3)
        axis.imshow(shown, interpolation="nearest", aspect="auto")
    return figure


def _some(home: Path, rng: np.random.Generator, count: int) -> list[Image.Image]:
    """Up to `count` photos of a class; damaged ones are passed over, a grey one stands for none."""
    files, found = dataset.files_below(home)[0], []
    for index in rng.permutation(len(files))[: count + 4]:
        try:
            with Image.open(files[index]) as image:
                found.append(ImageOps.exif_transpose(image).convert("RGB"))
        except OSError:
            continue
        if len(found) == count:
            break
    return found or [Image.new("RGB", (120, 90), FAINT)]


# ------------------------------------------------------------------------------------------- counts


@in_style
def counts(report: dataset.Report) -> Figure:
    """Photos per breed and split, as stacked bars; the title says how even the classes are.

    Up to 40 classes have a named bar each, in label order. More are sorted by their number of
    photos, and only the ends are named.
    """
    table = report.table()
    table.index = [dataset.breed(name) for name in table.index]
    if len(table) <= NAMED:
        figure, axis = plt.subplots(figsize=(5.6, 0.25 * len(table) + 1.2))
        _bars(axis.barh, "left", table, 0.8)
        axis.set_yticks(range(len(table)), [short(name, 24) for name in table.index], fontsize=8)
        axis.set_ylim(len(table) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("photos")
    else:
        table = table.iloc[np.argsort(-table.sum(axis=1).to_numpy(), kind="stable")]
        figure, axis = plt.subplots(figsize=(5.6, 3.2))
        _bars(axis.bar, "bottom", table, 1.0)
        axis.set_xlim(-1, len(table))
        axis.set_ylim(0, 1.15 * table.sum(axis=1).max())
        axis.grid(visible=False, axis="x")
        order = ", the most photos first" if table.sum(axis=1).nunique() > 1 else ""
        axis.set(xlabel=f"{len(table)} breeds{order}", ylabel="photos")
    figure.suptitle(balance(report), fontsize=11, x=0.01, ha="left")
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    return figure


def _bars(draw, start: str, table, thick: float) -> None:
    before = np.zeros(len(table))
    for split in dataset.SPLITS:
        values = table[split].to_numpy()
        style = {"color": SPLIT_COLOURS[split], "label": f"{split} {values.sum():,}", start: before}
        draw(range(len(table)), values, thick, **style)
        before = before + values


def balance(report: dataset.Report) -> str:
    """How evenly the training photos are spread over the breeds, in a sentence."""
    train = report.counts["train"]
    most, fewest = max(train, key=train.get), min(train, key=train.get)
    if train[most] == train[fewest]:
        return f"Every breed has {train[most]} training photos"
    names = [short(dataset.breed(name), 22) for name in (fewest, most)]
    return (
        f"Training photos per breed: {train[fewest]} to {train[most]}\n"
        f"(fewest: {names[0]}, most: {names[1]})"
    )


# -------------------------------------------------------------------------------------------- sizes


@in_style
def sizes(report: dataset.Report, limit: int = 256) -> Figure:
    """Histogram of the photos' shorter sides, in pixels; the title counts those over `limit`."""
    sides = np.array([min(size) for size in report.sizes.values()])
    low, high = sides.min() / 1.1, max(sides.max(), limit) * 1.1
    wide_range, border = high / low > 5, limit + 0.5  # no bar holds photos of both kinds
    spaced = np.geomspace if wide_range else np.linspace
    edges = spaced(border, high, 21)
    if low < border:
        edges = np.concatenate([spaced(low, border, 21)[:-1], edges])
    low = min(low, border)
    figure, axis = plt.subplots(figsize=(5.6, 2.8))
    axis.hist(sides, edges, color=BLUE)
    axis.axvline(border, color=ORANGE, lw=2)
    _beside_line(axis, border, f"{limit} pixels", (low + high) / 2 > limit)
    if wide_range:
        axis.set_xscale("log", base=2)
        ticks = [2**n for n in range(3, 15) if low <= 2**n <= high]
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set(xlabel="shorter side (pixels)", ylabel="photos", xlim=(low, high))
    axis.margins(y=0.2)  # room for the limit's name
    axis.set_title(over(sides, limit))
    return figure


def _beside_line(axis: Axes, x: float, text: str, right: bool) -> None:
    axis.annotate(
        text,
        (x, 1),
        (4 if right else -4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        color=INK,
    )


def over(sides: np.ndarray, limit: int) -> str:
    """How many photos are larger than the limit, in a sentence."""
    count = int((sides > limit).sum())
    if not count:
        return f"No photo has a shorter side over {limit} pixels"
    return f"{count:,} of {len(sides):,} photos have a shorter side over {limit} pixels"
