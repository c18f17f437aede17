"""What a run reports: printed lines, and result files in the job's `output/data` folder.

    history.jsonl    the metrics of each epoch, one line per epoch; rewritten after every epoch
    test.json        the test metrics with intervals, per breed, and the most confused pairs
    predictions.csv  one line per test photo: file, label, predicted, probability of the prediction
    confusion.png    the confusion matrix
    model-card.md    a description of the model, its training and its results

JSON has no NaN or infinity: such values are written as null.
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from distributed import print_once
from model_card import model_card
from preprocess import breed

# scikit-learn, scipy.stats and matplotlib take three seconds to import. Jobs without a test channel
# do not need them, so they are imported in the functions that use them.

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

HISTORY, TEST, PREDICTIONS = "history.jsonl", "test.json", "predictions.csv"
PICTURE, CARD = "confusion.png", "model-card.md"
DIGITS = {"epoch": 0, "images": 0, "seconds": 2, "images_per_second": 1}  # all others: 4
UNANSWERED = -1  # the predicted class of a photo whose logits are not finite
PAIRS, EXAMPLES = 10, 3  # how many confused pairs are reported, with how many photos each

# Colors that color-blind readers can tell apart: Okabe and Ito, Color Universal Design (2008).
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)
INK, EMPTY = "#333333", "#f5f5f5"
FAINTEST = 0.25  # the color intensity of the smallest share above 0, to keep it visible
DPI = 100
NAMED_CLASSES, NAME_LENGTH = 60, 36  # with more classes the axes show numbers; letters of a name


@dataclass(frozen=True)
class Predictions:
    """The output of a network for N test photos.

    `files` are the N paths in the channel, such as "001.Affenpinscher/x.jpg". `labels` (N,) are
    the true class indices, `logits` (N, classes) the network's output. Raises ValueError if the
    lengths or shapes do not match.
    """

    files: list[str]
    labels: np.ndarray
    logits: np.ndarray

    def __post_init__(self) -> None:
        lengths = (len(self.files), len(self.labels), len(self.logits))
        if len(set(lengths)) > 1 or self.logits.ndim != 2:
            raise ValueError(
                f"{lengths[0]} files, {lengths[1]} labels and logits of shape {self.logits.shape}: "
                "expected one label and one row of logits for each file"
            )

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        values: "torch.Tensor",
        labels: "torch.Tensor",
        seen: "torch.Tensor",
    ) -> "Predictions":
        """Keep the photos that were seen.

        `names` are the paths of all N photos, `values` (N, classes) their logits, `labels` (N,)
        their classes, and `seen` (N,) is True for photos that could be read.
        """
        files = [name for name, kept in zip(names, seen.tolist(), strict=True) if kept]
        return cls(files, labels[seen].cpu().numpy(), values[seen].cpu().numpy())

    @cached_property
    def answered(self) -> np.ndarray:
        """Whether all logits of a photo are finite, as (N,) bool."""
        return np.isfinite(self.logits).all(axis=1)

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """The log-softmax of the logits, as (N, classes) float64."""
        with np.errstate(invalid="ignore"):
            return log_softmax(self.logits.astype(np.float64), axis=1)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most likely class of each photo, or `UNANSWERED`, as (N,) int64."""
        return np.where(self.answered, self.logits.argmax(axis=1), UNANSWERED)

    @cached_property
    def probability(self) -> np.ndarray:
        """The probability of the predicted class, or NaN if unanswered, as (N,) float64."""
        return np.where(self.answered, np.exp(self.log_probabilities.max(axis=1)), np.nan)

    @cached_property
    def photos(self) -> np.ndarray:
        """The number of photos of each class, as (classes,) int64."""
        return np.bincount(self.labels, minlength=self.logits.shape[1])

    @cached_property
    def confusion(self) -> np.ndarray:
        """How many photos of class i were predicted as class j, as (classes, classes) int64.

        Photos without an answer are not counted.
        """
        from sklearn.metrics import confusion_matrix

        classes = np.arange(UNANSWERED, self.logits.shape[1])
        return confusion_matrix(self.labels, self.predicted, labels=classes)[1:, 1:]


