"""What an endpoint answered, how long it took, and how sure it was."""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from course import dataset
from course.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    QUIET,
    fitted,
    in_style,
    rounded,
    short,
)
from course.predictions import Share, difference

POOR = 0.25  # a line that misses a median by a larger share of it fits poorly
FLAT = 0.05  # a line that rises by a smaller share of the least median is flat
SLOW = 1.1  # a first request that takes fewer times the median is not called slow
_TITLE = 64  # characters of a title's line


@in_style
def answers(
    images: Sequence[Image.Image | str | os.PathLike],
    predictions: Sequence[Sequence[Mapping[str, Any]]],
    truths: Sequence[str] | None = None,
) -> Figure:
    """Photos, each beside its five most likely breeds.

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
    across = 1 if len(images) <= 3 else 2  # one column is readable on a phone
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
        photo.set_title(short(truth or "", 26), fontsize=9, loc="center", pad=3)
        _bars(bars, prediction, truth)
    return figure


def _plain(name: str) -> str:
    """A breed's name for comparing and for printing."""
    return dataset.breed(str(name))


def _loaded(image: Image.Image | str | os.PathLike) -> Image.Image:
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            image = opened.convert("RGB")
    return fitted(image.convert("RGB"), 170, 130)


def _bars(axis, prediction: Sequence[Mapping[str, Any]], truth: str | None) -> None:
    """The five most likely breeds as bars, their names and percentages written on them."""
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
        axis.text(0, row - 0.24, short(name, 27), fontsize=8, va="bottom", weight=weight)
        axis.text(1, row - 0.24, f"{probability:.0%}", fontsize=8, va="bottom", ha="right")
    axis.set(xlim=(0, 1), ylim=(4.4, -0.8))


@in_style
def latency(
    first_ms: float, later_ms: Sequence[float], many_ms: Mapping[int, Sequence[float]]
) -> Figure:
    """How long requests take: each one of a series, and by the number of photos they carry.

    Args:
        first_ms: milliseconds of the endpoint's very first request.
        later_ms: milliseconds of the requests of a series, in their order, each with one photo.
        many_ms: milliseconds of requests by how many photos each holds; at least two sizes.

    Raises:
        ValueError: no later request, fewer than two sizes, or a size without a request.
    """
    if not len(later_ms) or len(many_ms) < 2 or not all(map(len, many_ms.values())):
        raise ValueError("give at least one later request, and requests of two different sizes")
    figure, (series, sizes) = plt.subplots(2, 1, figsize=(5.6, 5.8))
    _series(series, first_ms, np.asarray(later_ms, float))
    _sizes(sizes, many_ms)
    return figure


@dataclass(frozen=True)
class Line:
    """A straight line through the median milliseconds of requests by how many photos they hold.

    Attributes:
        fixed: milliseconds where the line meets zero photos.
        per_photo: milliseconds that each photo adds.
        miss: milliseconds between the line and the median that is farthest from it.
        poor: whether the line misses a median by more than `POOR` of that median, or by more than
            the cost of a photo that it claims.
        rises: whether it rises by more than `FLAT` of the least median.
    """

    fixed: float
    per_photo: float
    miss: float
    poor: bool
    rises: bool

    @property
    def splits(self) -> bool:
        """Whether the line tells a fixed cost: larger than the line's own misses."""
        return not self.poor and self.rises and self.fixed > self.miss


def line(many_ms: Mapping[int, Sequence[float]]) -> Line:
    """Fit a straight line to the median of each size by least squares of the relative misses.

    Large requests vary by more milliseconds than small ones, so each median has the weight of its
    inverse. Otherwise the large ones alone would decide where the line begins.

    Args:
        many_ms: milliseconds of requests by how many photos each holds; at least two sizes.
    """
    photos = np.array(list(many_ms), float)
    medians = np.array([np.median(values) for values in many_ms.values()])
    per_photo, fixed = np.polyfit(photos, medians, 1, w=1 / medians)
    misses = np.abs(fixed + per_photo * photos - medians)
    rises = bool(per_photo * np.ptp(photos) > FLAT * medians.min())
    poor = bool((misses > POOR * medians).any() or (rises and misses.max() > per_photo))
    return Line(float(fixed), float(per_photo), float(misses.max()), poor, rises)


def request_costs(many_ms: Mapping[int, Sequence[float]]) -> str:
    """Say what a request costs, and each photo in it, and how well a straight line fits.

    Args:
        many_ms: milliseconds of requests by how many photos each holds; at least two sizes.
    """
    fitted_line = line(many_ms)
    text = _costs_say(fitted_line)
    if not fitted_line.splits:
        return f"{text}."
    sizes = min(many_ms), max(many_ms)
    one, other = (
        f"{fitted_line.fixed / (fitted_line.fixed + photos * fitted_line.per_photo):.0%}"
        for photos in sizes
    )
    few, many = map(_photos, sizes)
    text = f"{text}: {one} of a request with {few}, {other} of one with {many}."
    if fitted_line.miss < 0.5:
        return text
    return f"{text} The medians differ from this line by up to {_ms(fitted_line.miss)} ms."


