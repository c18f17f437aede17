"""What happened inside a training job: losses, gradients, weights, the rules' statistics.

Titles say what was found; they are computed from what is drawn. Training steps are counted from 0
and without the steps of the validation, whose losses lie at the training step at which they were
measured.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from course.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    QUIET,
    SPLIT_COLOURS,
    in_style,
)

Curve = tuple[Sequence[float], Sequence[float]]
FLAT = 0.02  # a change smaller than this share is no change
ALIKE = 1.5  # norms that differ by a smaller factor are called alike
FAR = 30  # losses that lie so many times apart are drawn on a logarithmic axis
LINE = 68  # characters of a title's line, which fit on a phone


# ------------------------------------------------------------------------------------------ losses


@in_style
def losses(curves: Mapping[str, Curve], chance: float | None = None) -> Figure:
    """Loss against training step: `{"train": (steps, values), "valid": (steps, values)}`.

    The training curve is an exponential mean over the last tenth of the run or so, its raw points
    lie faint behind.

    Args:
        curves: as `course.debugger.losses` gives them; losses in nats.
        chance: the loss of a network that gives every class the same probability; a dashed line.

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
    if chance is not None:
        _draw_chance(axis, chance)
    _name_ends(axis, ends)
    axis.set(xlabel="training step", ylabel="cross-entropy loss in nats")
    axis.set_title(_wrapped(losses_say(curves)))
    return figure


def losses_say(curves: Mapping[str, Curve]) -> str:
    """One or two sentences on a run's losses: how far they fell, where validation ended.

    The ends of the training curve are means of its first and of its last tenth.
    """
    curves = _all_points(curves)
    said = []
    if "train" in curves:
        begin, end = _ends(curves["train"][1])
        fall = (begin - end) / abs(begin)
        word = "fell" if fall > FLAT else "rose" if fall < -FLAT else "stayed"
        way = f"at {end:.2f}" if word == "stayed" else f"from {begin:.2f} to {end:.2f}"
        said.append(f"The training loss {word} {way}.")
    if "valid" in curves:
        last = curves["valid"][1][-1]
        beside = ""
        if "train" in curves:
            side = "above" if last > end else "below"
            beside = f", {abs(last - end):.2f} {side} the training loss"
        said.append(f"The validation loss ended at {last:.2f}{beside}.")
    return " ".join(said)


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
            gap = loss - near.mean()
            side = "above" if gap > 0 else "below"
            said.append(f"in epoch {number} it is {abs(gap):.2f} {side}")
    if not said:
        return "No training loss was saved before a validation pass."
    return (
        "The validation loss beside the mean training loss of its epoch: " + ", ".join(said) + "."
    )


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
    if chance is not None:
        _draw_chance(axis, chance)
    _name_ends(axis, ends)
    axis.set(xlabel="training step", ylabel="cross-entropy loss in nats")
    axis.set_title(_wrapped(runs_say(named)))
    return figure


def runs_say(named: Mapping[str, Mapping[str, Curve]]) -> str:
    """A sentence on several runs' training losses at the last step that all of them reached."""
    trained = {}
    for name, curves in named.items():
        steps, values = _points("train", *curves.get("train", ([], [])))
        if len(steps):
            trained[name] = (steps, _smooth(values))
    if not trained:
        return "No training loss was saved."
    common = min(steps[-1] for steps, _ in trained.values())
    said = [
        f"{_short_number(values[np.searchsorted(steps, common, side='right') - 1])} ({name})"
        for name, (steps, values) in trained.items()
    ]
    lost = [f"{name} has losses that are no numbers, from step {first:.0f} on"
            for name, curves in named.items()
            if (first := _first_lost(curves)) is not None]  # fmt: skip
    return "; ".join([f"Training loss at step {common:.0f}: {', '.join(said)}", *lost])


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
        values = _smooth(values)
        axis.plot(steps, values, color=colour, linewidth=2)
    else:
        axis.plot(steps, values, "o", color=colour, markersize=7, markeredgecolor="white")
    return float(steps[-1]), float(values[-1])


