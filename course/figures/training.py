"""What happened inside a training job: losses, gradients, weights, the rules' statistics.

Titles say what was found; they are computed from what is drawn. Training steps are counted from 0
and without the steps of the validation, whose losses lie at the training step at which they were
measured.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from course.figures.style import (
    AMBER,
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    QUIET,
    SKY,
    SPLIT_COLOURS,
    in_style,
    rounded,
)

if TYPE_CHECKING:
    from course.debugger.tensors import WeightShares

Curve = tuple[Sequence[float], Sequence[float]]
FLAT = 0.02  # a change smaller than this share is no change
ALIKE = 1.5  # norms that differ by a smaller factor are called alike
FAR = 30  # values that lie so many times apart are drawn on a logarithmic axis
APART = 15  # pixels between the lines of two names in the margin
LINE = 68  # characters of a title's line, which fit on a phone


# ------------------------------------------------------------------------------------------ losses


@in_style
def losses(
    curves: Mapping[str, Curve], chance: float | None = None, floor: float | None = None
) -> Figure:
    """Loss against training step: `{"train": (steps, values), "valid": (steps, values)}`.

    The training curve is a mean over a window of a tenth of its points, drawn at the middle of the
    window. The points themselves lie faint behind.

    Args:
        curves: as `course.debugger.losses` gives them; losses in nats.
        chance: the loss of a network that gives every class the same probability; a dashed line.
        floor: the least training loss that label smoothing allows; a dotted line.

    Raises:
        ValueError: no curve has a point.
    """
    curves = _all_points(curves)
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    ends = {}
    for name, (steps, values) in curves.items():
        colour = SPLIT_COLOURS.get(name, PURPLE)
        ends[name] = (*_draw_losses(axis, name, steps, values, colour), colour)
    axis.set_ylim(bottom=0)
    _name_ends(axis, ends, chance, floor)
    axis.set(xlabel="training step", ylabel="cross-entropy loss in nats")
    axis.set_title(_wrapped(losses_say(curves)))
    return figure


def losses_say(curves: Mapping[str, Curve]) -> str:
    """A sentence on a run's losses: how far they fell, where validation ended.

    The ends of the training loss are those of the drawn curve: the means of its first and of its
    last tenth.
    """
    curves = _all_points(curves)
    said = []
    if "train" in curves:
        begin, end = _smooth(*curves["train"])[1][[0, -1]]
        fall = (begin - end) / abs(begin)
        word = "fell" if fall > FLAT else "rose" if fall < -FLAT else "stayed"
        way = f"at {end:.2f}" if word == "stayed" else f"from {begin:.2f} to {end:.2f}"
        said.append(f"the smoothed training loss {word} {way}")
    if "valid" in curves:
        said.append(f"the validation loss ended at {curves['valid'][1][-1]:.2f}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def order_of_losses(curves: Mapping[str, Curve]) -> str:
    """A sentence for each validation pass: above or below the training loss around it, by how much.

    The training loss beside a pass is the mean of those saved since the pass before, as the rule
    Overfit has it.
    """
    curves = _all_points(curves)
    if "train" not in curves or "valid" not in curves:
        return "The losses of training and validation were not both saved."
    steps, values = curves["train"]
    said, before = [], -math.inf
    for number, (place, loss) in enumerate(zip(*curves["valid"], strict=True), 1):
        near = values[(steps >= before) & (steps < place)]
        before = place
        if len(near):
            beside, loss = round(near.mean(), 2), round(loss, 2)  # so that the three numbers agree
            side = "above" if loss > beside else "below"
            way = f"{abs(loss - beside):.2f} {side}" if loss != beside else "the same"
            said.append(f"in epoch {number} it is {way} ({loss:.2f} and {beside:.2f})")
    if not said:
        return "No training loss was saved before a validation pass."
    compared = "The validation loss beside the mean training loss of the same epoch"
    return f"{compared}: {', '.join(said)}."


@in_style
def runs(
    named: Mapping[str, Mapping[str, Curve]],
    chance: float | None = None,
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """The losses of several runs on one axis: lines in training, points in validation.

    Args:
        named: the curves of each run, as `losses` takes them, by the run's name.
        chance: as for `losses`.
        colours: of the runs, by name; others get the course's colours in order.

    Losses that lie far apart are drawn on a logarithmic axis. Values that are no numbers are left
    out; the title says from which step on there were some.

    Raises:
        ValueError: no run has a point.
    """
    whole = {name: {k: _points(k, *c) for k, c in curves.items()} for name, curves in named.items()}
    drawn = {name: found for name, found in whole.items() if any(len(c[0]) for c in found.values())}
    if not drawn:
        raise ValueError("there is no loss to draw: no run has saved any")
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    values = np.concatenate([c[1] for found in drawn.values() for c in found.values()])
    logarithmic = values.min() > 0 and values.max() > FAR * values.min()
    axis.set_yscale("log" if logarithmic else "linear")
    palette, ends = [GREEN, ORANGE, BLUE, PURPLE], {}
    for place, (name, curves) in enumerate(drawn.items()):
        colour = (colours or {}).get(name, palette[place % len(palette)])
        for kind, (steps, losses_) in curves.items():
            if len(steps):
                end = _draw_losses(axis, kind, steps, losses_, colour)
                if kind == "train" or name not in ends:
                    ends[name] = (*end, colour)
    if not logarithmic:
        axis.set_ylim(bottom=0)
    _name_ends(axis, ends, chance)
    passes = any(len(curves.get("valid", ([],))[0]) for curves in drawn.values())
    label = "training step (large dots: validation)" if passes else "training step"
    axis.set(xlabel=label, ylabel="cross-entropy loss in nats")
    axis.set_title(_wrapped(runs_say(named)))
    return figure


def runs_say(named: Mapping[str, Mapping[str, Curve]]) -> str:
    """A sentence on several runs' training losses at the last step that all curves reach."""
    trained = {}
    for name, curves in named.items():
        steps, values = _points("train", *curves.get("train", ([], [])))
        if len(steps):
            trained[name] = _smooth(steps, values)
    if not trained:
        return "No training loss was saved."
    common = min(steps[-1] for steps, _ in trained.values())
    said = [
        f"{_short_number(np.interp(common, steps, values))} ({name})"
        for name, (steps, values) in trained.items()
    ]
    lost = [f"{name} has losses that are no numbers, from step {first:.0f} on"
            for name, curves in named.items()
            if (first := _first_lost(curves)) is not None]  # fmt: skip
    return "; ".join([f"Training loss near step {common:.0f}: {', '.join(said)}", *lost])