def _costs_say(fitted_line: Line) -> str:
    if fitted_line.poor:
        return f"A straight line fits poorly: it misses a median by {_ms(fitted_line.miss)} ms"
    if not fitted_line.rises:
        return "No cost of a further photo can be measured"
    text = f"About {_ms(fitted_line.per_photo)} ms more for each further photo"
    if not fitted_line.splits:
        return text
    return f"{text}, about {_ms(fitted_line.fixed)} ms for the request itself"


def _ms(value: float) -> str:
    """Milliseconds with one decimal below 100."""
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def _photos(count: int) -> str:
    return f"{count} photo" if count == 1 else f"{count} photos"


def first_request(first_ms: float, later_ms: Sequence[float]) -> str:
    """Two sentences: how slow the first request was, and whether a later one was slower.

    Args:
        first_ms: milliseconds of the endpoint's very first request.
        later_ms: milliseconds of the requests of a later series; at least one.
    """
    later = np.asarray(later_ms, float)
    times, slower = first_ms / np.median(later), int((later > first_ms).sum())
    compared = "about" if times > 1 / SLOW else "less than"
    if times >= SLOW:
        compared = f"{rounded(times)} times"
    text = (
        f"The first request took {first_ms:.0f} ms, {compared} the median of the {len(later)} "
        "timed later."
    )
    if not slower:
        return f"{text} None of the later ones took longer."
    return f"{text} {slower} of the later ones took longer, at most {later.max():.0f} ms."


def _first_says(first: float, later: np.ndarray) -> str:
    """The same in short, for a title."""
    times, slower = first / np.median(later), int((later > first).sum())
    if times < SLOW:
        return "The first request was no slower than the others"
    text = f"The first request took {rounded(times)} times the median"
    return f"{text}; {slower} of {len(later)} later ones took longer" if slower else text


def _series(axis, first: float, later: np.ndarray) -> None:
    middle, slow = np.percentile(later, [50, 95])
    axis.plot(0, first, "o", color=ORANGE, markersize=7)
    axis.plot(np.arange(1, len(later) + 1), later, "o", color=BLUE, markersize=4, alpha=0.7)
    axis.axhline(middle, color=INK, linewidth=1.2)
    axis.axhline(slow, color=INK, linewidth=1.2, linestyle="--")
    end = len(later) + 2
    for height, words in ((middle, "median"), (slow, "95th percentile")):
        side, away = ("top", -3) if height == middle else ("bottom", 3)
        axis.annotate(
            f"{words}\n{height:.3g} ms", (end, height), (0, away), textcoords="offset points",
            va=side, fontsize=9, color=INK,
        )  # fmt: skip
    axis.set_xlim(-2, 1.42 * end)
    axis.set_xticks(range(10, len(later) + 1, 10))
    axis.text(2, first, f"first {first:.3g} ms", va="center", fontsize=9, color=ORANGE)
    axis.set(yscale="log", xlabel="request of the series", ylabel="milliseconds (log scale)")
    low, high = min(first, later.min()), max(first, later.max())
    axis.set_ylim(low / 1.6, high * 1.4)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(value)[0] in "25" else "")
    axis.set_title("\n".join(textwrap.wrap(_first_says(first, later), _TITLE)))


def _sizes(axis, many_ms: Mapping[int, Sequence[float]]) -> None:
    """The median of each size, with the span of its middle half, and the line through them."""
    photos = np.array(list(many_ms), float)
    quartiles = [np.percentile(values, [25, 50, 75]) for values in many_ms.values()]
    low, middle, high = np.transpose(quartiles)
    fit, ends = line(many_ms), np.array([0, photos.max()])
    axis.plot(ends, fit.fixed + fit.per_photo * ends, color=QUIET, linewidth=1.2)
    spread = np.array([middle - low, high - middle])
    axis.errorbar(photos, middle, spread, fmt="o", color=BLUE, capsize=4)
    axis.set(
        xlabel="photos in the request (dot: median, bar: 25th to 75th percentile)",
        ylabel="milliseconds", xlim=(0, None), ylim=(0, None),
    )  # fmt: skip
    axis.set_xticks(list(many_ms))
    axis.set_title("\n".join(textwrap.wrap(_costs_say(fit), _TITLE)))


