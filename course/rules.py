"""The course's parameters of Debugger's rules, and why they are not AWS's defaults.

AWS's defaults suit long runs. The course's are short and their losses noisy, and its networks are
PyTorch's. `docs/debugger-rules.md` shows what both say on healthy runs and on ill ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from open_debugger import catalogue

# What is missing has its default. The reasons are below, and in the documentation.
RULES_FOR_THE_COURSE: dict[str, dict[str, object]] = {
    "AllZero": {"collection_names": ["gradients"]},
    "CheckInputImages": {
        "regex": ["^(ResNet|VGG)_input_0"],
        "threshold_samples": 30,
        "threshold_mean": 0.5,
    },
    "ClassImbalance": {
        "labels_regex": ["CrossEntropyLoss_input_1"],
        "predictions_regex": ["CrossEntropyLoss_input_0"],
        "argmax": True,
        "samples": 200,
        "threshold_misprediction": 1.0,
    },
    "DeadRelu": {
        "tensor_regex": [r"relu_output", r"^features\.\d+_output", r"^classifier\.\d_output"]
    },
    "ExplodingTensor": {},
    "LossNotDecreasing": {"num_steps": 30, "smoothing": 5},
    "Overfit": {"patience": 2, "ratio_threshold": 0.5},
    "Overtraining": {"patience_train": 10, "patience_validation": 3, "smoothing": 5},
    "PoorWeightInitialization": {
        "activation_inputs_regex": [r"relu_input", r"^features\.\d+_input"],
        "threshold": 1000.0,
        "distribution_range": 1e-8,
        "patience": 10,
    },
    "SaturatedActivation": {"threshold_inactivity": 50.0},
    "TensorVariance": {"collection_names": ["weights"], "max_threshold": 100.0},
    "UnchangedTensor": {"collection_names": ["weights"]},
    "VanishingGradient": {},
    "WeightUpdateRatio": {},
}


def parameters(name: str) -> dict[str, str]:
    """The course's parameters of a rule as the API takes them: strings, of lists their words."""
    return {key: _text(value) for key, value in RULES_FOR_THE_COURSE.get(name, {}).items()}


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def compared(names: Iterable[str]) -> pd.DataFrame:
    """The course's parameters beside the defaults: a row for each that differs."""
    rows = [
        (name, parameter, catalogue.defaults(name)[parameter], value)
        for name in names
        for parameter, value in RULES_FOR_THE_COURSE.get(name, {}).items()
    ]
    table = pd.DataFrame(rows, columns=["rule", "parameter", "AWS's default", "the course's"])
    return table.set_index(["rule", "parameter"])
