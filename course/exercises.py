"""The checking cells of the notebooks' exercises: right, not yet (with a hint), or not answered.

Each function takes the reader's answer and what it is to be judged by, and returns a `Verdict`.
None raises for a wrong answer: a notebook with unsolved exercises runs from top to bottom.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

MAX_REGEX = 500  # characters, of a metric's regular expression (SageMaker's limit)


@dataclass(frozen=True, repr=False)
class Verdict:
    """Whether an answer is right (None: there is none yet), and what to say about it."""

    right: bool | None
    text: str

    def __bool__(self) -> bool:
        return bool(self.right)

    def __repr__(self) -> str:
        return {True: "✓ ", False: "✗ Not yet. ", None: "… "}[self.right] + self.text

    def _repr_html_(self) -> str:
        colour = {True: "#00664B", False: "#9C4300", None: "#555555"}[self.right]
        return f"<p style='color:{colour}'>{escape(repr(self))}</p>"


UNANSWERED = Verdict(
    None, "Not answered yet: put your answer in place of the three dots, and run the cell again."
)


def _right(text: str) -> Verdict:
    return Verdict(True, text)


def _wrong(text: str) -> Verdict:
    return Verdict(False, text)


def _number(answer: Any) -> float | Verdict:
    """The answer as a number, or what is to be said if it is none."""
    if answer is ...:
        return UNANSWERED
    try:
        value = float(answer)
    except (TypeError, ValueError):
        return _wrong(f"This is a {type(answer).__name__}; a single number is asked for.")
    return value if math.isfinite(value) else _wrong("A finite number is asked for.")


def _judged(answer: Any, right: float, praise: str, slips: Mapping[float, str]) -> Verdict:
    """Judge a number: right within 0.5 %, else the hint of the slip that leads to it."""
    value = _number(answer)
    if isinstance(value, Verdict):
        return value
    if math.isclose(value, right, rel_tol=0.005):
        return _right(praise)
    for wrong, hint in slips.items():
        if math.isclose(value, wrong, rel_tol=0.005):
            return _wrong(hint)
    return _wrong("It is too large." if value > right else "It is too small.")


# ------------------------------------------------------------------------------------- notebook 01


def without_largest_tenth(megabytes: Any, sizes: Iterable[int]) -> Verdict:
    """Exercise 1.1: the upload's size without the largest tenth of the photos.

    Args:
        megabytes: the answer, in units of a million bytes.
        sizes: bytes of each photo in the bucket.
    """
    ordered = sorted(int(size) for size in sizes)
    tenth = len(ordered) // 10
    total, kept = sum(ordered) / 1e6, sum(ordered[: len(ordered) - tenth]) / 1e6
    return _judged(
        megabytes,
        kept,
        f"The largest tenth of the photos has {1 - kept / total:.0%} of the bytes.",
        {
            total: "This is all of them. Sort by size and leave out the largest tenth.",
            total - kept: "This is the largest tenth itself. What is left without it?",
            sum(ordered[tenth:]) / 1e6: "This leaves out the smallest tenth. Sort the other way.",
            total * 0.9: "This assumes that all photos have the same size.",
            kept * 1e6: "These are bytes: divide by a million.",
            kept * 1e6 / 2**20: "These are mebibytes (2²⁰ bytes): divide by 10⁶.",
        },
    )


def one_photo(points: Any, counts: pd.DataFrame) -> Verdict:
    """Exercise 1.2: how far one photo moves the measured accuracy of the smallest class.

    Args:
        points: the answer, in percentage points.
        counts: photos of each class (rows) in `train`, `valid` and `test` (columns), as
            `dataset.Report.table` gives them.
    """
    valid = [int(count) for count in counts["valid"] if count]
    fewest = min(valid)
    return _judged(
        points,
        100 / fewest,
        f"With n = {fewest}, this class's accuracy can only move in steps of that size.",
        {
            1 / fewest: "This is a fraction; a percentage point is a hundredth.",
            100 / sum(valid): "This is for all classes together; the question is about one class.",
            100 / max(1, min(counts["train"])): "Accuracy is measured on valid, not on train.",
            float(fewest): "This is the number of photos. What share of them is one photo?",
        },
    )


# ------------------------------------------------------------------------------------- notebook 02


def objective(definition: Any, objective_type: Any, lines: Sequence[str]) -> Verdict:
    """Exercise 2.1: a tuning job's objective that is the validation loss.

    Args:
        definition: the answer, ``{"Name": ..., "Regex": ...}``.
        objective_type: the answer, ``Maximize`` or ``Minimize``.
        lines: log lines of a job of `train.py`, each with its ``valid_loss=``.
    """
    if objective_type is ... or definition is ...:
        return UNANSWERED
    if not isinstance(definition, Mapping) or {"Name", "Regex"} - set(definition):
        return _wrong('The definition is a dict with "Name" and "Regex", as in section 2.6.')
    if ... in definition.values():
        return UNANSWERED
    hint = _regex_hint(definition["Regex"], lines)
    if hint:
        return _wrong(hint)
    if objective_type == "Maximize":
        return _wrong("The expression is right. But is a larger loss better?")
    if objective_type != "Minimize":
        return _wrong("The expression is right; the type is either Maximize or Minimize.")
    return _right("Unlike accuracy, the loss also counts how sure the network was of each answer.")


def _regex_hint(expression: Any, lines: Sequence[str]) -> str:
    """What is wrong with an expression for the validation loss; empty if nothing."""
    try:
        compiled = re.compile(expression)
    except (re.error, TypeError) as error:
        return f"This is not a regular expression: {error}."
    if len(expression) > MAX_REGEX:
        return f"SageMaker takes at most {MAX_REGEX} characters."
    if compiled.groups != 1:
        return f"It has {compiled.groups} groups. It needs exactly one, in parentheses: the value."
    for line in lines:
        wanted = re.search(r"\bvalid_loss=(\S+)", line)
        found = compiled.search(line)
        if found is None and wanted:
            return f"It finds nothing in this line: {line}"
        if found and not wanted:
            return f"It finds something in a line without a validation loss: {line}"
        if found and found[1] != wanted[1]:
            return f"It finds '{found[1]}' where the validation loss is {wanted[1]}: {line}"
    return ""


def weight_decay(parameter: Any) -> Verdict:
    """Exercise 2.2: a sensible range for AdamW's weight decay.

    Sensible here: a logarithmic scale, two decades or more, PyTorch's default of 0.01 inside
    (`torch.optim.AdamW`), and no value that shrinks the weights by more than the steps can grow
    them: up to 1.
    """
    if parameter is ...:
        return UNANSWERED
    if not all(hasattr(parameter, name) for name in ("min_value", "max_value", "scaling_type")):
        return _wrong("Answer with a ContinuousParameter: a range, not a list of values.")
    if type(parameter).__name__ != "ContinuousParameter":
        return _wrong("Weight decay is not a whole number: use a ContinuousParameter.")
    low, high = float(parameter.min_value), float(parameter.max_value)
    if low <= 0:
        return _wrong("A logarithmic scale has no zero: start at a small positive value.")
    if parameter.scaling_type != "Logarithmic":
        return _wrong(
            "On this scale, nearly all tries are of the order of the highest value. Which scale "
            "gives every power of ten the same number of tries?"
        )
    if not low < 0.01 < high:
        return _wrong("PyTorch's default, 0.01, lies outside: the search could never find it.")
    if high > 1:
        return _wrong("Values above 1 pull the weights towards zero faster than they can learn.")
    if high / low < 100:
        return _wrong("That is less than a factor of 100. Nobody knows the right value so exactly.")
    return _right(f"The range spans a factor of {high / low:,.0f}, with the default inside.")


# ------------------------------------------------------------------------------------- notebook 03


def gradients(collection: Any) -> Verdict:
    """Exercise 3.1: Debugger's collection that saves the gradients every 20 training steps.

    Args:
        collection: the answer, a `CollectionConfig`.
    """
    if collection is ...:
        return UNANSWERED
    name, given = getattr(collection, "name", None), getattr(collection, "parameters", None)
    if not isinstance(name, str):
        return _wrong("A CollectionConfig is asked for, as in section 3.3.")
    if name != "gradients":
        return _wrong(f"smdebug has no built-in collection '{name}'. Their names are plurals.")
    parameters = dict(given) if isinstance(given, Mapping) else {}
    if parameters == {"train.save_interval": "20"}:
        return _right("Gradients take as much space as the weights, so 20 steps apart is often.")
    if parameters == {"train.save_interval": 20}:
        return _wrong("The API takes strings only: put the number in quotes.")
    if "save_interval" in parameters:
        return _wrong("Without `train.` in front, the interval also holds in evaluation.")
    if "train.save_steps" in parameters:
        return _wrong("`save_steps` lists single steps. An interval is asked for.")
    if "train.save_interval" in parameters:
        wrong = parameters["train.save_interval"]
        more = "" if str(wrong) == "20" else f" This saves every {wrong} steps, not every 20."
        return _wrong(f"Give `train.save_interval` alone, with the value 20.{more}")
    return _wrong("Which parameter says how many training steps lie between two saves?")


def photos_needed(photos: Any, accuracy: float) -> Verdict:
    """Exercise 3.2: how many test photos give an accuracy to within one percentage point.

    The normal approximation of a binomial share: n = p · (1 - p) · (1.96 / 0.01)².

    Args:
        photos: the answer.
        accuracy: the measured share of right answers, 0 to 1.
    """
    spread = accuracy * (1 - accuracy)
    right = spread * 196**2
    praise = (
        f"{accuracy:.1%} is known to within 1 point from {math.ceil(right):,} photos on. "
        "Half that width takes four times as many."
    )
    if not spread:
        praise = f"At {accuracy:.0%} the formula gives 0, and is no use. Wilson's interval is."
    return _judged(
        photos,
        right,
        praise,
        {
            spread * 98**2: "This is for two points on either side. One point is 0.01.",
            spread * 1.96**2: "A percentage point is 0.01, not 1.",
            spread * 100**2: "This is for one standard error. 95% need 1.96 of them.",
            math.sqrt(spread) * 196: "Square this: n is under the root.",
            spread * 196: "Square 1.96 / 0.01, too.",
            0.25 * 196**2: "This holds for an accuracy of 50%. Use the network's own.",
        },
    )


# ------------------------------------------------------------------------------------- notebook 04


def softmax(function: Callable) -> Verdict:
    """Exercise 4.1: a function from logits (photos, classes) to probabilities of the same shape."""
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    try:
        answer = function(logits.copy())
        if answer is None or answer is ...:
            return UNANSWERED
        with np.errstate(all="ignore"):
            large = np.asarray(function(logits + 1000.0), dtype=float)
    except Exception as error:  # the reader's code may fail in any way
        return _wrong(f"It fails with {type(error).__name__}: {error}")
    return _judged_softmax(np.asarray(answer, dtype=float), large, logits)


def _judged_softmax(answer: np.ndarray, large: np.ndarray, logits: np.ndarray) -> Verdict:
    powers = np.exp(logits)
    right = powers / powers.sum(axis=1, keepdims=True)
    if answer.shape != logits.shape:
        return _wrong(f"Shape {answer.shape} for logits of shape {logits.shape}: keep it.")
    if np.allclose(answer, np.log(right)):
        return _wrong("These are log-probabilities: take their exponential.")
    if np.allclose(answer, powers):
        return _wrong("The powers are right, but they do not add up to 1 for a photo.")
    if np.allclose(answer, powers / powers.sum()):
        return _wrong("It adds up to 1 over all photos; each photo, each row, must add up to 1.")
    if np.allclose(answer, powers / powers.sum(axis=0)):
        return _wrong("Each class adds up to 1, not each photo: sum along the other axis.")
    if not np.allclose(answer, right):
        return _wrong(f"For the logits 2, 1, 0 it gives {np.round(answer[0], 3)}.")
    if not np.allclose(large, right):
        return _wrong("Logits around 1000 overflow: subtract each row's largest one first.")
    return _right("It adds up to 1 for each photo, and large logits do not overflow.")


def turned(function: Callable, photo: bytes) -> Verdict:
    """Exercise 4.2: a function from a JPEG's bytes to those of the photo turned by 90°."""
    try:
        answer = function(photo)
    except Exception as error:  # the reader's code may fail in any way
        return _wrong(f"It fails with {type(error).__name__}: {error}")
    if answer is None or answer is ...:
        return UNANSWERED
    if isinstance(answer, Image.Image):
        return _wrong("This is an image in memory: an endpoint takes bytes. Save it to a buffer.")
    if not isinstance(answer, bytes):
        return _wrong(f"This is a {type(answer).__name__}; bytes are asked for: see getvalue().")
    try:
        found = Image.open(io.BytesIO(answer)).convert("RGB")
    except OSError:
        return _wrong("These bytes are no image file: `save` writes one, `tobytes` bare pixels.")
    return _judged_turn(found, Image.open(io.BytesIO(photo)).convert("RGB"))


