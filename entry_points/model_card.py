"""The model card: what a reader should know about a model before using it."""

import statistics
from collections.abc import Iterable
from typing import Any

from preprocess import breed

SHOWN = 5  # how many of the best breeds, the worst breeds and the damaged photos the card lists


def model_card(scores: dict[str, Any], about: dict[str, Any]) -> str:
    """Return a model card as Markdown, after Mitchell et al., Model Cards for Model Reporting.

    `scores` is what `score` returns. `about` has the keys `architecture`, `precision` and `weights`
    (text), `image_size` (pixels), `hyperparameters`, `photos` (the number in each channel),
    `damaged` (the names of photos that could not be read) and `metrics`: those of the epoch whose
    weights were kept, `epoch` (its number) included.
    """
    size = about["image_size"]
    return f"""\
# Model card: {about["architecture"]} for {scores["classes"]} breeds

Given a photo of a dog, this network predicts its breed.
It was made in a course, for learning, and has not been evaluated for any other use.

## Data

{_table(["channel", "photos"], about["photos"].items())}

{_damaged(about["damaged"])}

## Network

{about["architecture"]} takes the center of a photo, {size} x {size} pixels.
Its initial weights: {about["weights"]}.
It was validated in {about["precision"]}.
It is served in {about["precision"]} if the processor supports that, otherwise in fp32.

## Training

{_table(["hyperparameter", "value"], sorted(about["hyperparameters"].items()))}

Epoch {about["metrics"]["epoch"]}, whose weights were kept:

{_table(["metric", "value"], about["metrics"].items())}

## Results

{_results(scores)}

## Breeds

{_best_and_worst(scores)}

## Most confused

{_most_confused(scores)}

## Limits

{_limits(scores)}
"""


def _damaged(names: list[str]) -> str:
    if not names:
        return "No photo was damaged."
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    listed = ", ".join(f"`{name}`" for name in names[:SHOWN])
    return f"These photos are damaged and were left out: {listed}{more}."


def _results(scores: dict[str, Any]) -> str:
    k = min(5, scores["classes"])
    rows = [("the most likely breed is right", *_numbers(scores["top1"]))]
    if k > 1:
        rows.append((f"the right breed is among the {k} most likely", *_numbers(scores[f"top{k}"])))
    text = f"""{_table(["on the test photos", "photos", "share", "95 % interval"], rows)}

Random guessing reaches {scores["chance"]:.1%}.
The intervals are Wilson score intervals: if the test were repeated with other photos of the same
kind, about 95 of 100 such intervals would contain the true share.

The macro F1 score is {scores["macro_f1"]:.4f}.
It is the mean over the breeds of the harmonic mean of precision and recall.
Breeds without test photos are left out."""
    if not scores["unanswered"]:
        return text
    lost = f"{scores['unanswered']} of {scores['photos']} photos got no answer"
    return f"{text}\n\n**{lost}**: the network's output was not finite. They count as wrong."


def _best_and_worst(scores: dict[str, Any]) -> str:
    tested = [each for each in scores["breeds"] if each["photos"]]
    tested.sort(key=lambda each: (each["accuracy"], -each["photos"], each["breed"]))
    header = ["breed", "photos right", "share", "95 % interval"]
    rows = [(breed(each["breed"]), *_numbers(each)) for each in tested]
    if len(rows) <= 2 * SHOWN:
        return f"From the worst to the best:\n\n{_table(header, rows)}"
    worst, best = _table(header, rows[:SHOWN]), _table(header, rows[: -SHOWN - 1 : -1])
    return f"The worst:\n\n{worst}\n\nThe best:\n\n{best}"


def _most_confused(scores: dict[str, Any]) -> str:
    if not scores["confused"]:
        return "No test photo was taken for another breed."
    rows = []
    for pair in scores["confused"]:
        examples = ", ".join(f"`{file}`" for file in pair["examples"])
        names = (breed(pair["true"]), breed(pair["predicted"]))
        rows.append((*names, pair["photos"], f"{pair['share']:.0%}", examples))
    header = ["breed", "predicted as", "photos", "share of the breed's photos", "examples"]
    return f"{_table(header, rows)}\n\n![The confusion matrix](confusion.png)"


def _limits(scores: dict[str, Any]) -> str:
    photos = statistics.median(each["photos"] for each in scores["breeds"])
    chance = scores["top1"]["low"] <= scores["chance"]
    warning = "- **This test does not show that the network is better than guessing.**\n"
    return f"""{warning if chance else ""}\
- The network cannot say "none of these". Whatever the photo shows, such as a cat or another breed,
  it answers with one of its {scores["classes"]} breeds, possibly with a high probability.
- The probabilities come from a softmax. Nobody has checked how often the network is right when it
  says 90 %.
- The median number of test photos per breed is {photos:g}: one more right photo changes the share
  by {1 / max(photos, 1):.0%}. Two breeds whose intervals overlap widely may be equally good.
- The test photos come from the same collection as the training photos. The network may do worse
  with other cameras, other light or puppies."""


def _numbers(share: dict[str, Any]) -> tuple[str, str, str]:
    low, high = f"{share['low']:.1%}", f"{share['high']:.1%}"
    return f"{share['right']} of {share['photos']}", f"{share['accuracy']:.1%}", f"{low} to {high}"


def _table(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
