"""The checking cells accept a right answer and meet each plausible slip with its own hint."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sagemaker.core.debugger import CollectionConfig
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

from course import exercises
from course.sample_photos import no_dogs

SIZES = [1_000_000 * n for n in range(1, 21)]  # 210 MB; the largest two are 39, the smallest 3
COUNTS = pd.DataFrame(
    {"train": [50, 40, 60], "valid": [12, 8, 0], "test": [9, 9, 9]}, index=["a", "b", "c"]
)
LINES = [
    "epoch=1 train_loss=2.42 train_accuracy=0.20 valid_loss=2.08 valid_accuracy=0.34 seconds=10.3",
    "epoch=2 train_loss=1.83 train_accuracy=0.37 valid_loss=1.50 valid_accuracy=0.40 seconds=9.24",
    "test_loss=1.6200 test_accuracy=0.3900",
]


def definition(expression):
    return {"Name": "valid_loss", "Regex": expression}


def collection(name="gradients", **parameters):
    return CollectionConfig(name, parameters)


def photo(wide: int = 60, high: int = 40) -> bytes:
    ramp = np.linspace(0, 255, wide * high, dtype=np.uint8).reshape(high, wide)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2)).save(buffer, "JPEG")
    return buffer.getvalue()


def turned(change):
    def turn(body):
        buffer = io.BytesIO()
        change(Image.open(io.BytesIO(body))).save(buffer, "JPEG")
        return buffer.getvalue()

    return turn


def stable(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def naive(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


BODY = photo()
CHECKS = {
    "without_largest_tenth": lambda answer: exercises.without_largest_tenth(answer, SIZES),
    "one_photo": lambda answer: exercises.one_photo(answer, COUNTS),
    "objective": lambda answer: exercises.objective(*answer, LINES),
    "weight_decay": exercises.weight_decay,
    "gradients": exercises.gradients,
    "photos_needed": lambda answer: exercises.photos_needed(answer, 0.8),
    "softmax": exercises.softmax,
    "turned": lambda answer: exercises.turned(answer, BODY),
}
RIGHT = {
    "without_largest_tenth": [171, np.float64(171.0), 171.2],
    "one_photo": [12.5],
    "objective": [
        (definition(r"valid_loss=([0-9.]+)"), "Minimize"),
        (definition(r"\bvalid_loss=(\S+)"), "Minimize"),
    ],
    "weight_decay": [
        ContinuousParameter(1e-4, 1e-1, scaling_type="Logarithmic"),
        ContinuousParameter(1e-6, 1, scaling_type="Logarithmic"),
    ],
    "gradients": [collection(**{"train.save_interval": "20"})],
    "photos_needed": [6147, 6146.56, np.float64(6146)],
    "softmax": [stable],
    "turned": [
        turned(lambda image: image.rotate(90, expand=True)),
        turned(lambda image: image.transpose(Image.Transpose.ROTATE_270)),
    ],
}
WRONG = {
    "without_largest_tenth": [
        (210, "all of them"),
        (39, "the largest tenth itself"),
        (207, "smallest tenth"),
        (189, "all photos have the same size"),
        (171_000_000, "divide by a million"),
        (163.08, "mebibytes"),
        (100, "too small"),
        (300, "too large"),
        (float("nan"), "finite"),
        ("171 MB", "a single number"),
    ],
    "one_photo": [
        (0.125, "a fraction"),
        (5, "for all classes"),
        (2.5, "not on train"),
        (8, "number of photos"),
        (1, "too small"),
        ((1, 2), "a single number"),
    ],
    "objective": [
        ((definition(r"valid_loss=([0-9.]+)"), "Maximize"), "larger loss"),
        ((definition(r"valid_loss=([0-9.]+)"), "minimise"), "either Maximize or Minimize"),
        ((definition(r"loss=([0-9.]+)"), "Minimize"), "finds '2.42' where the validation loss is"),
        ((definition(r"valid_loss=([0-9]+)"), "Minimize"), "finds '2' where"),
        ((definition(r"(valid|test)_loss=([0-9.]+)"), "Minimize"), "2 groups"),
        ((definition(r"valid_loss=[0-9.]+"), "Minimize"), "0 groups"),
        ((definition(r"valid_loss: ([0-9.]+)"), "Minimize"), "finds nothing in this line"),
        ((definition(r"(?:valid|test)_loss=([0-9.]+)"), "Minimize"), "without a validation loss"),
        ((definition(r"valid_loss=([0-9.]+"), "Minimize"), "not a regular expression"),
        ((definition(rf"valid_loss=([0-9.]+)|{'x' * 500}"), "Minimize"), "500 characters"),
        ((r"valid_loss=([0-9.]+)", "Minimize"), 'a dict with "Name"'),
    ],
    "weight_decay": [
        (ContinuousParameter(1e-4, 1e-1), "Which scale gives every power"),
        (ContinuousParameter(0, 1e-1, scaling_type="Logarithmic"), "has no zero"),
        (ContinuousParameter(0.1, 10, scaling_type="Logarithmic"), "0.01, lies outside"),
        (ContinuousParameter(1e-4, 10, scaling_type="Logarithmic"), "above 1"),
        (ContinuousParameter(0.005, 0.05, scaling_type="Logarithmic"), "a factor of 100"),
        (IntegerParameter(1, 10), "not a whole number"),
        (CategoricalParameter(["0.01", "0.1"]), "not a list of values"),
        (0.01, "Answer with a ContinuousParameter"),
    ],
    "gradients": [
        (collection("gradient", **{"train.save_interval": "20"}), "plurals"),
        (collection(**{"save_interval": "20"}), "also holds in evaluation"),
        (collection(**{"train.save_interval": "3"}), "every 3 steps"),
        (collection(**{"train.save_interval": 20}), "in quotes"),
        (collection(**{"train.save_interval": "20", "eval.save_interval": "20"}), "alone"),
        (collection(**{"train.save_steps": "20"}), "lists single steps"),
        (collection(), "Which parameter"),
        ("gradients", "CollectionConfig is asked for"),
    ],
    "photos_needed": [
        (1537, "two points"),
        (0.6147, "0.01, not 1"),
        (1600, "one standard error"),
        (78.4, "under the root"),
        (31.36, "Square"),
        (9604, "accuracy of 50%"),
        (90_000, "too large"),
        ("many", "a single number"),
    ],
    "softmax": [
        (naive, "overflow"),
        (np.exp, "do not add up to 1 for a photo"),
        (lambda logits: np.exp(logits) / np.exp(logits).sum(), "over all photos"),
        (lambda logits: np.exp(logits) / np.exp(logits).sum(axis=0), "other axis"),
        (lambda logits: np.log(stable(logits)), "log-probabilities"),
        (lambda logits: stable(logits)[0], "Shape"),
        (lambda logits: logits / 3, "For the logits 2, 1, 0 it gives"),
        (lambda logits: logits / 0 if len(logits) > 9 else logits.nothing, "AttributeError"),
    ],
    "turned": [
        (turned(lambda image: image), "as it was"),
        (turned(lambda image: image.rotate(180)), "upside down"),
        (turned(lambda image: image.rotate(90)), "expand=True"),
        (turned(lambda image: image.resize((40, 60))), "not that of the photo"),
        (lambda body: Image.open(io.BytesIO(body)).rotate(90, expand=True), "Save it to a buffer"),
        (lambda body: np.rot90(np.asarray(Image.open(io.BytesIO(body)))), "see getvalue"),
        (lambda body: Image.open(io.BytesIO(body)).tobytes(), "no image file"),
        (lambda body: body.rotate(90), "AttributeError"),
    ],
}
UNANSWERED = {
    "without_largest_tenth": ...,
    "one_photo": ...,
    "objective": (definition(...), ...),
    "weight_decay": ...,
    "gradients": ...,
    "photos_needed": ...,
    "softmax": lambda logits: ...,
    "turned": lambda body: ...,
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_right_answer_is_accepted(name):
    for answer in RIGHT[name]:
        verdict = CHECKS[name](answer)
        assert verdict.right is True, (answer, verdict)
        assert repr(verdict).startswith("✓ ")


@pytest.mark.parametrize("name", CHECKS)
def test_each_slip_gets_its_own_hint(name):
    assert len(WRONG[name]) >= 3
    for answer, hint in WRONG[name]:
        verdict = CHECKS[name](answer)
        assert verdict.right is False, answer
        assert hint in verdict.text, (answer, verdict)
        assert repr(verdict).startswith("✗ Not yet. ")


@pytest.mark.parametrize("name", CHECKS)
def test_the_three_dots_are_neither_right_nor_wrong(name):
    verdict = CHECKS[name](UNANSWERED[name])
    assert verdict.right is None
    assert not verdict


@pytest.mark.parametrize("turn", RIGHT["turned"])
def test_a_square_photo_may_be_turned_too(turn):
    assert exercises.turned(turn, photo(50, 50)).right is True


@pytest.mark.parametrize("kind", [*no_dogs.KINDS, "shuffled"])
def test_a_picture_of_anything_may_be_turned(kind):
    [body] = no_dogs.jpegs(1, photos=[photo(320, 240)])[kind]
    for turn in RIGHT["turned"]:
        assert exercises.turned(turn, body).right is True
    if kind == "plain":  # looks the same from all sides
        return
    for turn, hint in WRONG["turned"][:4]:
        assert hint in exercises.turned(turn, body).text
    mirrored = turned(lambda image: image.transpose(Image.Transpose.TRANSPOSE))
    assert exercises.turned(mirrored, body).right is False


@pytest.mark.parametrize("half", [(definition(...), "Minimize"), (definition(r"x(.)"), ...)])
def test_half_an_answer_is_no_answer(half):
    assert exercises.objective(*half, LINES).right is None


def test_a_verdict_is_shown_as_text_and_as_markup():
    verdict = exercises.Verdict(False, "a < b")
    assert repr(verdict) == "✗ Not yet. a < b"
    assert "a &lt; b" in verdict._repr_html_()


def test_at_the_ends_the_textbooks_interval_is_called_no_use():
    assert "no use" in exercises.photos_needed(0, 1.0).text
