"""The course's parameters of Debugger's rules: right for the network, and for the run's length.

AWS's defaults suit long runs. The course's runs are short and their losses noisy, and its networks
are PyTorch's. `packages/open-debugger/docs/debugger-rules.md` shows what both sets of parameters
say about healthy and about ill runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from open_debugger import catalogue

# A parameter that is not named keeps AWS's default. The reasons are below.
RULES_FOR_THE_COURSE: dict[str, dict[str, object]] = {
    "AllZero": {"collection_names": ["gradients"]},
    "CheckInputImages": {
        "regex": ["^(ResNet|VGG|EfficientNet)_input_0"],
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
    "AllZero": "Activations may well be zero. Gradients that are zero have stopped the learning.",
    "CheckInputImages": "A short run saves few photos. The drawn ones are bright: normalised with "
    "ImageNet's mean, their channels have means of 0.6 to 0.8. So the rule only finds photos whose "
    "bytes nobody divided by 255.",
    "ClassImbalance": "PyTorch's names. A short run sees few labels, and in its first epochs most "
    "predictions are wrong, which is no imbalance.",
    "DeadRelu": "VGG16's ReLUs have numbers for names. More than half of the 4,096 units of its "
    "first fully connected layer are silent for all 16 photos of a healthy batch.",
    "ExplodingTensor": "AWS's parameters: NaN is never healthy.",
    "LossNotDecreasing": "The loss of one batch is noisy, so the mean of five saved losses is "
    "compared, and the two are further apart.",
    "Overfit": "Some validation sets are a little harder, and one pass may be bad luck. So the "
    "rule waits for half as much again, in two passes in a row.",
    "Overtraining": "A short run has few validation passes: ten of them would be its end.",
    "PoorWeightInitialization": "In deep networks gradients are small from the first step on: "
    "p95 - p5 is 1e-5 in a healthy ResNet. VGG16 stands still for its first ten steps, its layers' "
    "variances then differ a thousandfold for a while, and its ReLUs have numbers for names.",
    "SaturatedActivation": "A unit that saturates in half of all places learns badly already. "
    "AWS's default is 99 %.",
    "TensorVariance": "AWS has no default. Weights of a healthy network have variances below 0.1.",
    "UnchangedTensor": "Activations and biases may stay as they are. Weights that do so "
    "learn nothing.",
    "VanishingGradient": "AWS's parameters.",
    "WeightUpdateRatio": "AWS's parameters.",
}

# The same in one line, for the rules that need more above.
_IN_SHORT = {
    "CheckInputImages": "A short run saves few photos, and the drawn ones are bright.",
    "ClassImbalance": "PyTorch's names; few labels are saved, and early mistakes are no imbalance.",
    "DeadRelu": "VGG16's ReLUs have numbers for names, and many are silent in a healthy batch.",
}

# Of each parameter, for the rules that the lessons judge.
_BY_PARAMETER = {
    ("LossNotDecreasing", "num_steps"): "A sixth of the run: long enough for a fall, and "
    "short enough for several comparisons.",
    ("LossNotDecreasing", "smoothing"): "Single batches are noisy: means of five saved losses are "
    "compared.",
    ("Overfit", "patience"): "One pass may be bad luck: two in a row count.",
    ("Overfit", "ratio_threshold"): "Some gap is normal: the validation loss may lie up to 50% "
    "above the training loss.",
    ("PoorWeightInitialization", "activation_inputs_regex"): "The names of the tensors in this "
    "network.",
    ("PoorWeightInitialization", "threshold"): "In a healthy VGG16 the variances differ a "
    "thousandfold for a while. This is 100 times that.",
    ("PoorWeightInitialization", "distribution_range"): "In a healthy ResNet, gradients span as "
    "little as 1e-5. This is a thousandth of that.",
    ("PoorWeightInitialization", "patience"): "The loss of a healthy VGG16 does not fall in its "
    "first ten steps.",
    ("PoorWeightInitialization", "steps"): "It must be larger than `patience`, or the loss could "
    "never make the rule fire.",
}

# What smdebug calls the tensors of each network. Modules are named by their place: torchvision's
# ResNet has modules `relu`, its VGG a Sequential `features` with numbers, timm's EfficientNet has
# `act` inside each batch norm. `sample` is one activation of each stage: all would be gigabytes.
_TENSORS: dict[str, dict[str, list[str]]] = {
    "resnet50": {
        "photos": ["^ResNet_input_0"],
        "inputs": [r"relu_input"],
        "outputs": [r"relu_output"],
        "sample": [r"^layer\d\.0\.relu_input_0"],
    },
    "vgg16": {
        "photos": ["^VGG_input_0"],
        "inputs": [r"^features\.\d+_input"],
        "outputs": [r"^features\.\d+_output", r"^classifier\.\d_output"],
        "sample": [r"^features\.(6|11|18|25)_input_0"],
    },
    "efficientnet_lite0": {
        "photos": ["^EfficientNet_input_0"],
        "inputs": [r"act_input"],
        "outputs": [r"act_output"],
        "sample": [r"^blocks\.[1-6]\.0\.bn2\.act_input_0"],
    },
}
_TENSORS["resnet18"] = _TENSORS["resnet50"]

# The parameters that hold regular expressions of the network's own tensors.
_REGEXES = {
    ("CheckInputImages", "regex"): "photos",
    ("DeadRelu", "tensor_regex"): "outputs",
    ("PoorWeightInitialization", "activation_inputs_regex"): "inputs",
}


class UnknownNetwork(ValueError):
    """The course does not know how smdebug names a network's tensors."""