def print_metrics(metrics: dict[str, float]) -> None:
    """Print metrics as one line, in the format that the metric regexes of `train.py` expect."""
    print_once(*(f"{name}={value:.{DIGITS.get(name, 4)}f}" for name, value in metrics.items()))


def finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics with None in place of NaN and infinities."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }


def write_history(folder: Path | None, history: list[dict[str, Any]]) -> None:
    """Write the metrics of all epochs to `history.jsonl`, replacing it; no folder, no file."""
    if folder is None:
        return
    lines = [json.dumps(finite(epoch)) + "\n" for epoch in history]
    _replace(folder / HISTORY, "".join(lines))


def write_results(
    folder: Path | None, predictions: Predictions, class_names: list[str], about: dict[str, Any]
) -> dict[str, float]:
    """Write the test results to `folder`, unless it is None, and return the main metrics.

    `about` is for `model_card`. With fewer than five classes, `test_top5_accuracy` is the accuracy
    of the top k, where k is the number of classes. Raises ValueError like `score`.
    """
    scores = score(predictions, class_names)
    if folder is not None:
        _replace(folder / TEST, json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
        _replace(folder / PREDICTIONS, _csv(predictions, class_names))
        _replace(folder / PICTURE, _png(draw_confusion(predictions, class_names, scores)))
        _replace(folder / CARD, model_card(scores, about))
    return {
        "test_loss": math.nan if scores["loss"] is None else scores["loss"],
        "test_accuracy": scores["top1"]["accuracy"],
        "test_top5_accuracy": scores[f"top{min(5, len(class_names))}"]["accuracy"],
        "test_macro_f1": scores["macro_f1"],
        "chance": scores["chance"],
    }


def _replace(file: Path, content: str | bytes) -> None:
    """Write the whole file or, if the job is stopped meanwhile, leave the old one."""
    if isinstance(content, str):
        # File names need not be valid Unicode. JSON readers restore the escaped bytes.
        content = content.encode("utf-8", "backslashreplace")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)


def _csv(predictions: Predictions, class_names: list[str]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "label", "predicted", "probability"])
    columns = (predictions.labels, predictions.predicted, predictions.probability)
    for file, label, predicted, probability in zip(predictions.files, *columns, strict=True):
        answered = predicted != UNANSWERED
        answer = [class_names[predicted], f"{probability:.6f}"] if answered else ["", ""]
        table.writerow([file, class_names[label], *answer])
    return text.getvalue()


def score(predictions: Predictions, class_names: list[str]) -> dict[str, Any]:
    """Return the content of `test.json`: shares in 0..1, the loss in nats per photo.

    `top5` counts a photo as right if its class is among the five most likely; with k < 5 classes
    the key is `top<k>`. Photos without an answer count as wrong. `macro_f1` is the mean, over the
    breeds that have test photos, of the harmonic mean of precision and recall. Raises ValueError
    if there are no photos, or not as many class names as logits.
    """
    from sklearn.metrics import f1_score

    photos, classes = predictions.logits.shape
    if not photos:
        raise ValueError("no test photo could be read: there is nothing to score")
    if classes != len(class_names):
        raise ValueError(f"logits for {classes} classes, but {len(class_names)} class names")
    k, labels = min(5, classes), predictions.labels
    f1 = f1_score(labels, predictions.predicted, labels=np.unique(labels), average="macro")
    return {
        "photos": photos,
        "classes": classes,
        "chance": 1 / classes,
        "loss": _cross_entropy(predictions),
        "interval": "Wilson's, 95 %",
        "top1": _share(_right(predictions, 1), photos),
        f"top{k}": _share(_right(predictions, k), photos),
        "macro_f1": float(f1),
        "unanswered": int((~predictions.answered).sum()),
        "breeds": _breeds(predictions, class_names),
        "confused": _confused(predictions, class_names),
    }