def _first_lost(curves: Mapping[str, Curve]) -> float | None:
    steps, values = (np.asarray(each, float) for each in curves.get("train", ([], [])))
    lost = steps[~np.isfinite(values)]
    return float(lost[0]) if len(lost) else None


def _all_points(curves: Mapping[str, Curve]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {name: _points(name, *curve) for name, curve in curves.items()}
    found = {name: curve for name, curve in found.items() if len(curve[0])}
    if not found:
        raise ValueError(
            "there is no loss to draw: every curve is empty. Has the job finished a step?"
        )
    return found


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


def _draw_losses(axis, kind: str, steps, values, colour: str) -> tuple[float, float]:
    """Draw a curve; return where it ends."""
    if kind == "train":
        axis.plot(steps, values, ".", color=colour, alpha=0.22, markersize=4)
        steps, values = _smooth(steps, values)
        axis.plot(steps, values, color=colour, linewidth=2)
    else:
        axis.plot(steps, values, "o", color=colour, markersize=7, markeredgecolor="white")
    return float(steps[-1]), float(values[-1])


def _smooth(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middles of all windows of a tenth of the points, and their means.

    So the curve lies among its points wherever they fall steadily, and ends where they are known on
    both sides.
    """
    window = np.full(width := max(1, len(values) // 10), 1 / width)
    return np.convolve(steps, window, "valid"), np.convolve(values, window, "valid")


def _name_ends(
    axis,
    ends: Mapping[str, tuple[float, float, str]],
    chance: float | None = None,
    floor: float | None = None,
) -> None:
    """Name each curve where it ends, and draw and name what guessing gives, and the floor.

    Names of curves that reach the end of the axis stand in the margin, where no curve is, at least
    a line of text apart.
    """
    right = axis.get_xlim()[1]
    margin = {name: end for name, end in ends.items() if end[0] > 0.8 * right}
    for name in ends.keys() - margin.keys():
        x, y, colour = ends[name]
        axis.annotate(
            name, (x, y), xytext=(8, 0), textcoords="offset points", color=colour, va="center",
            weight="bold", bbox={"color": "white", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    words = {"train": "training", "valid": "validation"}
    labels = [(y, words.get(name, name), colour, "bold") for name, (_, y, colour) in margin.items()]
    if chance is not None:
        axis.axhline(chance, color=QUIET, linestyle="--", linewidth=1.2)
        labels.append((chance, f"guessing {chance:.2f}", QUIET, "normal"))
    if floor is not None:
        axis.axhline(floor, color=QUIET, linestyle=":", linewidth=1.2)
        labels.append((floor, f"floor {floor:.2f}", QUIET, "normal"))
    _in_margin(axis, labels)


def _in_margin(axis, labels: Sequence[tuple[float, str, str, str]]) -> None:
    """Write beside the axis: height, text, colour and weight of each label, one above the other."""
    axis.get_figure().draw_without_rendering()  # the layout decides how high the axis is
    last = -math.inf
    for y, text, colour, weight in sorted(labels):
        place = axis.transData.transform((axis.get_xlim()[0], y))[1]
        last = max(place, last + APART)
        moved = (last - place) * 72 / axis.get_figure().dpi
        where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axis.annotate(
            text, (1, y), xytext=(14 if moved else 8, moved), color=colour, va="center",
            weight=weight, annotation_clip=False, **where,
        )  # fmt: skip
        if moved:  # a thin line leads from the label to its height
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0}
            axis.annotate(
                "", (1, y), xytext=(12, moved), arrowprops=line, annotation_clip=False, **where
            )


# ----------------------------------------------------------------------------- gradients, weights


@in_style
def gradients(norms: pd.DataFrame) -> Figure:
    """Gradient norms as a map: a row a layer, from input to head; a column a saved step.

    Args:
        norms: as `course.debugger.gradient_norms` gives them; zero and NaN stay white.

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
    axis.set(xlabel="training step", ylabel="layer, from the input down to the head")
    quarter = _quarter(norms)
    for row in (quarter, len(norms) - quarter):  # what `order_of_gradients` compares
        axis.axhline(row - 0.5, color="white", linewidth=2)
    axis.set_title(_wrapped(gradients_say(norms)))
    bar = figure.colorbar(
        shown, ax=axis, pad=0.02, label="norm of the gradient",
        ticks=LogLocator(subs=(1, 2, 5)), format="%g",
    )  # fmt: skip
    bar.minorticks_off()
    bar.outline.set_visible(False)
    return figure


def gradients_say(norms: pd.DataFrame) -> str:
    """A sentence on the last saved step: the smallest and the largest norm, and their layers."""
    last = norms[norms.columns[-1]]
    alive = last[np.isfinite(last) & (last > 0)]
    if alive.empty:
        return f"At step {last.name} no layer has a gradient above zero."
    small, large = alive.idxmin(), alive.idxmax()
    none = len(last) - len(alive)
    dead = f"; {none} have none" if none else ""
    return (
        f"Step {last.name}: the gradients of {len(alive)} layers have norms from {alive.min():.2g} "
        f"({small}) to {alive.max():.2g} ({large}){dead}."
    )


def order_of_gradients(norms: pd.DataFrame) -> str:
    """Yes or no, and why: are the last step's norms near the input smaller than near the head?

    A factor below `ALIKE` is none.
    """
    last = norms[norms.columns[-1]]
    share = _quarter(norms)
    first, head = last.iloc[:share].median(), last.iloc[-share:].median()
    if not (first > 0 and head > 0):
        return f"At step {last.name} a quarter of the layers has gradients that are zero or lost."
    factor = max(first, head) / min(first, head)
    way = f"{rounded(factor)} times as {'large' if first > head else 'small'}"
    way = "about as large" if factor < ALIKE else way
    answer = "Yes" if first < head and factor >= ALIKE else "No"
    return (
        f"{answer}. At step {last.name} the median norm is {first:.2g} in the quarter of the "
        f"layers next to the input and {head:.2g} in the quarter next to the loss: the layers near "
        f"the input get gradients that are {way}."
    )


def _quarter(norms: pd.DataFrame) -> int:
    """How many layers make a quarter of the network."""
    return max(1, len(norms) // 4)


@in_style
def weights(shares: "WeightShares") -> Figure:
    """The spread of each layer's weights at the last saved step, and how far they have moved.

    The movement is on a logarithmic axis where it spans more than a factor of `FAR`. A layer that
    has not moved has no place on such an axis.

    Args:
        shares: as `course.debugger.weight_shares` gives them.
    """
    layers, places = shares.spread.index, np.arange(len(shares.spread))
    figure, (spread, change) = plt.subplots(
        2, sharex=True, figsize=(7.5, 4.8), height_ratios=(3, 2)
    )
    new = shares.spread
    spread.fill_between(places, new[5], new[95], color=BLUE, alpha=0.22, linewidth=0)
    spread.fill_between(places, new[25], new[75], color=BLUE, alpha=0.45, linewidth=0)
    spread.plot(places, new[50], color=BLUE, linewidth=1.5)
    spread.set(ylabel=f"weight at step {shares.last}")
    spread.set_title(_wrapped(weights_say(shares)))
    moved = shares.moved.to_numpy()
    drawable = moved[np.isfinite(moved) & (moved > 0)]
    logarithmic = len(drawable) > 0 and drawable.max() > FAR * drawable.min()
    change.set_yscale("log" if logarithmic else "linear")
    if not logarithmic:
        change.set_ylim(0, 1.15 * drawable.max() if len(drawable) else 1)
    else:
        change.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    body = layers != shares.head
    change.plot(places[body], moved[body], "o", color=BLUE, markersize=5)
    if shares.head is not None:
        change.plot(places[~body], moved[~body], "o", color=ORANGE, markersize=7)
        change.annotate(
            "head", (places[-1], moved[-1]), xytext=(-8, 0), textcoords="offset points",
            color=ORANGE, weight="bold", ha="right", va="center",
        )  # fmt: skip
    change.set(xlabel="layer, from the input to the head")
    change.set(ylabel=f"moved since step {shares.first}, %")
    rows = np.unique(np.linspace(0, len(new) - 1, min(5, len(new))).round().astype(int))
    change.set_xticks(rows, [layers[row] for row in rows], fontsize=9)
    return figure


def weights_say(shares: "WeightShares") -> str:
    """A sentence: how far the median layer and the head have moved, in percent of their norms."""
    if shares.first == shares.last:
        return f"The weights of one step only (step {shares.last}) show no movement."
    median = f"The median layer moved by {_percent(shares.moved.median())}"
    if shares.head is None:
        return f"{median}."
    return f"{median}, the head by {_percent(shares.moved[shares.head])}."


def _percent(value: float) -> str:
    return f"{rounded(value)}%" if math.isfinite(value) else "an amount that is no number"


# ---------------------------------------------------------------------------- the rules' statistics


@in_style
def vanishing(means: pd.DataFrame, threshold: float) -> Figure:
    """VanishingGradient: the mean absolute gradient of each tensor, and the threshold as a line.

    Args:
        means: a row a tensor, from input to head, a column a step. Zeros, which a logarithmic axis
            has no place for, are crosses at its lower end.
        threshold: the rule's.
    """
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    places = np.arange(len(means))
    positive = means.where(means > 0)
    lowest = min(threshold, np.nanmin(positive.to_numpy()) if positive.notna().any().any() else 1)
    for shade, step in zip(_step_colours(len(means.columns)), means.columns, strict=True):
        axis.plot(places, positive[step], ".", color=shade, markersize=4, label=f"step {step}")
        zeros = places[(means[step] == 0).to_numpy()]
        axis.plot(zeros, np.full(len(zeros), lowest / 3), "x", color=shade, markersize=4)
    axis.set_yscale("log")
    axis.set_ylim(lowest / 6, 30 * axis.get_ylim()[1])  # room for the legend
    _draw_threshold(axis, threshold)
    axis.set(
        xlabel="gradient, from the input to the head (a dot for each saved step)",
        ylabel="mean absolute value",
    )
    axis.legend(
        ncols=min(5, len(means.columns)),
        fontsize=9,
        loc="upper left",
        frameon=False,
        markerscale=2,
        columnspacing=1,
        handletextpad=0.2,
    )
    axis.set_title(_wrapped(vanishing_says(means, threshold)))
    return figure


def _step_colours(count: int) -> Sequence:
    """A colour for each saved step: clearly different ones for a few, a scale for many."""
    few = (INK, BLUE, GREEN, PURPLE, AMBER, SKY)
    if count <= len(few):
        return few[:count]
    return plt.get_cmap("viridis")(np.linspace(0, 0.85, count))


def vanishing_says(means: pd.DataFrame, threshold: float) -> str:
    """How far the smallest mean lies from the threshold, or which gradients lie below it."""
    stacked = means.stack()
    stacked = stacked[np.isfinite(stacked)]
    if stacked.empty:
        return "No gradient is a number."
    below = stacked[stacked < threshold]
    if below.empty:
        tensor, step = stacked.idxmin()
        least = stacked.min()
        times = rounded(float(f"{least / threshold:.2g}"))  # no more digits than the mean has
        where = f"{tensor}, step {step}"
        return f"The smallest mean is {least:.2g} ({where}): {times} times the threshold."
    tensors = below.index.get_level_values(0).nunique()
    first = below.index.get_level_values(1).min()
    return (
        f"{tensors} of {len(means)} gradients lie below the threshold at some step, "
        f"the first at step {first}."
    )


@in_style
def falling(falls: pd.Series, threshold: float) -> Figure:
    """LossNotDecreasing: by how many percent the loss fell in each comparison, and the threshold.

    Args:
        falls: as `course.debugger.statistic` gives them, by training step.
        threshold: the rule's `diff_percent`.
    """
    figure, axis = plt.subplots(figsize=(7.5, 3.2))
    finite = falls[np.isfinite(falls)]
    colours = [BLUE if value >= threshold else ORANGE for value in finite]
    width = 0.5 * (np.diff(falls.index).min() if len(falls) > 1 else 4)
    axis.bar(finite.index, finite, width=width, color=colours)
    if len(finite) and finite.min() < -FAR * 10:
        axis.set_yscale("symlog", linthresh=10)
    _draw_threshold(axis, threshold)
    axis.set(xlabel="training step", ylabel="fall of the loss, in %")
    axis.set_title(_wrapped(falling_says(falls, threshold)))
    return figure


def falling_says(falls: pd.Series, threshold: float) -> str:
    """In how many comparisons the loss fell by less than the threshold."""
    if falls.empty:
        return "Nothing was compared: the run is too short for the rule's num_steps."
    missed = falls[~(falls >= threshold)]
    if len(falls) == 1 and missed.empty:
        return f"In the only comparison the loss fell by {rounded(falls.min())} %."
    if missed.empty:
        return (
            f"In each of {len(falls)} comparisons the loss fell by at least "
            f"{rounded(falls.min())} %."
        )
    first = missed.iloc[0]
    way = "is no number" if math.isnan(first) else f"fell by {rounded(first)} %"
    way = f"rose by {rounded(-first)} %" if first < 0 else way
    return (
        f"In {len(missed)} of {len(falls)} comparisons the loss did not fall by {threshold:g} %: "
        f"at step {missed.index[0]} it {way}."
    )


@in_style
def overfitting(ratios: pd.Series, threshold: float, patience: int) -> Figure:
    """Overfit: how far validation lies above training in each pass, and the threshold.

    Args:
        ratios: as `course.debugger.statistic` gives them: a share of the training loss, by pass.
        threshold: the rule's `ratio_threshold`.
        patience: passes in a row that must lie above it.
    """
    figure, axis = plt.subplots(figsize=(7.5, 3.0))
    colours = [ORANGE if value > threshold else BLUE for value in ratios]
    axis.bar(ratios.index.astype(str), ratios, width=0.4, color=colours)
    axis.axhline(0, color=INK, linewidth=0.8)
    _draw_threshold(axis, threshold)
    axis.set(xlabel="validation pass (epoch)", ylabel="(V - T) / T")
    axis.set_title(_wrapped(overfitting_says(ratios, threshold, patience)))
    return figure


def overfitting_says(ratios: pd.Series, threshold: float, patience: int) -> str:
    """Where the largest ratio lies, and whether enough passes in a row lie above the threshold."""
    finite = ratios[np.isfinite(ratios)]
    if finite.empty:
        return "Nothing was compared: no validation follows a training loss."
    most, number = finite.max(), finite.idxmax()
    side = "above" if most > 0 else "below"
    said = (
        f"Highest in pass {number}: the validation loss is {abs(most):.0%} {side} the training "
        f"loss; the rule's threshold is {threshold:.0%} above it"
    )
    row = longest = 0
    for value in ratios:
        row = row + 1 if value > threshold else 0
        longest = max(longest, row)
    if longest >= patience:
        return f"{said}, crossed in {longest} passes in a row."
    return f"{said}, in {patience} passes in a row." if longest else f"{said}."


def _draw_threshold(axis, threshold: float) -> None:
    axis.axhline(threshold, color=ORANGE, linestyle="--", linewidth=1.5)
    axis.annotate(
        f"threshold {threshold:g}", (1, threshold), xycoords=("axes fraction", "data"),
        xytext=(6, 0), textcoords="offset points", va="center", color=ORANGE, fontsize=9,
        annotation_clip=False,
    )  # fmt: skip


def _short_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _wrapped(text: str) -> str:
    """A title in lines that a phone has room for, without its last full stop."""
    return "\n".join(textwrap.wrap(text.removesuffix("."), LINE))
