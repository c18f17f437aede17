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
from course.predictions import PIXELS, SHOWN, Share, difference, pretrained
from open_debugger.profiler.text import percent, seconds

PALE = "#9DBFD6"
_SCALE = "right answers, % of the photos (line: 95% interval)"
_WAITING = "waiting for data"
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


def _interval(axis, place: float, share: Share, colour: str) -> None:
    """A point for an accuracy, and a line for its interval."""
    low, high = (100 * end for end in share.interval)
    axis.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
    axis.plot(100 * share.accuracy, place, "o", color=colour, markersize=7)
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
            return f"{text}: not told apart from guessing ({guess:.2%})"
        if high < guess:
            return f"{text}: worse than guessing ({guess:.2%})"
        return f"{text}: {rounded(share.accuracy / guess)} times as good as guessing ({guess:.2%})"
    return f"Highest: {_best(rows)}"


def _best(rows: Mapping[str, Share]) -> str:
    """The highest accuracy, and the rows that the photos cannot tell apart from it."""
    best = max(rows, key=lambda name: rows[name].accuracy)
    others = [name for name in rows if name != best]
    close = [name for name in others if difference(rows[best], rows[name]).low <= 0]
    text = f"{best}, {rows[best].accuracy:.1%}"
    return f"{text}; not told apart from it: {', '.join(close)}" if close else text


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
    """Networks beside each other: seconds of training, megabytes, and accuracies that compare.

    Accuracies compare only between pretrained networks. A panel has those of them, if there are at
    least two. Networks that start from random weights are drawn hatched.

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
    names, alike = [str(name) for name in rows.index], pretrained(rows.index)
    panels, high = [["seconds", "megabytes"]], 0.35 * len(names) + 0.9
    if len(alike) > 1:
        panels, high = [["accuracy", "accuracy"], *panels], high + 0.45 * len(alike) + 1
    figure, axes = plt.subplot_mosaic(panels, figsize=(7, high), height_ratios=_heights(panels))
    if len(alike) > 1:
        _accuracies_of(axes.pop("accuracy"), rows.loc[alike])
    for column, title in (("seconds", "whole job, seconds"), ("megabytes", "model.tar.gz, MB")):
        values = rows[column].astype(float).to_numpy()
        colours = [_colour(name) for name in names]
        bars = axes[column].barh(range(len(names)), values, 0.6, color=colours)
        for bar, name, colour in zip(bars, names, colours, strict=True):
            if name not in alike:
                bar.set(facecolor="white", edgecolor=colour, hatch="////")
        axes[column].bar_label(bars, [f"{value:,.0f}" for value in values], padding=4, fontsize=9)
        axes[column].set(xlim=(0, 1.4 * max(np.nanmax(values), 1e-9)), xticks=[], title=title)
        axes[column].spines[["bottom", "left"]].set_visible(False)
    for column, axis in axes.items():
        axis.set_yticks(range(len(names)), names if column != "megabytes" else [""] * len(names))
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
    return figure


def _heights(panels: list) -> list[float]:
    return [1.4, 1] if len(panels) > 1 else [1]


def _accuracies_of(axis, rows: pd.DataFrame) -> None:
    """Pretrained networks' accuracies on the validation photos, with their intervals."""
    shares = {
        str(name): Share(int(right), int(photos))
        for name, right, photos in zip(rows.index, rows["right"], rows["photos"], strict=True)
    }
    for place, (name, share) in enumerate(shares.items()):
        _interval(axis, place, share, _colour(name))
    axis.set(xlim=(0, 104), xlabel=_SCALE)
    axis.set_title("\n".join(textwrap.wrap(f"Highest: {_best(shares)}", _TITLE)))
    axis.set_yticks(range(len(shares)), list(shares))
    axis.set_ylim(len(shares) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")


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
    for row, (end, total) in enumerate(zip(start, table.sum(axis=1), strict=True)):
        style = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        axis.annotate(seconds(total / 1000), (end, row), **style)
    axis.set(xlabel="milliseconds of a training step", xlim=(0, 1.18 * start.max()))
    axis.set_yticks(range(len(table)), [str(name) for name in table.index])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    waits = [f"{name}: {percent(row[_WAITING] / row.sum())}" for name, row in table.iterrows()]
    axis.set_title(f"Share of a step that waits for data: {', '.join(waits)}")
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    return figure