def _cross_entropy(predictions: Predictions) -> float | None:
    """Return the mean over the photos, or None if it is not finite."""
    # sklearn.metrics.log_loss would clip the probabilities.
    photos = np.arange(len(predictions.labels))
    loss = -float(predictions.log_probabilities[photos, predictions.labels].mean())
    return loss if math.isfinite(loss) else None


def _right(predictions: Predictions, k: int) -> int:
    """Count the photos whose class is among the k most likely."""
    # Of equal logits the first ranks higher, as in argmax; in top_k_accuracy_score, the last does.
    ranked = np.argsort(-predictions.logits, axis=1, kind="stable")[:, :k]
    found = (ranked == predictions.labels[:, None]).any(axis=1)
    return int((found & predictions.answered).sum())


def _share(right: int, photos: int) -> dict[str, Any]:
    """Return a share with its 95 % score interval, which holds for few photos too.

    The interval is that of E. B. Wilson, Probable inference, the law of succession, and statistical
    inference, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    from scipy.stats import binomtest

    if not photos:  # for example if all photos of a breed are damaged
        return {"right": 0, "photos": 0, "accuracy": None, "low": None, "high": None}
    low, high = binomtest(right, photos).proportion_ci(0.95, method="wilson")
    shares = {"accuracy": right / photos, "low": float(low), "high": float(high)}
    return {"right": right, "photos": photos, **shares}


def _breeds(predictions: Predictions, class_names: list[str]) -> list[dict[str, Any]]:
    counts = zip(
        predictions.confusion.diagonal().tolist(), predictions.photos.tolist(), strict=True
    )
    return [
        {"breed": name, **_share(right, photos)}
        for name, (right, photos) in zip(class_names, counts, strict=True)
    ]


def _confused(predictions: Predictions, class_names: list[str]) -> list[dict[str, Any]]:
    """List the pairs with the most photos; of equal ones, the largest share of a breed first."""
    counts, photos = predictions.confusion, predictions.photos
    pairs = [(i, j) for i, j in np.argwhere(counts).tolist() if i != j]
    pairs.sort(key=lambda pair: (-counts[pair], photos[pair[0]], pair))
    return [
        {
            "true": class_names[i],
            "predicted": class_names[j],
            "photos": int(counts[i, j]),
            "share": float(counts[i, j] / photos[i]),
            "examples": _examples(predictions, i, j),
        }
        for i, j in pairs[:PAIRS]
    ]


def _examples(predictions: Predictions, true: int, predicted: int) -> list[str]:
    """Return photos of one class that were predicted as another, highest probability first."""
    found = np.flatnonzero((predictions.labels == true) & (predictions.predicted == predicted))
    surest = found[np.argsort(-predictions.probability[found], kind="stable")]
    return [predictions.files[index] for index in surest[:EXAMPLES]]


def draw_confusion(
    predictions: Predictions, class_names: list[str], scores: dict[str, Any]
) -> "Figure":
    """Draw the confusion matrix: a row for each true breed, a column for each predicted one.

    The color of a cell is its share of the breed's photos, blue on the diagonal and orange
    elsewhere. With more than `NAMED_CLASSES` classes the axes show the numbers of the breeds,
    counted from 1; the most confused pairs are ringed and listed beside the matrix.
    """
    from matplotlib.figure import Figure

    classes, top1 = len(class_names), scores["top1"]
    named = classes <= NAMED_CLASSES
    # The side of a cell in pixels: as long as names are shown, a row is high enough for one.
    cell = min(72, max(14, 640 // classes)) if named else max(2, 840 // classes)
    figure = Figure((cell * classes / DPI, cell * classes / DPI), DPI)
    axes = figure.add_axes(
        (0, 0, 1, 1), facecolor=EMPTY, xlabel="predicted breed", ylabel="true breed"
    )
    _draw_cells(axes, predictions, cell)
    labels = [_label(name, i) for i, name in enumerate(class_names)]
    step = 1 if named else 10 * math.ceil(classes / 200)
    ticks = range(step - 1, classes, step)
    texts = labels if named else [tick + 1 for tick in ticks]
    style = {"fontsize": min(9, 0.6 * cell) if named else 9, "parse_math": False}
    axes.set_xticks(ticks, texts, rotation=90 if named else 0, **style)
    axes.set_yticks(ticks, texts, **style)
    if not named:
        _list_confused(axes, labels, class_names, scores["confused"], cell)
    share = f"{top1['right']} of {top1['photos']} test photos right: {top1['accuracy']:.1%}"
    interval = f"95% interval {top1['low']:.1%} to {top1['high']:.1%}"
    axes.set_title(f"{share} ({interval})", loc="left", pad=58)
    return figure


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    # The tight box includes everything around the matrix, however long the names are. By default
    # the file would name the version of matplotlib.
    options = {"bbox_inches": "tight", "pad_inches": 0.2, "metadata": {"Software": None}}
    figure.savefig(file, format="png", **options)
    return file.getvalue()


def _label(name: str, index: int) -> str:
    """Return the breed of a class, shortened, or its number if the font lacks a letter of it."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    text = " ".join(breed(name).split())
    if not text or not all(font.get_char_index(ord(letter)) for letter in text):
        return f"class {index + 1}"
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1].rstrip()}…"


