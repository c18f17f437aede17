"""The course's figures, in one style. Each function returns a closed matplotlib Figure.

Closed, because Jupyter would otherwise show it twice: as the cell's value and as an open figure.
Colours are Okabe and Ito's (2008), which colour-blind readers tell apart.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image, ImageFilter

from course import dataset

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, QUIET, FAINT = "#333333", "#8A8A8A", "#DDDDDD"
SPLIT_COLOURS = {"train": BLUE, "valid": ORANGE, "test": GREEN}

_DPI = 80
_CELL, _NAME = (142, 120), 24  # the room of a photo in a gallery, and of its name, in pixels
_ROUNDED = [min(255, 8 * round(value / 8)) for value in range(256)]  # 5 bits of a channel's 8

STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": _DPI,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#EEEEEE",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def _figure(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the course's style, and close what was drawn."""

    @wraps(draw)
    def styled(*args, **kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            plt.close(figure)
            return figure

    return styled


# ------------------------------------------------------------------------------------------- photos


@_figure
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
    figure = plt.figure(figsize=(wide / _DPI, high / _DPI), layout="none")
    for i, (name, photo) in enumerate(photos):
        shown = _fitted(photo, _CELL[0] - 8, _CELL[1] - _NAME)
        left = _CELL[0] * (i % columns) + (_CELL[0] - shown.width) // 2
        foot = _CELL[1] * (rows - 1 - i // columns) + 4
        # One pixel of the photo is one of the figure: neither blurred nor larger than it must be.
        axis = figure.add_axes((left / wide, foot / high, shown.width / wide, shown.height / high))
        axis.axis("off")
        axis.set_title(_short(dataset.breed(name), 21), fontsize=9, loc="center", pad=3)
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


def _fitted(photo: Image.Image, wide: int, high: int) -> Image.Image:
    """The whole photo in a box of pixels, without its grain, which would triple the PNG."""
    small = photo.copy()
    small.thumbnail((2 * wide, 2 * high), Image.Resampling.BOX)
    small = small.filter(ImageFilter.MedianFilter(3))
    small.thumbnail((wide, high), Image.Resampling.LANCZOS)
    return small.point(_ROUNDED * 3)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


# ------------------------------------------------------------------------------------------- counts


@_figure
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


# ------------------------------------------------------------------------------------------- losses


@_figure
def losses(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Loss against step: `{"train": (steps, values), "valid": (steps, values)}`.

    The training curve is an exponential mean over the last tenth of the run or so, its raw points
    lie faint behind. The lowest validation loss is marked.

    Raises:
        ValueError: no curve has a point.
    """
    curves = {name: _points(name, *curve) for name, curve in curves.items()}
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    if not curves:
        raise ValueError(
            "there is no loss to draw: every curve is empty. Has the job finished a step?"
        )
    figure, axis = plt.subplots(figsize=(7.5, 3.6))
    ends = {}
    for name, (steps, values) in curves.items():
        colour = SPLIT_COLOURS.get(name, PURPLE)
        if name == "train":
            axis.plot(steps, values, ".", color=colour, alpha=0.22, markersize=4)
            values = pd.Series(values).ewm(span=max(2, len(values) / 10)).mean().to_numpy()
        marker = "o" if name != "train" and len(steps) < 40 else None
        axis.plot(steps, values, color=colour, linewidth=2, marker=marker, markersize=4)
        ends[name] = (steps[-1], values[-1], colour)
    if "valid" in curves:
        _mark_lowest(axis, *curves["valid"])
    _name_ends(axis, ends)
    axis.set(xlabel="step", ylabel="loss")
    axis.set_ylim(bottom=0)
    return figure


def _points(name: str, steps, values) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    if steps.shape != values.shape:
        raise ValueError(
            f"curve {name!r} has {steps.size} steps and {values.size} values. "
            "Give one value a step."
        )
    finite, order = np.isfinite(values), np.argsort(steps, kind="stable")
    order = order[finite[order]]
    return steps[order], values[order]


def _mark_lowest(axis, steps: np.ndarray, values: np.ndarray) -> None:
    """Ring the lowest point and name it: below, where no curve runs, if there is room."""
    at = int(values.argmin())
    below = values[at] > 0.15 * axis.get_ylim()[1]
    axis.plot(steps[at], values[at], "o", markersize=11, fillstyle="none", color=INK)
    axis.annotate(
        f"lowest {values[at]:.3g}, step {steps[at]:.0f}",
        (steps[at], values[at]),
        xytext=(0, -12 if below else 14),
        textcoords="offset points",
        ha="center" if steps[0] < steps[at] < steps[-1] else "right",
        va="top" if below else "bottom",
        fontsize=9,
    )


def _name_ends(axis, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Name each curve at its end, a line of text apart at least."""
    low, high = axis.get_ylim()
    gap, last = 0.06 * (high - min(low, 0)), -math.inf
    right = max(x for x, _, _ in ends.values())
    for name, (_, y, colour) in sorted(ends.items(), key=lambda item: item[1][1]):
        last = max(y, last + gap)
        words = {"valid": "validation"}.get(name, name)
        axis.annotate(
            words, (right, last), xytext=(8, 0), textcoords="offset points",
            color=colour, va="center", weight="bold", annotation_clip=False,
        )  # fmt: skip


# ------------------------------------------------------------------------------ gradients, weights


@_figure
def gradients(norms: pd.DataFrame) -> Figure:
    """Gradient norms as a map: a row a layer, from input to head; a column a saved step.

    Args:
        norms: as `course.tensors.gradient_norms` gives them; zero and NaN stay white.

    Raises:
        ValueError: there is nothing to draw.
    """
    values = norms.to_numpy(dtype=float)
    drawable = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    if not np.isfinite(drawable).any():
        raise ValueError("there is no gradient norm above zero to draw. Was any gradient saved?")
    figure, axis = plt.subplots(figsize=(7.5, 1.2 + 0.085 * max(20, len(norms))))
    shown = axis.imshow(drawable, aspect="auto", cmap="viridis", norm="log", interpolation="none")
    axis.grid(False)
    axis.set_xticks(range(len(norms.columns)), [str(step) for step in norms.columns])
    rows = np.unique(np.linspace(0, len(norms) - 1, min(10, len(norms))).round().astype(int))
    axis.set_yticks(rows, [norms.index[row] for row in rows], fontsize=9)
    axis.set(xlabel="training step", title="Norm of the gradient, layer by layer")
    figure.colorbar(shown, ax=axis, pad=0.02).outline.set_visible(False)
    return figure


@_figure
def weights(shares: Mapping[int, pd.DataFrame]) -> Figure:
    """The spread of each layer's weights at the last saved step, and its change since the first.

    Args:
        shares: by step, as `course.tensors.weight_shares` gives them: a row a layer, columns the
            percentiles 5, 25, 50, 75, 95.

    Raises:
        ValueError: there is no step.
    """
    if not shares:
        raise ValueError("there are no weights to draw. Were any saved?")
    first, last = min(shares), max(shares)
    old, new = shares[first], shares[last]
    figure, (spread, change) = plt.subplots(
        2, sharex=True, figsize=(7.5, 4.6), height_ratios=(3, 2)
    )
    places = np.arange(len(new))
    spread.fill_between(places, new[5], new[95], color=BLUE, alpha=0.22, linewidth=0)
    spread.fill_between(places, new[25], new[75], color=BLUE, alpha=0.45, linewidth=0)
    spread.plot(places, new[50], color=BLUE, linewidth=1.5)
    title = f"Weights at step {last}, by layer: median, middle half, 5th to 95th percentile"
    spread.set(ylabel="weight", title=title)
    percent = 100 * ((new[95] - new[5]) / (old[95] - old[5]).replace(0, np.nan) - 1)
    change.bar(places, percent.fillna(0), color=[ORANGE if v > 0 else BLUE for v in percent])
    change.set(ylabel="change in %", title=f"Change of that range since step {first}")
    rows = np.unique(np.linspace(0, len(new) - 1, min(6, len(new))).round().astype(int))
    change.set_xticks(rows, [new.index[row] for row in rows], fontsize=9)
    return figure


# ------------------------------------------------------------------------------------------- tuning

FEW = 4  # values of a hyperparameter that may all be named on the axis
_NO_PARAMETERS = {
    "trainingjobname", "trainingjobstatus", "trainingstarttime", "trainingendtime",
    "trainingelapsedtimeseconds", "trainingjobarn", "status", "name", "job", "seconds",
    "finalobjectivevalue", "objective",
}  # fmt: skip
_DONE = {"completed", "succeeded"}


@_figure
def tuning(table: pd.DataFrame, objective: str | None = None, lowest: bool = False) -> Figure:
    """The objective against each hyperparameter, the best job highlighted.

    Args:
        table: one row a job: the hyperparameters, the objective and the status, in columns named
            as HyperparameterTuningJobAnalytics names them (FinalObjectiveValue,
            TrainingJobStatus) or plainly (objective, status).
        objective: the objective's column, where it is neither.
        lowest: the best objective is the lowest (a loss).

    A logarithmic axis is drawn where the values span more than a decade.

    Raises:
        ValueError: no objective column, no hyperparameter columns, or no job with an objective.
    """
    objective = objective or _column(table, ("FinalObjectiveValue", "objective"))
    status = _column(table, ("TrainingJobStatus", "status"), required=False)
    names = [
        name for name in table if name != objective and str(name).lower() not in _NO_PARAMETERS
    ]
    scores = pd.to_numeric(table[objective], errors="coerce")
    if scores.notna().sum() == 0 or not names:
        lacks = "job with an objective value" if names else "hyperparameter column"
        raise ValueError(f"there is no {lacks} among {len(table)} jobs, {list(table)}.")
    done = scores.notna()
    if status:
        done &= table[status].astype(str).str.lower().isin(_DONE)
    best = (scores[done] if done.any() else scores).agg("idxmin" if lowest else "idxmax")
    figure, axes = plt.subplots(
        1, len(names), figsize=(min(10.5, 2.6 * len(names) + 0.8), 2.9), sharey=True, squeeze=False
    )
    for axis, name in zip(axes.flat, names, strict=True):
        _range(axis, table[name], scores, done, best)
        axis.set_xlabel(name)
    axes[0, 0].set_ylabel(objective if objective != "FinalObjectiveValue" else "objective")
    stopped = " (hollow: stopped early or failed)" if not done[scores.notna()].all() else ""
    figure.suptitle(
        f"best of {len(table)} jobs: {scores[best]:.4g}{stopped}", x=0.01, ha="left", fontsize=11
    )
    return figure


def _column(table: pd.DataFrame, names: Sequence[str], required: bool = True) -> str | None:
    for name in names:
        if name in table:
            return name
    if required:
        raise ValueError(
            f"the table has no column {' or '.join(names)}, but {list(table)}. "
            "Name the objective's column: tuning(table, objective=...)."
        )
    return None


def _range(axis, values: pd.Series, scores: pd.Series, done: pd.Series, best: Any) -> None:
    """One panel: the objective against one hyperparameter."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() < values.notna().sum():  # categories
        names = sorted(values.dropna().astype(str).str.strip('"').unique())
        numbers = values.astype(str).str.strip('"').map({n: i for i, n in enumerate(names)})
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.6, len(names) - 0.4)
    elif (numbers > 0).all() and numbers.max() > 10 * numbers.min():
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
    elif numbers.nunique() <= FEW:
        axis.set_xticks(sorted(numbers.unique()))
    axis.scatter(numbers[done], scores[done], 34, color=BLUE, alpha=0.75, linewidth=0)
    axis.scatter(numbers[~done], scores[~done], 34, facecolor="none", edgecolor=QUIET)
    axis.scatter(
        [numbers[best]], [scores[best]], 130, color=ORANGE, marker="*", zorder=3, label="best"
    )


# ------------------------------------------------------------------------------------------ answers


@_figure
def answers(
    images: Sequence[Image.Image | str | os.PathLike],
    predictions: Sequence[Sequence[Mapping[str, Any]]],
    truths: Sequence[str] | None = None,
) -> Figure:
    """Photos, each beside its five likeliest breeds.

    Args:
        images: Pillow images or paths.
        predictions: for each image a list of `{"breed": name, "probability": 0 to 1}`.
        truths: for each image its breed; that breed's bar is green, a wrong first answer orange.

    Raises:
        ValueError: the lists differ in length, or are empty.
    """
    lengths = {len(images), len(predictions), *([len(truths)] if truths is not None else [])}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            f"{len(images)} images, {len(predictions)} predictions"
            + (f", {len(truths)} truths" if truths is not None else "")
            + ": give one of each for every image."
        )
    across = min(2, len(images))
    rows = math.ceil(len(images) / across)
    figure, axes = plt.subplots(
        rows, 2 * across, figsize=(5.2 * across, 1.75 * rows), squeeze=False,
        width_ratios=[1, 1.15] * across,
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis("off")
    for i, (image, prediction) in enumerate(zip(images, predictions, strict=True)):
        photo, bars = axes[i // across, 2 * (i % across) : 2 * (i % across) + 2]
        truth = _plain(truths[i]) if truths is not None else None
        photo.imshow(_loaded(image), interpolation="nearest")
        photo.set_title(_short(truth or "", 26), fontsize=9, loc="center", pad=3)
        _bars(bars, prediction, truth)
    return figure


def _plain(name: str) -> str:
    """A breed's name for comparing and for printing."""
    return dataset.breed(str(name))


def _loaded(image: Image.Image | str | os.PathLike) -> Image.Image:
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            image = opened.convert("RGB")
    return _fitted(image.convert("RGB"), 170, 130)


def _bars(axis, prediction: Sequence[Mapping[str, Any]], truth: str | None) -> None:
    """The five likeliest breeds as bars, their names and percentages written on them."""
    top = sorted(prediction, key=lambda answer: -answer["probability"])[:5]
    for row, answer in enumerate(top):
        name, probability = _plain(answer["breed"]), float(answer["probability"])
        colour = BLUE if row == 0 and truth is None else FAINT
        if truth is not None:
            first_and_wrong = ORANGE if row == 0 else FAINT
            colour = GREEN if name == truth else first_and_wrong
        axis.barh(row, probability, 0.32, color=colour)
        axis.barh(row, 1, 0.32, color="none", edgecolor=FAINT, linewidth=0.6)
        weight = "bold" if name == truth else "normal"
        axis.text(0, row - 0.24, _short(name, 27), fontsize=8, va="bottom", weight=weight)
        axis.text(1, row - 0.24, f"{probability:.0%}", fontsize=8, va="bottom", ha="right")
    axis.set(xlim=(0, 1), ylim=(4.4, -0.8))


# --------------------------------------------------------------------------------------- comparison

_PANELS = {  # column -> title, how a value is written
    "accuracy": ("test accuracy", "{:.1%}"),
    "seconds": ("training, seconds", "{:,.0f}"),
    "megabytes": ("model, megabytes", "{:,.0f}"),
}


@_figure
def comparison(rows: pd.DataFrame) -> Figure:
    """Models beside each other in three panels: accuracy, seconds, megabytes.

    Args:
        rows: one row a model, named by the index or a column `model`; columns `accuracy` (0 to 1),
            `seconds` and `megabytes`.

    Raises:
        ValueError: a column is missing, or there is no row.
    """
    absent = [name for name in _PANELS if name not in rows]
    if absent or not len(rows):
        raise ValueError(
            f"comparison needs the columns {', '.join(_PANELS)} and a row for each model; "
            f"missing: {', '.join(absent) or 'the rows'}."
        )
    names = [str(name) for name in rows.get("model", rows.index)]
    figure, axes = plt.subplots(1, 3, figsize=(9, 0.42 * len(names) + 0.8), sharey=True)
    for axis, (column, (title, form)) in zip(axes, _PANELS.items(), strict=True):
        values = rows[column].astype(float).to_numpy()
        best = values.max() if column == "accuracy" else values.min()
        colours = [BLUE if value == best else "#9DBFD6" for value in values]
        bars = axis.barh(range(len(names)), values, 0.62, color=colours)
        axis.bar_label(bars, [form.format(value) for value in values], padding=4, fontsize=9)
        top = np.nanmax(values) if np.isfinite(values).any() else 1
        axis.set(title=title, xlim=(0, 1.3 * max(top, 1e-9)), xticks=[])
        axis.grid(visible=False)
        axis.spines[["bottom", "left"]].set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    return figure


# ------------------------------------------------------------------------------------ profiled runs

_PART_COLOURS = (ORANGE, PURPLE, "#9DBFD6", BLUE, GREEN, FAINT)  # what waits stands out


@_figure
def parts(table: pd.DataFrame) -> Figure:
    """Where a training step's time goes: a stacked bar a run, in milliseconds.

    Args:
        table: as `course.step_times.parts` gives it.

    Raises:
        ValueError: there is no run.
    """
    if table.empty:
        raise ValueError("there is no profiled run to draw")
    figure, axis = plt.subplots(figsize=(7.5, 0.55 * len(table) + 1.2))
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
    axis.set(xlabel="milliseconds a training step", xlim=(0, 1.15 * start.max()))
    axis.set_yticks(range(len(table)), [str(name) for name in table.index])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=6, frameon=False)
    return figure