def _draw_chance(axis, chance: float) -> None:
    axis.axhline(chance, color=QUIET, linestyle="--", linewidth=1.2)
    axis.annotate(
        f"guessing {chance:.2f}", (1, chance), xycoords=("axes fraction", "data"), ha="right",
        xytext=(-4, 3), textcoords="offset points", va="bottom", color=QUIET, fontsize=9,
    )  # fmt: skip


def _smooth(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).ewm(span=max(2, len(values) / 10)).mean().to_numpy()


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the first and of the last tenth: single steps are noisy."""
    count = max(1, len(values) // 10)
    return float(np.mean(values[:count])), float(np.mean(values[-count:]))


def _name_ends(axis, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Name each curve at its end, a line of text apart at least."""
    to_pixels, heights = axis.transData, {}
    last = -math.inf
    for name, (x, y, _) in sorted(ends.items(), key=lambda item: item[1][1]):
        last = max(to_pixels.transform((x, y))[1], last + 13)
        heights[name] = last
    for name, (right, _, colour) in ends.items():
        y = to_pixels.inverted().transform((0, heights[name]))[1]
        words = {"train": "training", "valid": "validation"}.get(name, name)
        axis.annotate(
            words, (right, y), xytext=(8, 0), textcoords="offset points",
            color=colour, va="center", weight="bold", annotation_clip=False,
        )  # fmt: skip


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
    axis.set_title(_wrapped(gradients_say(norms)))
    bar = figure.colorbar(shown, ax=axis, pad=0.02, label="norm of the gradient")
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
    """A sentence: the norms near the input beside those near the head, at the last saved step."""
    last = norms[norms.columns[-1]]
    share = max(1, len(last) // 4)
    first, head = last.iloc[:share].median(), last.iloc[-share:].median()
    if not (first > 0 and head > 0):
        return f"At step {last.name} a quarter of the layers has gradients that are zero or lost."
    factor = max(first, head) / min(first, head)
    way = f"{factor:.1f} times as {'large' if first > head else 'small'}"
    way = "about as large" if factor < ALIKE else way
    return (
        f"At step {last.name} the median norm is {first:.2g} in the quarter of the layers next to "
        f"the input and {head:.2g} in the quarter next to the loss: the far layers get gradients "
        f"that are {way}."
    )


@in_style
def weights(shares: Mapping[int, pd.DataFrame]) -> Figure:
    """The spread of each layer's weights at the last saved step, and its change since the first.

    Args:
        shares: by step, as `course.debugger.weight_shares` gives them: a row a layer, columns the
            percentiles 5, 25, 50, 75, 95.

    Raises:
        ValueError: there is no step.
    """
    if not shares:
        raise ValueError("there are no weights to draw. Were any saved?")
    first, last = min(shares), max(shares)
    new = shares[last]
    figure, (spread, change) = plt.subplots(
        2, sharex=True, figsize=(7.5, 4.8), height_ratios=(3, 2)
    )
    places = np.arange(len(new))
    spread.fill_between(places, new[5], new[95], color=BLUE, alpha=0.22, linewidth=0)
    spread.fill_between(places, new[25], new[75], color=BLUE, alpha=0.45, linewidth=0)
    spread.plot(places, new[50], color=BLUE, linewidth=1.5)
    spread.set(ylabel=f"weight at step {last}")
    spread.set_title(_wrapped(weights_say(shares)))
    percent = _changes(shares)
    change.bar(places, percent.fillna(0), color=[ORANGE if v > 0 else BLUE for v in percent])
    change.set_yscale("symlog", linthresh=1)  # the head changes many times as much as the body
    change.set(ylabel=f"% since step {first}", xlabel="layer, from the input to the head")
    rows = np.unique(np.linspace(0, len(new) - 1, min(5, len(new))).round().astype(int))
    change.set_xticks(rows, [new.index[row] for row in rows], fontsize=9)
    return figure


def _changes(shares: Mapping[int, pd.DataFrame]) -> pd.Series:
    """By how many percent the range from the 5th to the 95th percentile changed, by layer."""
    old, new = shares[min(shares)], shares[max(shares)]
    return 100 * ((new[95] - new[5]) / (old[95] - old[5]).replace(0, np.nan) - 1)


def weights_say(shares: Mapping[int, pd.DataFrame]) -> str:
    """A sentence: the layer whose range of weights changed most, and the middle layer's change."""
    first, last, percent = min(shares), max(shares), _changes(shares)
    if first == last or percent.isna().all():
        return f"The weights of one step only (step {last}) show no change."
    most = percent.abs().idxmax()
    return (
        f"From step {first} to {last} the range of the weights changed by "
        f"{percent.median():+.1f} % in the median layer, most in {most} ({percent[most]:+.0f} %)."
    )


# ---------------------------------------------------------------------------- the rules' statistics


@in_style
def vanishing(means: pd.DataFrame, threshold: float) -> Figure:
    """VanishingGradient: the mean absolute gradient of each tensor, and the threshold as a line.

    Args:
        means: as `course.debugger.mean_gradients` gives them: a row a tensor, a column a step.
            Zeros, which a logarithmic axis has no place for, are crosses at its lower end.
        threshold: the rule's.
    """
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    places = np.arange(len(means))
    positive = means.where(means > 0)
    lowest = min(threshold, np.nanmin(positive.to_numpy()) if positive.notna().any().any() else 1)
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(means.columns)))
    for shade, step in zip(shades, means.columns, strict=True):
        axis.plot(places, positive[step], ".", color=shade, markersize=4, label=f"step {step}")
        zeros = places[(means[step] == 0).to_numpy()]
        axis.plot(zeros, np.full(len(zeros), lowest / 3), "x", color=shade, markersize=4)
    axis.set_yscale("log")
    axis.set_ylim(lowest / 6, 30 * axis.get_ylim()[1])  # room for the legend
    _draw_threshold(axis, threshold)
    axis.set(xlabel="gradient, from the input to the head", ylabel="mean absolute value")
    axis.legend(ncols=min(4, len(means.columns)), fontsize=9, loc="upper left", frameon=False)
    axis.set_title(_wrapped(vanishing_says(means, threshold)))
    return figure


