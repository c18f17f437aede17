"""Networks and runs beside each other: accuracies, mistakes, times."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from course.figures.style import (
    BLUE,
    DPI,
    FAINT,
    GREEN,
    INK,
    NETWORK_COLOURS,
    ORANGE,
    PURPLE,
    QUIET,
    in_style,
    rounded,
)
from course.predictions import PIXELS, SHOWN, Share, difference

PALE = "#9DBFD6"
_SCALE = "right answers, % of the photos (line: 95% interval)"
_WAITING = "waiting for data"
_PRETRAINED, _RANDOM = " (imagenet)", " (random)"  # the ends of the names of rows
_TITLE = 58  # characters of a line beside the names of networks


def _colour(name: str, other: str = BLUE) -> str:
    """The colour of the network that a name begins with, or another one."""
    return next((c for network, c in NETWORK_COLOURS.items() if name.startswith(network)), other)


@in_style
def accuracies(rows: Mapping[str, Share], chance: float | Sequence[float]) -> Figure:
    """Accuracies with their 95 % intervals, one row each, and what guessing would reach.

    Args:
        rows: how many photos are right, by name. A name that begins with a network's has its
            colour; other runs have those that `runs` gives them.
        chance: accuracy of guessing, 0 to 1: one for all runs, or one for each row of one run.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("there is no accuracy to draw")
    figure, axis = plt.subplots(figsize=(7, 0.5 * len(rows) + 1.4))
    guesses = np.broadcast_to(np.asarray(chance, dtype=float), len(rows))
    palette = (GREEN, ORANGE, BLUE, PURPLE) if np.ndim(chance) == 0 else (BLUE,)
    for place, ((name, share), guess) in enumerate(zip(rows.items(), guesses, strict=True)):
        _interval(axis, place, share, _colour(name, palette[place % len(palette)]))
        label = "guessing" if place == 0 else None
        style = {"color": QUIET, "linestyle": "--", "linewidth": 1.5, "label": label}
        axis.plot([100 * guess] * 2, [place - 0.4, place + 0.4], **style)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set(xlim=(0, 104), xlabel=_SCALE)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set_title(_beside_chance(rows, guesses))
    figure.legend(loc="outside lower right", frameon=False)
    return figure