@in_style
def none_of_these(
    dogs: Sequence[float],
    others: Sequence[float],
    threshold: float,
    examples: Mapping[str, Image.Image],
) -> Figure:
    """How sure the network is of dogs and of other pictures, with the threshold between them.

    Args:
        dogs: the probability of the most likely breed, 0 to 1, for each photo of a dog.
        others: the same for each picture without a dog.
        threshold: pictures below it are answered with "none of these".
        examples: a picture without a dog of each kind, by the kind's name; shown below.

    Raises:
        ValueError: one of the two lists or the examples are empty.
    """
    if not len(dogs) or not len(others) or not examples:
        raise ValueError(
            f"{len(dogs)} dogs, {len(others)} other pictures and {len(examples)} examples: give "
            "some of each"
        )
    figure = plt.figure(figsize=(5.6, 5.2))
    upper, lower = figure.subfigures(2, 1, height_ratios=[3.4, 1])
    axes = upper.subplots(2, 1, sharex=True)
    groups = (("test photos", dogs, GREEN), ("pictures without a dog", others, ORANGE))
    for axis, (name, values, colour) in zip(axes, groups, strict=True):
        axis.hist(values, bins=np.linspace(0, 1, 41), color=colour)
        axis.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
        axis.set(ylabel="pictures", xlim=(0, 1))
        axis.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
        passed = round(passing(values, threshold) * len(values))
        axis.set_title(f"{passed} of {len(values)} {name} pass")
    axes[1].set_xlabel("probability of the most likely breed")
    left = threshold > 0.7
    axes[0].text(
        threshold + (-0.01 if left else 0.01), 0.96, f"threshold {threshold:.3g}", va="top",
        ha="right" if left else "left", fontsize=9, transform=axes[0].get_xaxis_transform(),
    )  # fmt: skip
    shown = np.atleast_1d(lower.subplots(1, len(examples)))
    for axis, (kind, picture) in zip(shown, examples.items(), strict=True):
        axis.imshow(_loaded(picture), interpolation="nearest")
        axis.set_title(kind, fontsize=9, loc="center", pad=3)
        axis.axis("off")
    return figure


def passing(probabilities: Sequence[float], threshold: float) -> float:
    """The share, 0 to 1, of pictures whose probability reaches the threshold."""
    return float(np.mean(np.asarray(probabilities, float) >= threshold))


def refusals_say(answers: pd.DataFrame, threshold: float) -> str:
    """Pictures without a dog: how many are refused, and which kind passes most or comes closest.

    Args:
        answers: a row for each picture; columns `kind` and `probability` (of its most likely
            breed).
        threshold: pictures below it are refused.
    """
    answers = answers.reset_index(drop=True)
    passes = answers["probability"] >= threshold
    text = f"{(~passes).sum()} of {len(passes)} pictures without a dog are refused."
    kinds = passes.groupby(answers["kind"], sort=False).agg(["mean", "sum", "size"])
    if not passes.any():
        closest = answers.loc[answers["probability"].idxmax()]
        return (
            f"{text} A picture of the kind '{closest['kind']}' comes closest to the threshold of "
            f"{threshold:.3g}, with {closest['probability']:.3g}."
        )
    most = kinds[kinds["mean"] == kinds["mean"].max()]
    if len(most) == len(kinds) > 1:
        return f"{text} All kinds pass equally often."
    named = [f"{kind} ({row['sum']:.0f} of {row['size']:.0f})" for kind, row in most.iterrows()]
    who = "The kind that passes" if len(named) == 1 else "The kinds that pass"
    verb = "is" if len(named) == 1 else "are"
    return f"{text} {who} most often {verb} {', '.join(named)}."


def doubts(right: Sequence[bool], kept: Sequence[bool]) -> str:
    """Say how often kept and refused answers are wrong, and whether the difference is noise.

    Args:
        right: whether each answer names the right breed.
        kept: whether the threshold keeps it.

    Raises:
        ValueError: the lists differ in length.
    """
    right, kept = np.asarray(right, bool), np.asarray(kept, bool)
    if len(right) != len(kept):
        raise ValueError(f"{len(right)} answers, but {len(kept)} decisions: give one for each")
    wrong = {
        name: Share(right=int((~right[group]).sum()), photos=int(group.sum()))
        for name, group in (("kept", kept), ("refused", ~kept))
    }
    lines = []
    for name, share in wrong.items():
        rate = f" ({share.accuracy:.0%})" if share.photos else ""
        lines.append(f"{name}: {share.right} of {share.photos} answers are wrong{rate}")
    if not all(share.photos for share in wrong.values()):
        return "\n".join([*lines, "One of the two groups is empty, so they cannot be compared."])
    gap = difference(wrong["refused"], wrong["kept"])
    more = "more" if gap.value >= 0 else "less"
    lines.append(
        f"Refused answers are wrong {more} often, by {100 * abs(gap.value):.0f} percentage points "
        f"(95% interval of the difference {100 * gap.low:+.0f} to {100 * gap.high:+.0f})."
    )
    caught, missed = wrong["refused"].right, wrong["kept"].right
    lines.append(f"The threshold catches {caught} of the {caught + missed} wrong answers.")
    if gap.is_noise:
        lines.append("The interval contains 0: this may be chance.")
    elif gap.value > 0:
        lines.append("The interval does not contain 0: the threshold refuses doubtful answers.")
    else:
        lines.append("The interval does not contain 0: the threshold refuses the better answers.")
    return "\n".join(lines)