def vanishing_says(means: pd.DataFrame, threshold: float) -> str:
    """How far the smallest mean lies from the threshold, or which gradients lie below it."""
    stacked = means.stack()
    stacked = stacked[np.isfinite(stacked)]
    if stacked.empty:
        return "No gradient is a number."
    below = stacked[stacked < threshold]
    if below.empty:
        layer, step = stacked.idxmin()
        least = stacked.min()
        return (
            f"The smallest mean is {least:.1g} ({layer}, step {step}): "
            f"{least / threshold:,.0f} times the threshold."
        )
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
    axis.set(xlabel="training step", ylabel="the loss fell by, in %")
    axis.set_title(_wrapped(falling_says(falls, threshold)))
    return figure


def falling_says(falls: pd.Series, threshold: float) -> str:
    """In how many comparisons the loss fell by less than the threshold."""
    if falls.empty:
        return "Nothing was compared: the run is too short for the rule's num_steps."
    missed = falls[~(falls >= threshold)]
    if len(falls) == 1 and missed.empty:
        return f"In the only comparison the loss fell by {falls.min():.1f} %."
    if missed.empty:
        return (
            f"In each of {len(falls)} comparisons the loss fell, "
            f"by {falls.min():.1f} % at the least."
        )
    first = missed.iloc[0]
    way = "is no number" if math.isnan(first) else f"fell by {first:.2g} %"
    way = f"rose by {-first:,.0f} %" if first < 0 else way
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
        f"At the most (pass {number}) the validation loss lies {abs(most):.0%} {side} the "
        f"training loss; the threshold is {threshold:.0%} above"
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
        xytext=(-4, 3), textcoords="offset points", ha="right", va="bottom",
        color=ORANGE, fontsize=9,
    )  # fmt: skip


def _short_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _wrapped(text: str) -> str:
    """A title in lines that a phone has room for, without its last full stop."""
    return "\n".join(textwrap.wrap(text.removesuffix("."), LINE))
