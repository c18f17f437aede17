"""What the hook saved, as tables for plots: losses, gradients, weights, the rules' statistics.

Training steps are counted from 0 and without the validation steps in between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from smdebug.core.modes import ModeKeys
from smdebug.trials import Trial

SHARES = [5, 25, 50, 75, 95]  # percentiles
HEADS = ("fc", "classifier")  # the last layers, by torchvision's and timm's names
TRAIN = ModeKeys.TRAIN  # what a trial calls the mode of training steps
MODES = {ModeKeys.TRAIN: "train", ModeKeys.EVAL: "valid", ModeKeys.PREDICT: "test"}
LOSS = "CrossEntropyLoss_output_0"

Curve = tuple[list[int], list[float]]


def saving_steps(steps: int) -> list[int]:
    """Training steps at which to save what is large: two early ones, the middle, one near the end.

    Args:
        steps: training steps of the whole run.
    """
    return sorted({1, min(10, steps // 4), steps // 2, max(1, steps - 3)})


def lowest_loss(label_smoothing: float, classes: int) -> float:
    """The least cross-entropy in nats that a perfect network has on smoothed labels.

    It is the entropy of the smoothed label, as `torch.nn.CrossEntropyLoss` defines it: each class
    gets a probability of ``label_smoothing / classes``, and the right one the rest as well.
    """
    other = label_smoothing / classes
    label = np.full(classes, other)
    label[0] += 1 - label_smoothing
    label = label[label > 0]
    return float(-(label * np.log(label)).sum())


def curves(trial: Trial) -> dict[str, Curve]:
    """The saved losses in nats: ``{"train": (steps, losses), "valid": (steps, losses)}``.

    Every saved training loss has its training step. Validation has one loss for each pass, the mean
    of its batches, at the number of training steps done before it. A curve without a saved loss is
    empty.

    Raises:
        ValueError: no loss was saved at all.
    """
    if LOSS not in trial.tensor_names():
        raise ValueError(f"the hook saved no {LOSS}: is the collection 'losses' in its config?")
    tensor = trial.tensor(LOSS)

    def value(mode: ModeKeys, step: int) -> float:
        return float(np.mean(tensor.value(step, mode=mode)))

    train = tensor.steps(mode=ModeKeys.TRAIN)
    curve = (list(train), [value(ModeKeys.TRAIN, step) for step in train])
    placed = [(trial.global_step(ModeKeys.TRAIN, step), step) for step in train]
    places, means = [], []
    for run in _passes(trial, tensor.steps(mode=ModeKeys.EVAL), placed):
        first = trial.global_step(ModeKeys.EVAL, run[0])
        before = [pair for pair in placed if pair[0] < first]
        # All steps between the last saved training step and the pass are training steps.
        places.append(before[-1][1] + first - before[-1][0] if before else 0)
        means.append(float(np.mean([value(ModeKeys.EVAL, step) for step in run])))
    return {"train": curve, "valid": (places, means)}


def _passes(
    trial: Trial, steps: Sequence[int], trained: Sequence[tuple[int, int]]
) -> Iterator[list[int]]:
    """The validation steps, split where a training step was saved in between."""
    run: list[int] = []
    for step in steps:
        if run:
            low, high = (trial.global_step(ModeKeys.EVAL, each) for each in (run[-1], step))
            if any(low < place < high for place, _ in trained):
                yield run
                run = []
        run.append(step)
    if run:
        yield run


def inventory(trial: Trial) -> pd.DataFrame:
    """What the hook saved: a row for each collection that was, biggest first.

    Columns: `tensors`, their number; `train`, `valid` and `test`, the steps of each mode at which
    they were saved, as text; `MB`, of all of them together.
    """
    rows = {}
    for name in trial.collections():
        found = [trial.tensor(each) for each in trial.tensor_names(collection=name)]
        if name in ("default", "all") or not found:
            continue
        steps = {mode: sorted({s for t in found for s in t.steps(mode=mode)}) for mode in MODES}
        size = sum(_bytes(tensor, mode, step) for tensor in found for mode in MODES
                   for step in tensor.steps(mode=mode))  # fmt: skip
        rows[name] = [len(found), *(_steps_as_text(steps[mode]) for mode in MODES), size / 1e6]
    columns = ["tensors", *MODES.values(), "MB"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.sort_values("MB", ascending=False).rename_axis("collection")


def _bytes(tensor, mode: ModeKeys, step: int) -> int:
    """Bytes that a tensor takes at a step, of all workers."""
    saved = tensor._get_step_dict(step, mode).values()
    return sum(each.location.length for each in saved)


def _steps_as_text(steps: Sequence[int]) -> str:
    if not steps:
        return "-"
    gaps = set(np.diff(steps))
    if len(steps) <= 6 or len(gaps) != 1:
        return ", ".join(map(str, steps[:8])) + (f", … ({len(steps)})" if len(steps) > 8 else "")
    return f"every {_ordinal(gaps.pop())}, {steps[0]} to {steps[-1]}"


def _ordinal(number: int) -> str:
    if number == 1:
        return "one"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def gradient_norms(trial: Trial) -> pd.DataFrame:
    """The L2 norm of each layer's gradient: a row a layer, a column a saved training step.

    Raises:
        ValueError: no gradient of a layer was saved.
    """
    found = {
        (layer, step): float(np.linalg.norm(value))
        for layer, step, value in _saved(trial, "gradients")
    }
    return _table(found, trial, "gradients")


def zero_gradients(trial: Trial) -> pd.Series:
    """The share of all gradients' values that are exactly zero, by saved training step.

    A weight whose gradient is exactly zero does not change the loss, whatever the photo of the
    batch: behind it, every activation lies where its function is flat.

    Raises:
        ValueError: no gradient was saved.
    """
    steps = _steps(trial, "gradients")
    zeros, values = dict.fromkeys(steps, 0), dict.fromkeys(steps, 0)
    for name in trial.tensor_names(collection="gradients"):
        tensor = trial.tensor(name)
        for step in tensor.steps(ModeKeys.TRAIN):
            value = tensor.value(step, mode=ModeKeys.TRAIN)
            zeros[step] += int((value == 0).sum())
            values[step] += value.size
    return pd.Series({step: zeros[step] / values[step] for step in steps}, name="zero")


def in_order(values: Mapping[tuple[str, int], float] | pd.Series) -> pd.DataFrame:
    """Numbers by tensor and step as a table: a row a tensor, from the network's input to its head.

    Args:
        values: by the tensor's full name and the training step.

    Returns:
        A column for each step; NaN where a tensor has no number.
    """
    table = pd.Series(values).unstack()
    return table.loc[sorted(table.index, key=_place)].sort_index(axis=1)


def statistic(trial: Trial, rule: str, rule_parameters: dict[str, str]) -> pd.Series:
    """What a loss rule compares with its threshold, each time that it does.

    The rule itself says so: it is asked with a threshold that everything meets.

    Args:
        trial: of the run.
        rule: ``LossNotDecreasing`` (percent by which the loss fell, by training step) or
            ``Overfit`` (share by which validation lies above training, by pass, from 1).
        rule_parameters: its others, such as `smoothing`.

    Raises:
        KeyError: another rule.
    """
    from open_debugger import evaluate

    always = {
        "LossNotDecreasing": {"diff_percent": math.inf, "patience": 1},
        "Overfit": {"ratio_threshold": -math.inf, "patience": 1},
    }[rule]
    given = {key: value for key, value in rule_parameters.items() if key != "action_json"}
    result = evaluate(trial, [(rule, {**given, **always})])[rule]
    values = [verdict.value for verdict in result.verdicts]
    if rule == "Overfit":
        return pd.Series(values, range(1, len(values) + 1), dtype=float, name="ratio")
    steps = [verdict.step for verdict in result.verdicts]
    return pd.Series(values, steps, dtype=float, name="percent")


@dataclass(frozen=True)
class WeightShares:
    """How the weights of each layer are spread, and how far they moved from `first` to `last`.

    `first` and `last` are saved training steps. `spread` has a row for each layer and a column for
    each of `SHARES`: percentiles at the last step. `moved` is the L2 norm of the difference of a
    layer's weights between the two steps, in percent of their norm at the first one; NaN if that
    norm is zero, or if the layer was not saved at both.
    """

    first: int
    last: int
    spread: pd.DataFrame
    moved: pd.Series

    @property
    def head(self) -> str | None:
        """The last layer's name; None if the weights of the head were not saved."""
        last = self.spread.index[-1]
        return last if last.startswith(HEADS) else None


