"""Tensors that Debugger's hook saved, as tables for plots: one row a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from smdebug.core.modes import ModeKeys
from smdebug.trials import Trial

SHARES = [5, 25, 50, 75, 95]  # percentiles
HEADS = ("fc", "classifier")  # the last layers, by torchvision's names


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


def weight_shares(trial: Trial) -> dict[int, pd.DataFrame]:
    """Percentiles of each layer's weights at the first and at the last saved training step.

    Returns:
        For both steps a row a layer, and a column for each of `SHARES`.

    Raises:
        ValueError: no weights of a layer were saved.
    """
    steps = _steps(trial, "weights")
    return {step: _shares(trial, step) for step in sorted({steps[0], steps[-1]})}


def _shares(trial: Trial, step: int) -> pd.DataFrame:
    found = {
        layer: np.percentile(value, SHARES)
        for layer, _, value in _saved(trial, "weights", only=step)
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=SHARES)


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


def _saved(
    trial: Trial, collection: str, only: int | None = None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Layer, training step and value of weights with at least two dimensions, in their order."""
    for name in _in_order(trial, collection):
        tensor = trial.tensor(name)
        for step in tensor.steps(ModeKeys.TRAIN):
            if only in (None, step):
                value = tensor.value(step, mode=ModeKeys.TRAIN)
                if value.ndim > 1:  # convolutions and fully connected layers
                    yield _layer(name), step, value


def _in_order(trial: Trial, collection: str) -> list[str]:
    """Names from the network's input to its head, as torchvision numbers its layers."""

    def place(name: str) -> list:
        words = re.split(r"(\d+)", _layer(name))
        return [words[0].startswith(HEADS), *(int(w) if w.isdigit() else w for w in words)]

    return sorted(trial.tensor_names(collection=collection), key=place)


def _layer(name: str) -> str:
    """``layer1.0.conv1`` of ``gradient/ResNet_layer1.0.conv1.weight``."""
    return name.rpartition("/")[2].partition("_")[2].removesuffix(".weight")


def _table(found: dict[tuple[str, int], float], trial: Trial, collection: str) -> pd.DataFrame:
    if not found:
        _steps(trial, collection)
        raise ValueError(f"the collection '{collection}' holds no layer's tensor")
    return pd.Series(found).unstack(sort=False).sort_index(axis=1)
