"""What a test says about a classifier, in numbers: shares with intervals, breeds, mix-ups."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Z = 1.959963984540054  # the normal distribution's quantile at 0.975: 95 % lie within it
PAIRS, EXAMPLES = 10, 3
NOBODY = -1  # the prediction for a photo whose logits are no numbers


@dataclass(frozen=True)
class Tested:
    """What a network said to N photos.

    `files` are their paths in the channel ("001.Affenpinscher/x.jpg"), `labels` (N,) int64 their
    classes, `logits` (N, classes) the answers. Raises ValueError unless there are as many of each.
    """

    files: list[str]
    labels: np.ndarray
    logits: np.ndarray

    def __post_init__(self) -> None:
        lengths = (len(self.files), len(self.labels), len(self.logits))
        if len(set(lengths)) > 1 or self.logits.ndim != 2:
            raise ValueError(
                f"{lengths[0]} files, {lengths[1]} labels and logits of shape {self.logits.shape}: "
                "give one label and one row of logits for each file"
            )


def wilson(right: int, photos: int) -> tuple[float, float]:
    """The 95 % interval of a share, of which `right` out of `photos` were found; both in 0..1.

    (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n), for p = right / n and z = 1.96: E. B.
    Wilson, Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association 22 (1927), 209-212. Unlike p ± 1.96 √(p (1 - p) / n) it
    holds for few photos, and for shares of 0 and 1. Raises ValueError unless 0 <= right <= photos
    and there is a photo.
    """
    if not 0 <= right <= photos or photos == 0:
        raise ValueError(f"{right} of {photos} photos is no share; is there a photo at all?")
    share, square = right / photos, Z**2 / photos
    middle = share + square / 2
    reach = Z * math.sqrt(share * (1 - share) / photos + square / (4 * photos))
    low, high = ((middle + side * reach) / (1 + square) for side in (-1, 1))
    # Rounding would leave 0 at 1e-17, and 1 just beside it.
    return (0.0 if right == 0 else low), (1.0 if right == photos else high)


def answers(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest class of each row of (N, classes) logits, and its probability; both (N,).

    A row with a value that is no finite number has no answer: `NOBODY`, with NaN.
    """
    known = np.isfinite(logits).all(axis=1)
    shifted = np.where(known[:, None], logits, 0).astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    highest = 1 / np.exp(shifted).sum(axis=1)  # the highest of the softmax: its exponent is 0
    return np.where(known, shifted.argmax(axis=1), NOBODY), np.where(known, highest, np.nan)


def confusion(tested: Tested) -> np.ndarray:
    """How many photos of class i were taken for class j, as (classes, classes) int64.

    Photos without an answer are in no column.
    """
    predicted, _ = answers(tested.logits)
    known = predicted != NOBODY
    counts = np.zeros((tested.logits.shape[1],) * 2, dtype=np.int64)
    np.add.at(counts, (tested.labels[known], predicted[known]), 1)
    return counts


def scored(tested: Tested, class_names: list[str]) -> dict[str, Any]:
    """All that `test.json` says; shares are in 0..1, and lists are in the order of the classes.

    `top5` counts a photo as right when its class is among the five likeliest; of k < 5 classes it
    is called `top<k>`. Photos without an answer count as wrong. Raises ValueError without photos,
    or if the logits are not for as many classes as there are names.
    """
    photos, classes = tested.logits.shape
    if not photos:
        raise ValueError("no test photo could be read: there is nothing to score")
    if classes != len(class_names):
        raise ValueError(f"logits for {classes} classes, and {len(class_names)} class names")
    k = min(5, classes)
    return {
        "photos": photos,
        "classes": classes,
        "chance": 1 / classes,
        "loss": _cross_entropy(tested),
        "interval": "Wilson's, 95 %",
        "top1": _share(_right(tested, 1), photos),
        f"top{k}": _share(_right(tested, k), photos),
        "unanswered": int((answers(tested.logits)[0] == NOBODY).sum()),
        "breeds": _breeds(tested, class_names),
        "confused": _confused(tested, class_names),
    }


def _cross_entropy(tested: Tested) -> float | None:
    """The mean over the photos, in nats; None if a logit is no number."""
    with np.errstate(invalid="ignore"):
        # Before the exponential, the largest is taken off, which would overflow.
        logits = tested.logits.astype(np.float64)
        logits = logits - logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -float(logs[np.arange(len(logs)), tested.labels].mean())
    return loss if math.isfinite(loss) else None


def _right(tested: Tested, k: int) -> int:
    """How many photos' classes are among the k likeliest; of equal ones, the first as argmax."""
    known = np.isfinite(tested.logits).all(axis=1)
    first = np.argsort(-tested.logits, axis=1, kind="stable")[:, :k]
    return int(((first == tested.labels[:, None]).any(axis=1) & known).sum())


def _share(right: int, photos: int) -> dict[str, Any]:
    if not photos:  # all photos of a breed may be damaged
        return {"right": 0, "photos": 0, "accuracy": None, "low": None, "high": None}
    low, high = wilson(right, photos)
    return {
        "right": right, "photos": photos, "accuracy": right / photos, "low": low, "high": high,
    }  # fmt: skip


def _breeds(tested: Tested, class_names: list[str]) -> list[dict[str, Any]]:
    right = np.diag(confusion(tested))
    photos = np.bincount(tested.labels, minlength=len(class_names))
    return [
        {"breed": name, **_share(int(right[i]), int(photos[i]))}
        for i, name in enumerate(class_names)
    ]


def _confused(tested: Tested, class_names: list[str]) -> list[dict[str, Any]]:
    """The pairs with the most photos; of equal ones, those which are more of their breed."""
    counts = confusion(tested)
    photos = np.bincount(tested.labels, minlength=len(class_names))
    pairs = [(i, j) for i, j in np.argwhere(counts).tolist() if i != j]
    pairs.sort(key=lambda pair: (-counts[pair], photos[pair[0]], pair))
    return [
        {
            "true": class_names[i],
            "predicted": class_names[j],
            "photos": int(counts[i, j]),
            "share": float(counts[i, j] / photos[i]),
            "examples": _examples(tested, i, j),
        }
        for i, j in pairs[:PAIRS]
    ]


def _examples(tested: Tested, true: int, taken: int) -> list[str]:
    """Photos of one class taken for another, those first of which the network was surest."""
    predicted, probability = answers(tested.logits)
    found = np.flatnonzero((tested.labels == true) & (predicted == taken))
    surest = found[np.argsort(-probability[found], kind="stable")]
    return [tested.files[index] for index in surest[:EXAMPLES]]
