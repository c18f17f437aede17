"""Pictures of a data set: its photos, how many each class has, and how large they are."""

import math
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
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
from course.predictions import Share

_CELL, _NAME = (132, 116), 24  # the room of a photo in a gallery, and of its name, in pixels
NAMED = 40  # with more classes than this, the bars carry no names


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
    """How many photos the breeds have, and how exactly the validation photos measure an accuracy.

    The upper panel is left out if all breeds have as many photos. Up to 40 breeds have a named bar
    each, in label order. Of more, it counts the breeds by their number of training photos. The
    lower panel has 95 % intervals of an accuracy near three quarters: on the fewest and on the most
    validation photos that a breed has, and on those of all breeds. Without validation photos there
    is none.
    """
    table = report.table()
    table.index = [dataset.breed(name) for name in table.index]
    shares = _shares(table["valid"])
    heights = [0.9 + 0.45 * len(shares)] if shares else []
    counted = bool((table.nunique() > 1).any()) or not shares
    if counted:
        heights.insert(0, 0.25 * len(table) + 1.2 if len(table) <= NAMED else 2.6)
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(5.6, sum(heights)), squeeze=False, height_ratios=heights
    )
    if counted:
        (_named if len(table) <= NAMED else _by_number)(axes[0, 0], table)
    if shares:
        _measured(axes[-1, 0], shares)
    return figure


def _named(axis: Axes, table: pd.DataFrame) -> None:
    """A bar for each breed, in parts for the splits."""
    before = np.zeros(len(table))
    for split in dataset.SPLITS:
        values = table[split].to_numpy()
        name, colour = f"{split} {values.sum():,}", SPLIT_COLOURS[split]
        axis.barh(range(len(table)), values, 0.8, left=before, color=colour, label=name)
        before = before + values
    axis.set_yticks(range(len(table)), [short(name, 24) for name in table.index], fontsize=8)
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.set_xlim(0, 1.05 * before.max())
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("photos")
    axis.set_title(_range(table["train"]))
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.4, -0.6 / len(table) - 0.06), ncols=3, frameon=False
    )


def _by_number(axis: Axes, table: pd.DataFrame) -> None:
    """How many breeds have how many training photos."""
    train = table["train"]
    edges = np.histogram_bin_edges(train, bins=min(20, int(np.ptp(train)) + 1))
    axis.hist(train, edges, color=SPLIT_COLOURS["train"])
    axis.axvline(train.median(), color=INK, linewidth=1.2)
    _beside_line(axis, train.median(), f"median {train.median():g}", right=True)
    axis.margins(y=0.2)
    axis.set(xlabel="training photos of a breed", ylabel="breeds")
    axis.set_title(_range(train))


def _range(train: pd.Series) -> str:
    low, high = train.min(), train.max()
    each = f"{low}" if low == high else f"{low} to {high}"
    return f"{len(train)} breeds with {each} training photos each"


def _shares(valid: pd.Series) -> dict[str, Share]:
    """About three quarters of the validation photos right: of single breeds, and of all.

    Empty without validation photos.
    """
    if not valid.any():
        return {}
    few, many = int(valid[valid > 0].min()), int(valid.max())
    sizes = {"one breed": few} if few == many else {"fewest photos": few, "most photos": many}
    sizes["all breeds"] = int(valid.sum())
    return {name: Share(int(0.75 * n + 0.5), n) for name, n in sizes.items()}


def _measured(axis: Axes, shares: dict[str, Share]) -> None:
    """How wide the interval of an accuracy is, by the number of photos that it is measured on."""
    for row, share in enumerate(shares.values()):
        low, high = share.interval
        axis.plot([low, high], [row, row], color=SPLIT_COLOURS["valid"], linewidth=3)
        axis.plot(share.accuracy, row, "o", color=SPLIT_COLOURS["valid"], markersize=8)
    names = [f"{name}:\n{each.right:,} of {each.photos:,} right" for name, each in shares.items()]
    axis.set_yticks(range(len(shares)), names, fontsize=9)
    axis.set_ylim(len(shares) - 0.4, -0.6)
    axis.set_xlim(0, 1.02)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("accuracy (dot) and its 95% interval")
    few, everything = next(iter(shares.values())), shares["all breeds"]
    ends = [f"{low:.0%} to {high:.0%}" for low, high in (few.interval, everything.interval)]
    axis.set_title(f"With {few.photos} photos: {ends[0]}; with {everything.photos:,}: {ends[1]}")


def balance(report: dataset.Report) -> str:
    """How evenly the photos are spread over the breeds, in a sentence."""
    table = report.table()
    if (table.nunique() == 1).all():
        train, valid, test = table.iloc[0]
        return f"Each breed has {train} training, {valid} validation and {test} test photos."
    told = [
        f"{name} {values.min()} to {values.max()} (median {values.median():g})"
        if values.nunique() > 1
        else f"{name} {values.iloc[0]}"
        for name, values in table.items()
    ]
    most, fewest = table["train"].idxmax(), table["train"].idxmin()
    text = f"Photos per breed: {', '.join(told)}."
    if most == fewest:
        return text
    ends = f"fewest: {dataset.breed(fewest)}, most: {dataset.breed(most)}"
    return f"{text} For training, {ends}."


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
