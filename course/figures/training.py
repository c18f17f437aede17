"""What happened inside a training job: losses, gradients, weights."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from course.figures.style import (
    BLUE,
    INK,
    ORANGE,
    PURPLE,
    SPLIT_COLOURS,
    in_style,
)


@in_style
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


@in_style
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


@in_style
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
