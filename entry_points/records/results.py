"""What a finished run says about itself, in the job's `output/data`:

    history.jsonl    a line an epoch, rewritten after each
    test.json        accuracy with intervals, each breed's, the most confused pairs
    predictions.csv  a line a test photo: file, label, predicted, probability (of the predicted one)
    confusion.png    the confusion matrix
    model-card.md    what one should know of the model, to read

NumPy and Pillow are all it takes. JSON knows no NaN: such a value is null.
"""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from photos import breed
from records import card, confusion
from records.scores import NOBODY, Tested, answers, scored
from records.scores import confusion as confusion_counts

HISTORY, TEST, PREDICTIONS = "history.jsonl", "test.json", "predictions.csv"
PICTURE, CARD = "confusion.png", "model-card.md"


def write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write each epoch's metrics as a line of `history.jsonl`; what was there is replaced."""
    lines = [json.dumps(finite(epoch)) + "\n" for epoch in history]
    _replace(folder / HISTORY, "".join(lines))


def write_results(
    folder: Path | None, tested: Tested, class_names: list[str], about: dict[str, Any]
) -> dict[str, float]:
    """Write what the test said into `folder`, if there is one, and return the main metrics.

    `about` says what the model card cannot see: `architecture` and `weights` (text), `image_size`
    (pixels), `hyperparameters`, `photos` (how many each channel has), `metrics` (the last epoch's)
    and `damaged` (names of photos that were left out). Of fewer than five classes
    `test_top5_accuracy` counts the k likeliest, k being their number. Raises ValueError without
    photos, or unless the logits are for as many classes as have names.
    """
    scores = scored(tested, class_names)
    if folder is not None:
        _replace(folder / TEST, json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
        _replace(folder / PREDICTIONS, _table(tested, class_names))
        _replace(folder / PICTURE, _picture(tested, class_names, scores))
        _replace(folder / CARD, card.model_card(scores, about))
    return {
        "test_loss": math.nan if scores["loss"] is None else scores["loss"],
        "test_accuracy": scores["top1"]["accuracy"],
        "test_top5_accuracy": scores[f"top{min(5, len(class_names))}"]["accuracy"],
        "chance": scores["chance"],
    }


def tested(folder: Any, values: Any, labels: Any, seen: Any) -> Tested:
    """The photos of a `PhotoFolder` that were seen, as PyTorch has them: logits (N, classes)."""
    files = [name for name, there in zip(folder.names, seen.tolist(), strict=True) if there]
    return Tested(files, labels[seen].numpy(), values[seen].numpy())


def finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """The same metrics with None for what is no finite number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }


def _replace(file: Path, content: str | bytes) -> None:
    """Write the file as a whole or not at all, whenever the job is stopped."""
    if isinstance(content, str):
        # Names of files need not be Unicode; JSON reads what takes their place back as it was.
        content = content.encode("utf-8", "backslashreplace")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)


def _table(tested: Tested, class_names: list[str]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "label", "predicted", "probability"])
    for file, label, said, sure in zip(
        tested.files, tested.labels, *answers(tested.logits), strict=True
    ):
        known = said != NOBODY
        answer = [class_names[said], f"{sure:.6f}"] if known else ["", ""]
        table.writerow([file, class_names[label], *answer])
    return text.getvalue()


def _picture(tested: Tested, class_names: list[str], scores: dict[str, Any]) -> bytes:
    top1, index = scores["top1"], {name: i for i, name in enumerate(class_names)}
    confused = [
        {"row": index[pair["true"]], "column": index[pair["predicted"]], "photos": pair["photos"]}
        for pair in scores["confused"]
    ]
    interval = f"95% interval {top1['low']:.1%} to {top1['high']:.1%}"
    title = f"{top1['right']} of {top1['photos']} test photos right: {top1['accuracy']:.1%}"
    image = confusion.draw(
        confusion_counts(tested),
        np.bincount(tested.labels, minlength=len(class_names)),
        [breed(name) for name in class_names],
        f"{title} ({interval})",
        confused,
    )
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