def _judged_turn(found: Image.Image, photo: Image.Image) -> Verdict:
    way = _way(found, photo)
    if way in QUARTER_TURNS:
        return _right("Send it with ask(turned(photos[0])): is the network as sure as before?")
    if way is Image.Transpose.ROTATE_180:
        return _wrong("That is upside down: 90° are asked for.")
    if way is None:
        return _wrong("It is the photo as it was: `rotate` and `transpose` return a new image.")
    if found.size == photo.size:
        return _wrong("Width and height are the old ones: corners were cut. See expand=True.")
    return _wrong("The picture's content is not that of the photo, turned.")


QUARTER_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
_WAYS = (*QUARTER_TURNS, None, *(way for way in Image.Transpose if way not in QUARTER_TURNS))


def _way(found: Image.Image, photo: Image.Image) -> Image.Transpose | str | None:
    """How the photo has been turned or mirrored; None: not at all, "other": it is another picture.

    Squares of 8 x 8 pixels are compared by their means, since JPEG keeps little more of noise: the
    way with the smallest difference is it, unless that is over 8 of 255 levels.
    """
    distances = {}
    for way in _WAYS:
        turned_photo = photo if way is None else photo.transpose(way)
        if turned_photo.size == found.size:
            pair = (np.asarray(each.reduce(8), dtype=float) for each in (found, turned_photo))
            distances[way] = float(np.abs(np.subtract(*pair)).mean())
    nearest = min(distances, key=distances.get, default=None)
    return nearest if distances and distances[nearest] < 8 else "other"
