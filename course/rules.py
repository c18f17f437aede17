"""The course's parameters of Debugger's rules, and why they are not AWS's defaults.

AWS's defaults suit long runs. The course's are short and their losses noisy, and its networks are
PyTorch's. `packages/open-debugger/docs/debugger-rules.md` shows what both say of healthy and of ill
runs.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from open_debugger import catalogue

# What is missing has its default; the reasons are below.
RULES_FOR_THE_COURSE: dict[str, dict[str, object]] = {
    "AllZero": {"collection_names": ["gradients"]},
    "CheckInputImages": {
        "regex": ["^(ResNet|VGG)_input_0"],
        "threshold_samples": 30,
        "threshold_mean": 1.5,
    },
    "ClassImbalance": {
        "labels_regex": ["CrossEntropyLoss_input_1"],
        "predictions_regex": ["CrossEntropyLoss_input_0"],
        "argmax": True,
        "samples": 200,
        "threshold_misprediction": 1.0,
    },
    "DeadRelu": {
        "tensor_regex": [r"relu_output", r"^features\.\d+_output", r"^classifier\.\d_output"],
        "threshold_layer": 90.0,
    },
    "ExplodingTensor": {},
    "LossNotDecreasing": {"num_steps": 30, "smoothing": 5},
    "Overfit": {"patience": 2, "ratio_threshold": 0.5},
    "Overtraining": {"patience_train": 10, "patience_validation": 3, "smoothing": 5},
    "PoorWeightInitialization": {
        "activation_inputs_regex": [r"relu_input", r"^features\.\d+_input"],
        "threshold": 1e5,
        "distribution_range": 1e-8,
        "patience": 12,
        "steps": 15,
    },
    "SaturatedActivation": {"threshold_inactivity": 50.0},
    "TensorVariance": {"collection_names": ["weights"], "max_threshold": 100.0},
    "UnchangedTensor": {"collection_names": ["weights"]},
    "VanishingGradient": {},
    "WeightUpdateRatio": {},
}

REASONS = {
    "AllZero": "Of all tensors, activations may well be zero; gradients that are have stopped "
    "the learning.",
    "CheckInputImages": "A short run saves few photos. The drawn ones are bright: normalised as "
    "ImageNet's, their channels have means of 0.6 to 0.8, as if they were not. So only bytes that "
    "nobody divided by 255 are found.",
    "ClassImbalance": "PyTorch's names; a short run sees few labels; and in its first epochs most "
    "predictions are wrong, which is no imbalance.",
    "DeadRelu": "VGG16's ReLUs have numbers for names; of the 4096 units of its first fully "
    "connected layer more than half are silent for all 16 photos of a healthy batch.",
    "ExplodingTensor": "As AWS has it: NaN is never healthy.",
    "LossNotDecreasing": "The loss of one batch is noise: the mean of five is compared, thirty "
    "steps apart.",
    "Overfit": "Some validation sets are a little harder, and one pass may be bad luck: half as "
    "much again, in two passes in a row.",
    "Overtraining": "A short run makes a handful of passes; ten of them would be its end.",
    "PoorWeightInitialization": "In deep networks gradients are small from the first step on: "
    "p95 - p5 is 1e-5 in a healthy ResNet. VGG16 stands still for its first ten steps, its layers' "
    "variances then differ a thousandfold for a while, and its ReLUs have numbers for names.",
    "SaturatedActivation": "A unit that saturates in half of all places learns badly already; "
    "AWS's asks for 99 %.",
    "TensorVariance": "AWS has no default. Weights of a healthy network have variances below 0.1.",
    "UnchangedTensor": "Activations and biases may stay as they are; such weights learn nothing.",
    "VanishingGradient": "As AWS has it, from the second step on: see the hook's `start_step`.",
    "WeightUpdateRatio": "As AWS has it, from the second step on: see the hook's `start_step`.",
}


def parameters(name: str, closed: bool = False) -> dict[str, str]:
    """The course's parameters of a rule as the API takes them: strings, of lists their words.

    Args:
        closed: AWS's own rule gets them, which would not know what only the open one has.
    """
    unknown = catalogue.OURS.get(name, set()) if closed else set()
    chosen = RULES_FOR_THE_COURSE.get(name, {})
    return {key: _text(value) for key, value in chosen.items() if key not in unknown}


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def compared(names: Iterable[str]) -> pd.DataFrame:
    """The course's parameters beside the defaults, as text: a row for each that differs."""
    rows = [
        (name, parameter, _shown(catalogue.defaults(name)[parameter]), _shown(value))
        for name in names
        for parameter, value in RULES_FOR_THE_COURSE.get(name, {}).items()
    ]
    table = pd.DataFrame(rows, columns=["rule", "parameter", "AWS's default", "the course's"])
    return table.set_index(["rule", "parameter"])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else _text(value)