def _draw_cells(axes: Any, predictions: Predictions, cell: int) -> None:
    """Draw the shares as colors, with color bars above them, and the counts if they fit."""
    from matplotlib.colors import LinearSegmentedColormap

    counts = predictions.confusion
    shares = counts / np.maximum(predictions.photos, 1)[:, None]
    right, side = np.eye(len(counts), dtype=bool), cell * len(counts)
    for i, (name, rgb, hidden) in enumerate([("right", RIGHT, ~right), ("wrong", WRONG, right)]):
        full = np.array(rgb) / 255
        colors = LinearSegmentedColormap.from_list(name, [1 - FAINTEST * (1 - full), full])
        values = np.ma.masked_where(hidden | (shares == 0), shares)
        image = axes.imshow(values, colors, vmin=0, vmax=1, interpolation="nearest")
        place = axes.inset_axes((240 * i / side, 1 + 14 / side, 130 / side, 10 / side))
        bar = axes.figure.colorbar(image, place, orientation="horizontal", ticks=[0, 1])
        bar.ax.xaxis.tick_top()
        bar.ax.set_xticklabels(["0%", "100%"], fontsize=8)
        bar.ax.set_title(f"{name}, share of the breed's photos", fontsize=8, pad=3, loc="left")
        bar.outline.set_visible(False)
    for row, column in np.argwhere(counts).tolist() if cell >= 24 else []:
        style = {"ha": "center", "va": "center", "fontsize": min(12, cell / 3)}
        style["color"] = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row, str(counts[row, column]), **style)
    axes.spines[:].set_visible(False)
    if cell >= 4:  # white lines between the cells
        edges = np.arange(len(counts) + 1) - 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.7)
        axes.tick_params(which="minor", length=0)


def _list_confused(
    axes: Any, labels: list[str], class_names: list[str], confused: list[dict], cell: int
) -> None:
    """Ring each pair in the matrix and number it, as in the list at the right of the matrix."""
    size = 1.5 * max(cell, 6)
    for place, pair in enumerate(confused, start=1):
        row, column = class_names.index(pair["true"]), class_names.index(pair["predicted"])
        axes.plot(column, row, "o", markersize=size, fillstyle="none", color=INK, clip_on=False)
        left = column > 0.95 * len(labels)
        style = {"textcoords": "offset points", "va": "center", "ha": "right" if left else "left"}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.annotate(str(place), (column, row), (-size if left else size, 0), **style)
        text = (
            f"{place}  {labels[row]} ({row + 1})\n      {pair['photos']} ({pair['share']:.0%}) "
            f"predicted as {labels[column]} ({column + 1})"
        )
        style = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        axes.annotate(text, (1, 1), (20, 34 - 34 * place), parse_math=False, **style)