def weight_shares(trial: Trial) -> WeightShares:
    """The spread of each layer's weights at the last saved training step, and their movement.

    Raises:
        ValueError: no weights of a layer were saved.
    """
    steps = _steps(trial, "weights")
    first, last = steps[0], steps[-1]
    spread, moved = {}, {}
    for name in _in_order(trial, "weights"):
        tensor, layer = trial.tensor(name), _layer(name)
        if last not in tensor.steps(ModeKeys.TRAIN):
            continue
        new = np.asarray(tensor.value(last, mode=ModeKeys.TRAIN), dtype=np.float64)
        if new.ndim < 2:  # neither a convolution nor a fully connected layer
            continue
        spread[layer] = np.percentile(new, SHARES)
        moved[layer] = math.nan
        if first != last and first in tensor.steps(ModeKeys.TRAIN):
            old = np.asarray(tensor.value(first, mode=ModeKeys.TRAIN), dtype=np.float64)
            norm = np.linalg.norm(old)
            moved[layer] = 100 * np.linalg.norm(new - old) / norm if norm else math.nan
    if not spread:
        raise ValueError("the collection 'weights' holds no layer's tensor at its last step")
    table = pd.DataFrame.from_dict(spread, orient="index", columns=SHARES)
    return WeightShares(first, last, table, pd.Series(moved, name="percent"))


