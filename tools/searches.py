"""Named search spaces for a tuning job of `train.py`: published projects', the course's, and ours.

`docs/tuning.md` and `docs/training.md` have them as tables, which `make docs` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sagemaker.core.parameter import CategoricalParameter, ParameterRange


@dataclass(frozen=True)
class Between:
    """All from `low` to `high`; `scale` is one of SageMaker's scaling types (Auto: it chooses)."""

    low: int | float
    high: int | float
    scale: str = "Auto"

    @property
    def ends(self) -> tuple[int | float, ...]:
        """The values at which `train.py` must still understand the option."""
        return self.low, self.high

    def __str__(self) -> str:
        note = "" if self.scale == "Auto" else f", {self.scale.lower()}"
        return f"{self.low:g} to {self.high:g}{note}"


class Continuous(Between):
    """A range of numbers."""


class Integer(Between):
    """A range of whole numbers."""


@dataclass(frozen=True)
class Categorical:
    """One of `values`."""

    values: tuple[int | float | str, ...]

    @property
    def ends(self) -> tuple[int | float | str, ...]:
        """All values: none lies between others."""
        return self.values

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Span = Between | Categorical


@dataclass(frozen=True)
class Search:
    """What all jobs of a tuning job share, and what it varies; the keys are `train.py`'s options.

    `usual` names what a project did not publish: there stands what such projects usually do.
    """

    name: str
    what: str
    hyperparameters: Mapping[str, int | float | str]
    ranges: Mapping[str, Span]
    usual: tuple[str, ...] = ()


# What the published projects have in common: PyTorch's own optimisers as they come, at one rate to
# the end, on a frozen network with a new head.
_PLAIN = {
    "schedule": "constant",
    "warmup": 0,
    "label-smoothing": 0,
    "train-layers": "head",
    "augmentation": "crop",
}
_NO_DECAY = {"weight-decay": 0}  # PyTorch's default of Adam and SGD

PUBLISHED = (
    Search(
        "vgg16-adam",
        "VGG16 with a new last layer, Adam",
        {"model": "vgg16", "optimizer": "adam", **_NO_DECAY, **_PLAIN},
        {
            "lr": Continuous(0.001, 0.1),
            "batch-size": Categorical((128, 256)),
            "epochs": Categorical((5, 7, 10)),
        },
    ),
    Search(
        "resnet50-adamw",
        "ResNet50 with a head of two layers, AdamW",
        {
            "model": "resnet50",
            "head-layers": 2,
            "hidden-units": 128,
            "optimizer": "adamw",
            "epochs": 5,
            **_PLAIN,
        },
        {
            "lr": Continuous(1e-5, 0.1),  # 0.01 and 100 times AdamW's default, 0.001
            "eps": Continuous(1e-9, 1e-8),
            "weight-decay": Continuous(0.001, 0.1),  # 0.1 and 10 times AdamW's default, 0.01
            "batch-size": Categorical((64, 128)),
        },
        usual=("hidden-units", "epochs"),
    ),
    Search(
        "resnet50-short",
        "ResNet50, one epoch or two",
        {"model": "resnet50", "optimizer": "adam", **_NO_DECAY, **_PLAIN},
        {
            "lr": Continuous(0.001, 0.1),
            "batch-size": Categorical((32, 64, 128)),
            "epochs": Integer(1, 2),
        },
        usual=("optimizer",),
    ),
    Search(
        "large-batches",
        "any data set, in large batches",
        {"model": "resnet50", "optimizer": "adam", **_NO_DECAY, **_PLAIN},
        {
            "lr": Continuous(0.001, 0.1),
            "batch-size": Categorical((128, 256, 512)),
            "epochs": Integer(2, 10),
        },
        usual=("model", "optimizer", "epochs"),
    ),
    Search(
        "resnet50-sgd",
        "ResNet50, SGD with momentum",
        {"model": "resnet50", "optimizer": "sgd", **_NO_DECAY, **_PLAIN},
        {
            "lr": Continuous(0.01, 0.1),
            "momentum": Continuous(0.5, 0.9),
            "batch-size": Categorical((32, 64)),
            "epochs": Integer(5, 10),
        },
    ),
)

COURSE = Search(
    "course",
    "notebook 02: a new head on a frozen network, its features kept",
    {
        "model": "resnet50",  # or efficientnet_lite0, where ResNet50's weights are missing
        "weights": "imagenet",
        "train-layers": "head",
        "feature-views": 1,
        "batch-norm": "frozen",
        "label-smoothing": 0.1,
        "weight-decay": 0.01,
    },
    {
        "lr": Continuous(1e-4, 1e-2, "Logarithmic"),
        "batch-size": Categorical((16, 32, 64)),
        "epochs": Integer(3, 8),
    },
)