def parameters(name: str, network: str | None = None, steps: int | None = None) -> dict[str, str]:
    """A rule's parameters as the API takes them: strings, and lists as words with commas.

    Args:
        name: the rule's name, such as ``Overfit``.
        network: its tensors are the ones that the rule looks for; None: those of torchvision's.
        steps: training steps of the run, to which the rule's windows are fitted.

    Raises:
        UnknownNetwork: the course does not know the network's tensors.
    """
    chosen = dict(RULES_FOR_THE_COURSE.get(name, {}))
    if network is not None:
        tensors = _tensors(network)
        chosen |= {key: tensors[kind] for (rule, key), kind in _REGEXES.items() if rule == name}
    if steps is not None and name == "LossNotDecreasing":
        chosen["num_steps"] = max(2, steps // 6)
    return {key: _text(value) for key, value in chosen.items()}


def closed_parameters(rule_parameters: dict[str, str]) -> dict[str, str]:
    """A rule's parameters without those that only `open_debugger` knows."""
    unknown = catalogue.OURS.get(rule_parameters.get("rule_to_invoke", ""), set())
    return {key: value for key, value in rule_parameters.items() if key not in unknown}


def built_in(name: str) -> dict:
    """The SDK's configuration of a rule, such as `rule_configs.vanishing_gradient()`.

    Args:
        name: of the rule, as AWS writes it: VanishingGradient.

    Raises:
        ValueError: the SDK has no such rule.
    """
    from sagemaker.core.debugger import rule_configs

    function = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    if not hasattr(rule_configs, function):
        raise ValueError(f"the SDK has no rule {name!r}: rule_configs has no {function}()")
    return getattr(rule_configs, function)()


def activations(network: str) -> str:
    """An `include_regex` for one activation of each of the network's stages.

    Raises:
        UnknownNetwork: the course does not know the network's tensors.
    """
    return ",".join(_tensors(network)["sample"])


def regexes(rule_parameters: dict[str, str]) -> list[str]:
    """The regular expressions of tensors' names among a rule's parameters."""
    texts = [text for key, text in rule_parameters.items() if key.endswith("regex")]
    return [each for text in texts for each in text.split(",") if each]


def _tensors(network: str) -> dict[str, list[str]]:
    if network not in _TENSORS:
        raise UnknownNetwork(
            f"the course has no names of tensors for '{network}', only for "
            f"{', '.join(sorted(_TENSORS))}: add them to course/debugger/rules.py"
        )
    return _TENSORS[network]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def compared(
    names: Iterable[str], network: str | None = None, steps: int | None = None
) -> pd.DataFrame:
    """The course's parameters beside AWS's defaults: a row a difference, with its reason.

    A parameter that AWS's rule does not have has the default "none". Rules whose parameters have no
    reasons of their own give one reason, in their first row.
    """
    rows = []
    for name in names:
        of_rule = _IN_SHORT.get(name, REASONS[name])
        for parameter, value in parameters(name, network, steps).items():
            default = _shown(catalogue.defaults(name)[parameter])
            if default != value:
                default = "none" if parameter in catalogue.OURS.get(name, ()) else default
                why = _BY_PARAMETER.get((name, parameter), of_rule)
                rows.append((name, parameter, default, _short(value), why))
                of_rule = ""
    columns = ["rule", "parameter", "AWS's default", "the course's", "why"]
    return pd.DataFrame(rows, columns=columns).set_index(["rule", "parameter"])


def _short(text: str) -> str:
    """``1e+05`` of ``100000.0``."""
    return f"{float(text):g}" if re.fullmatch(r"[\d.]+(e-?\d+)?", text) else text


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else _text(value)