def _interval(axis, place: float, share: Share, colour: str, hollow: bool = False) -> None:
    """A point for an accuracy, and a line for its interval."""
    low, high = (100 * end for end in share.interval)
    line = {"linewidth": 3, "solid_capstyle": "butt", "alpha": 0.4 if hollow else 1}
    axis.plot([low, high], [place, place], color=colour, **line)
    inside = "white" if hollow else colour
    axis.plot(100 * share.accuracy, place, "o", color=colour, markersize=7, markerfacecolor=inside)
    right = high > 75  # no room beside it
    axis.annotate(
        f"{share.accuracy:.1%}",
        (low if right else high, place),
        xytext=(-6 if right else 6, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        color=INK,
    )


def _beside_chance(rows: Mapping[str, Share], guesses: np.ndarray) -> str:
    """Of one row, how often chance it is; of several, which ones guessing explains as well."""
    if len(rows) == 1 or len(set(guesses)) > 1:
        share, guess = next(iter(rows.values())), guesses[0]
        text = f"{share.accuracy:.1%} of {share.photos} photos"
        low, high = share.interval
        if low <= guess <= high:
            return f"{text}: not told apart from guessing ({guess:.1%})"
        if high < guess:
            return f"{text}: worse than guessing ({guess:.1%})"
        return f"{text}: {rounded(share.accuracy / guess)} times as good as guessing ({guess:.1%})"
    return f"Highest: {_best(rows)}"


def _best(rows: Mapping[str, Share]) -> str:
    """The highest accuracy, and the rows that the photos cannot tell apart from it."""
    best = max(rows, key=lambda name: rows[name].accuracy)
    others = [name for name in rows if name != best]
    close = [name for name in others if difference(rows[best], rows[name]).low <= 0]
    text = f"{best}, {rows[best].accuracy:.1%}"
    return f"{text}; not told apart from it: {', '.join(close)}" if close else text


def _comparison_says(rows: Mapping[str, Share]) -> str:
    """The best row, among those that start alike: from ImageNet's weights if there are any."""
    if not any(name.endswith(_RANDOM) for name in rows):
        return f"Highest: {_best(rows)}"
    alike = {name.removesuffix(_PRETRAINED): share
             for name, share in rows.items() if name.endswith(_PRETRAINED)}  # fmt: skip
    if alike:
        return f"Only accuracies from ImageNet's weights compare: {_best(alike)}"
    return f"No network is pretrained. Highest: {_best(rows)}"


@in_style
def confusion(table: pd.DataFrame) -> Figure:
    """A part of a confusion matrix: one row a breed, one column an answer, photos as numbers.

    Args:
        table: as `Predictions.confusion` gives it; the last column is what is none of the rows. Its
            `attrs["pairs"]`, if there, is how many of the table's pairs it holds, and of how many.
    """
    values = table.to_numpy()
    breeds = len(table)
    figure, axis = plt.subplots(figsize=(0.42 * breeds + 2.6, 0.36 * breeds + 2.4))
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    diagonal = np.zeros(values.shape, dtype=bool)
    diagonal[range(breeds), range(breeds)] = True
    for hidden, colours in ((~diagonal, "Blues"), (diagonal, "Oranges")):
        drawn = np.ma.masked_where(hidden | (values == 0), shares)
        axis.imshow(drawn, colours, vmin=0, vmax=1.2, aspect="auto")
    for row, column in np.argwhere(values).tolist():
        colour = "white" if shares[row, column] > 0.7 else INK
        style = {"ha": "center", "va": "center", "color": colour, "fontsize": 10}
        axis.text(column, row, str(values[row, column]), **style)
    axis.axvline(breeds - 0.5, color=QUIET, linewidth=1)
    axis.set_yticks(range(breeds), list(table.index))
    axis.set_xticks(range(breeds + 1), list(table.columns), rotation=90)
    axis.set(xlabel="answer of the network", ylabel="breed on the photo")
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    right = int(values[diagonal].sum())
    title = f"{right} of these {int(values.sum())} photos are right (blue)"
    if "pairs" in table.attrs:
        held, pairs = table.attrs["pairs"]
        count = "all" if held == pairs else held
        title += f"\nThis part holds {count} of the table's {pairs} pairs"
    axis.set_title(title, loc="left")
    return figure


@in_style
def side_by_side(rows: Mapping[str, Sequence[Image.Image]]) -> Figure:
    """A row of photos under each title."""
    wide, high = PIXELS[0] / DPI, PIXELS[1] / DPI + 0.35
    figure, axes = plt.subplots(
        len(rows), SHOWN, figsize=(SHOWN * wide, len(rows) * high), squeeze=False
    )
    for row, (title, photos) in zip(axes, rows.items(), strict=True):
        row[0].set_title(title)
        for axis in row:
            axis.axis("off")
        for axis, photo in zip(row, photos, strict=False):
            axis.imshow(photo)
            axis.set_anchor("NW")  # below the title, whatever their shapes
    return figure


@in_style
def comparison(rows: pd.DataFrame) -> Figure:
    """Networks beside each other in three panels: accuracy with its interval, seconds, megabytes.

    Networks that start from random weights are drawn hollow, and their accuracies are not compared
    with those of pretrained ones.

    Args:
        rows: one row a network, named by the index, such as `vgg16 (random)` (a name that begins
            with the network's has its colour); columns `right`, `photos`, `seconds` and
            `megabytes`.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    columns = ("right", "photos", "seconds", "megabytes")
    absent = [name for name in columns if name not in rows]
    if absent or not len(rows):
        raise ValueError(
            f"comparison needs the columns {', '.join(columns)} and a row for each network; "
            f"missing: {', '.join(absent) or 'the rows'}."
        )
    names = [str(name) for name in rows.index]
    shares = {
        name: Share(int(right), int(photos))
        for name, right, photos in zip(names, rows["right"], rows["photos"], strict=True)
    }
    figure, axes = plt.subplot_mosaic(
        [["accuracy", "accuracy"], ["seconds", "megabytes"]],
        figsize=(7, 0.8 * len(names) + 2.4),
    )
    for place, (name, share) in enumerate(shares.items()):
        _interval(axes["accuracy"], place, share, _colour(name), name.endswith(_RANDOM))
    axes["accuracy"].set(
        xlim=(0, 104), xlabel="right answers, % of the photos (line: 95% interval)"
    )
    axes["accuracy"].set_title("\n".join(textwrap.wrap(_comparison_says(shares), _TITLE)))
    for column, title in (("seconds", "training, seconds"), ("megabytes", "model, MB")):
        values = rows[column].astype(float).to_numpy()
        colours = [_colour(name) for name in names]
        bars = axes[column].barh(range(len(names)), values, 0.6, color=colours)
        for bar, name, colour in zip(bars, names, colours, strict=True):
            if name.endswith(_RANDOM):
                bar.set(facecolor="white", edgecolor=colour, hatch="////")
        axes[column].bar_label(bars, [f"{value:,.0f}" for value in values], padding=4, fontsize=9)
        axes[column].set(xlim=(0, 1.4 * max(np.nanmax(values), 1e-9)), xticks=[], title=title)
        axes[column].spines[["bottom", "left"]].set_visible(False)
    for column, axis in axes.items():
        axis.set_yticks(range(len(names)), names if column != "megabytes" else [""] * len(names))
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
    return figure


_PART_COLOURS = (ORANGE, PURPLE, PALE, BLUE, GREEN, FAINT)  # what waits stands out


@in_style
def parts(table: pd.DataFrame) -> Figure:
    """Where a training step's time goes: a stacked bar a run, in milliseconds.

    Args:
        table: as `course.profiling.parts` gives it.

    Raises:
        ValueError: there is no run.
    """
    if table.empty:
        raise ValueError("there is no profiled run to draw")
    figure, axis = plt.subplots(figsize=(7, 0.55 * len(table) + 1.6))
    start = np.zeros(len(table))
    for colour, (name, values) in zip(_PART_COLOURS, table.items(), strict=True):
        if values.sum() < 0.005 * table.to_numpy().sum():
            continue  # too thin to be seen
        axis.barh(range(len(table)), values, 0.62, left=start, color=colour, label=name)
        start += values.to_numpy()
    for row, total in enumerate(start):
        axis.annotate(
            f"{total:.0f} ms", (total, row), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axis.set(xlabel="milliseconds of a training step", xlim=(0, 1.18 * start.max()))
    axis.set_yticks(range(len(table)), [str(name) for name in table.index])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    waits = [f"{name}: {row[_WAITING] / row.sum():.0%}" for name, row in table.iterrows()]
    axis.set_title(f"Share of a step that waits for data: {', '.join(waits)}")
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    return figure