# Each choice has its reason below.
_OURS = {
    "optimizer": "adamw",
    "weight-decay": 0.01,
    "schedule": "cosine",
    "warmup": 0.1,
    "label-smoothing": 0.1,
    "augmentation": "colour",
}
_SIZES = Categorical((16, 32, 64))
_HEAD_FIRST = {
    "train-layers": "last-stage",
    "head-epochs": 3,
    "body-lr": 0.1,
    "batch-norm": "frozen",
    "epochs": 9,
}


def _head_first(model: str, name: str, rates: Continuous) -> Search:
    return Search(
        model,
        f"recommended for {name}",
        {"model": model, **_OURS, **_HEAD_FIRST},
        {"lr": rates, "batch-size": _SIZES},
    )


RECOMMENDED = (
    _head_first("resnet50", "ResNet50", Continuous(1e-5, 1e-2, "Logarithmic")),
    _head_first("vgg16", "VGG16", Continuous(1e-5, 1e-3, "Logarithmic")),
    Search(
        "efficientnet_lite0",
        "recommended for EfficientNet-Lite0",
        {
            "model": "efficientnet_lite0",
            "weights": "imagenet",
            "image-size": 128,
            **_OURS,
            "augmentation": "crop",
            "train-layers": "all",
            "batch-norm": "frozen",
            "body-lr": 0.1,
            "epochs": 2,
        },
        {"lr": Continuous(3e-4, 1e-2, "Logarithmic"), "batch-size": _SIZES},
    ),
    Search(
        "resnet18-scratch",
        "recommended from random weights",
        {
            "model": "resnet18",
            "weights": "random",
            "image-size": 64,
            **_OURS,
            "train-layers": "all",
            "epochs": 30,
        },
        {
            "lr": Continuous(1e-4, 1e-2, "Logarithmic"),
            "batch-size": _SIZES,
        },
    ),
)

NAMED = {search.name: search for search in (*PUBLISHED, COURSE, *RECOMMENDED)}

REASONS = {
    "model": "ResNet50 and VGG16 are the course's two; EfficientNet-Lite0's weights need no "
    "server; from random weights, a small network learns in minutes",
    "weights": "ImageNet's are the default",
    "image-size": "the default is the network's own size. 128 pixels take EfficientNet-Lite0 a "
    "third of the time of 224. From random weights, small photos leave time for many epochs",
    "optimizer": "one rate suits layers with very different gradients, and the weight decay does "
    "not depend on the gradients (Loshchilov and Hutter, 2019)",
    "lr": "3e-4, the middle of ResNet50's range, is the best published rate for a frozen one; "
    "VGG16 has no batch normalisation, and needs smaller rates; random weights have more to learn",
    "weight-decay": "PyTorch's default for AdamW",
    "schedule": "a run of any length ends with small steps (Loshchilov and Hutter, 2017)",
    "warmup": "large first steps can make training diverge (Goyal et al., 2017)",
    "label-smoothing": "many breeds look alike, and certainty gains nothing (Szegedy et al., 2016)",
    "augmentation": "random resized crop, flip and colour, as for the best published frozen one; "
    "EfficientNet-Lite0's recipe leaves out colour",
    "train-layers": "the best published validation accuracy, 89.6 %, trained the last stage; "
    "from random weights, all layers must learn",
    "head-epochs": "gradients of a random head would spoil the last stage (Kumar et al., 2022)",
    "batch-norm": "pretrained weights expect their own statistics, and small batches are noisy",
    "body-lr": "pretrained layers need small corrections only (Howard and Ruder, 2018)",
    "batch-size": "around the best published one, 29",
    "epochs": "nine, as for the best published frozen ResNet50; EfficientNet-Lite0 reaches 85 % of "
    "the drawn breeds in two; random weights need more",
}


def ranges(search: Search) -> dict[str, ParameterRange | CategoricalParameter]:
    """The search's ranges as `HyperparameterTuner` takes them.

    Imports sagemaker: in a notebook, call `course.connect()` before.
    """
    return {name: _parameter(span) for name, span in search.ranges.items()}


def _parameter(span: Span) -> ParameterRange | CategoricalParameter:
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

    if isinstance(span, Categorical):
        return CategoricalParameter([str(value) for value in span.values])
    kind = IntegerParameter if isinstance(span, Integer) else ContinuousParameter
    return kind(span.low, span.high, scaling_type=span.scale)


def value(search: Search, option: str) -> Span | int | float | str:
    """What a search says of an option: its range, or its fixed value, or nothing."""
    return search.ranges.get(option, search.hyperparameters.get(option, ""))


def command(search: Search) -> str:
    """The command line of the search's fixed options; its ranges are to be added."""
    options = (f"--{name} {value}" for name, value in search.hyperparameters.items())
    return " ".join(["python train.py", *options])
