"""What an endpoint answered, how long it took, and how sure it was."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
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


@in_style
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
        axis.text(0, row - 0.24, short(name, 27), fontsize=8, va="bottom", weight=weight)
        axis.text(1, row - 0.24, f"{probability:.0%}", fontsize=8, va="bottom", ha="right")
    axis.set(xlim=(0, 1), ylim=(4.4, -0.8))


@in_style
def latency(first_ms: float, later_ms: Sequence[float], many_ms: Mapping[int, float]) -> Figure:
    """How long requests take: each one of a series, and by the number of photos they carry.

    Args:
        first_ms: milliseconds of the endpoint's very first request.
        later_ms: milliseconds of the requests after it, in their order, each with one photo.
        many_ms: milliseconds of a request by how many photos it holds; at least two sizes.

    Raises:
        ValueError: no later request, or fewer than two sizes.
    """
    if not len(later_ms) or len(many_ms) < 2:
        raise ValueError("give at least one later request, and requests of two different sizes")
    figure, (series, sizes) = plt.subplots(2, 1, figsize=(5.6, 5.8))
    _series(series, first_ms, np.asarray(later_ms, float))
    _sizes(sizes, *fixed_and_per_photo(many_ms), many_ms)
    return figure


def fixed_and_per_photo(many_ms: Mapping[int, float]) -> tuple[float, float]:
    """Milliseconds that any request takes, and those that each photo adds: a straight line's fit.

    Args:
        many_ms: milliseconds of a request by how many photos it holds.
    """
    per_photo, fixed = np.polyfit(list(many_ms), list(many_ms.values()), 1)
    return float(fixed), float(per_photo)


def _series(axis, first: float, later: np.ndarray) -> None:
    middle, slow = np.percentile(later, [50, 95])
    axis.plot(1, first, "o", color=ORANGE, markersize=7)
    axis.plot(np.arange(2, len(later) + 2), later, "o", color=BLUE, markersize=4, alpha=0.7)
    axis.axhline(middle, color=INK, linewidth=1.2)
    axis.axhline(slow, color=INK, linewidth=1.2, linestyle="--")
    end = len(later) + 3
    for height, words in ((middle, "median"), (slow, "95th percentile")):
        side = "top" if height == middle else "bottom"
        axis.text(end, height, f"{words}\n{height:.3g} ms", va=side, fontsize=9, color=INK)
    axis.set_xlim(-1, 1.42 * end)
    axis.set_xticks(range(0, len(later) + 2, 10))
    axis.text(3, first, f"first {first:.3g} ms", va="center", fontsize=9, color=ORANGE)
    axis.set(yscale="log", xlabel="request", ylabel="milliseconds (log scale)")
    low, high = min(first, later.min()), max(first, later.max())
    axis.set_ylim(low / 1.6, high * 1.4)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(value)[0] in "25" else "")
    times = first / middle
    word = f"The first request took {rounded(times)} times the median"
    if times < 1.1:
        word = "The first request was no slower than the others"
    axis.set_title(word)


def _sizes(axis, fixed: float, per_photo: float, many_ms: Mapping[int, float]) -> None:
    photos = np.array(list(many_ms), float)
    line = np.array([0, photos.max()])
    axis.plot(photos, list(many_ms.values()), "o", color=BLUE)
    axis.plot(line, fixed + per_photo * line, color=QUIET, linewidth=1.2)
    axis.set(xlabel="photos in the request", ylabel="milliseconds", xlim=(0, None), ylim=(0, None))
    axis.set_xticks(list(many_ms))
    base = f"{fixed:.2g} ms" if fixed > 0 else "nothing measurable"
    axis.set_title(f"A request costs {base}, and {per_photo:.2g} ms for each photo")


@in_style
def none_of_these(
    dogs: Sequence[float],
    others: Sequence[float],
    threshold: float,
    examples: Mapping[str, Image.Image],
) -> Figure:
    """How sure the network is of dogs and of other pictures, with the threshold between them.

    Args:
        dogs: the probability of the likeliest breed, 0 to 1, for each photo of a dog.
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
    groups = (("photos of dogs", dogs, GREEN), ("pictures without a dog", others, ORANGE))
    for axis, (name, values, colour) in zip(axes, groups, strict=True):
        axis.hist(values, bins=np.linspace(0, 1, 41), color=colour)
        axis.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
        axis.set(ylabel="pictures", xlim=(0, 1))
        passed = round(passing(values, threshold) * len(values))
        axis.set_title(f"{passed} of {len(values)} {name} pass")
    axes[1].set_xlabel("probability of the likeliest breed")
    left = threshold > 0.7
    axes[0].text(
        threshold + (-0.01 if left else 0.01), 0.96, f"threshold {threshold:.2f}", va="top",
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
