"""What an endpoint answered."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from course import dataset
from course.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    fitted,
    in_style,
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