def _steps(trial: Trial, collection: str) -> list[int]:
    steps = sorted({step for step, _ in _places(trial, collection)})
    if not steps:
        there = sorted(name for name in trial.collections() if _places(trial, name))
        raise ValueError(
            f"no tensor of the collection '{collection}' was saved in training; the collections "
            f"that were: {', '.join(there) or 'none'}"
        )
    return steps


def _places(trial: Trial, collection: str) -> list[tuple[int, str]]:
    names = trial.tensor_names(collection=collection)
    return [(step, name) for name in names for step in trial.tensor(name).steps(ModeKeys.TRAIN)]


def _saved(trial: Trial, collection: str) -> Iterator[tuple[str, int, np.ndarray]]:
    """Layer, training step and value of weights with at least two dimensions, in their order."""
    for name in _in_order(trial, collection):
        tensor = trial.tensor(name)
        for step in tensor.steps(ModeKeys.TRAIN):
            value = tensor.value(step, mode=ModeKeys.TRAIN)
            if value.ndim > 1:  # convolutions and fully connected layers
                yield _layer(name), step, value


def _in_order(trial: Trial, collection: str) -> list[str]:
    return sorted(trial.tensor_names(collection=collection), key=_place)


def _place(name: str) -> list:
    """Sorts tensors from the input to the head, as torchvision and timm number their layers."""
    layer = _layer(name)
    words = re.split(r"(\d+)", layer)
    stage = 2 if layer.startswith(HEADS) else 1 if layer.startswith(LATE) else 0
    stage = -1 if layer.startswith(EARLY) else stage
    return [stage, *(int(word) if word.isdigit() else word for word in words)]


EARLY = ("conv_stem", "conv1", "bn1")  # before the first numbered stage
LATE = ("conv_head", "bn2")  # after timm's last block


def _layer(name: str) -> str:
    """``layer1.0.conv1`` of ``gradient/ResNet_layer1.0.conv1.weight``."""
    return name.rpartition("/")[2].partition("_")[2].removesuffix(".weight")


def _table(found: dict[tuple[str, int], float], trial: Trial, collection: str) -> pd.DataFrame:
    if not found:
        _steps(trial, collection)
        raise ValueError(f"the collection '{collection}' holds no layer's tensor")
    return pd.Series(found).unstack(sort=False).sort_index(axis=1)
