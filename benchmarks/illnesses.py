"""Nine training runs: three healthy ones, and six with a well-known illness.

They use the parts of `entry_points`, as a job does: photos, networks, optimiser, schedule, training
loop and Debugger's hook. Options of `train.py` cause an illness where they can; the others are
small changes of a network, which are made here.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.append(str(Path(__file__).parent.parent / "entry_points"))  # import each other, as in jobs

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
SIGMOIDS, UNITS = 30, 64


class Plain(nn.Module):
    """A small convolutional network: (N, 3, H, W) floats to (N, classes) logits."""

    head_name = "fc"  # as `models.build` notes it

    def __init__(self, classes: int, kind: str = "relu", normalised: bool = True) -> None:
        super().__init__()
        widths = (3, 16, 32, 64)
        stages = [_stage(*pair, kind, normalised) for pair in pairwise(widths)]
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.fc(self.stages(photos).mean((2, 3)))


def _stage(inputs: int, outputs: int, kind: str, normalised: bool) -> nn.Sequential:
    """The names say what an activation is, as the rules' regexes want it."""
    bias = not normalised  # in front of a normalisation it would never get a gradient
    parts = {"conv": nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=bias)}
    if normalised:
        parts["norm"] = nn.BatchNorm2d(outputs)
    return nn.Sequential(OrderedDict(parts | {kind: ACTIVATIONS[kind]()}))


class DeepSigmoid(nn.Module):
    """Thirty fully connected sigmoid layers: each takes at least three quarters of a gradient."""

    head_name = "fc"

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.shrink = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, UNITS))
        layers = [
            nn.Sequential(OrderedDict(linear=nn.Linear(UNITS, UNITS), sigmoid=nn.Sigmoid()))
            for _ in range(SIGMOIDS)
        ]
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(UNITS, classes)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layers(self.shrink(photos)))


def zeroed(model: nn.Module) -> nn.Module:
    """Every convolution and fully connected layer begins with zeros."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.zeros_(module.weight)
    return model


def saturating(classes: int) -> nn.Module:
    """Tanh behind weights a hundred times too large, with nothing that normalises."""
    model = Plain(classes, "tanh", normalised=False)
    with torch.no_grad():
        for stage in model.stages:
            stage.conv.weight *= 100
    return model


def dead(model: nn.Module) -> nn.Module:
    """Ten standard deviations below zero in front of every ReLU."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, -10)
    return model


def resnet18(classes: int) -> nn.Module:
    import models

    return models.build("resnet18", classes)


@dataclass(frozen=True)
class Run:
    """A training run, and the rule that has to fire on it."""

    name: str
    what: str
    rule: str | None = None  # of a healthy one none
    options: tuple[str, ...] = ()  # train.py's
    network: Callable[[int], nn.Module] | None = None  # by the number of classes; else train.py's
    photos: int | None = None  # a few of the training photos; else all
    collections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # other ones


NEVER = {"eval.start_step": "1000000"}  # smdebug would save the first step of each mode
# Not step 0: a ResNet's blocks begin as the identity, and pass hardly any gradient on (see
# `models.build`). One step later they do.
PARAMETERS = {"train.save_interval": "15", "train.start_step": "1", **NEVER}
OFTEN = {"train.save_interval": "3", **NEVER}
SELDOM = {"train.save_interval": "15", **NEVER}
COLLECTIONS: dict[str, Mapping[str, str]] = {
    "losses": {"train.save_interval": "3", "eval.save_interval": "1"},
    "weights": PARAMETERS,
    "biases": PARAMETERS,
    "gradients": PARAMETERS,
    # Of a ResNet the first ReLU and two late ones: the activations of all would be gigabytes.
    "activations": {
        "include_regex": r"^relu_(in|out)put,layer[24]\.1\.relu_(in|out)put,"
        r"^(stages|layers)\.\d+\.(relu|tanh|sigmoid)_(in|out)put",
        **SELDOM,
    },
    "predictions": {"include_regex": "CrossEntropyLoss_input", **OFTEN},
    "photos": {"include_regex": "^(ResNet|VGG|Plain|DeepSigmoid)_input", **SELDOM},
}


def train(
    run: Run,
    photos: Path,
    tensors: Path,
    options: Sequence[str] = (),
    collections: Mapping[str, Mapping[str, str]] = COLLECTIONS,
) -> list[dict[str, float]]:
    """Make the run on `photos`, a folder of channels; return the metrics of each epoch.

    It saves its tensors in `tensors`, which must not exist yet. `options` are train.py's, for any
    run; the run's own options override them.
    """
    import models
    import train as script
    from checkpoint import Progress, Stop
    from data import make_loaders, read_channels
    from debugger import JobExtras
    from distributed import choose_device
    from features import Feed
    from optim import make_optimizer, make_scheduler, parameter_groups

    work = tensors.with_name(f"{tensors.name}-work")
    arguments = _arguments(run, photos, work, options)
    channels = read_channels(arguments)
    world = choose_device(arguments.precision)
    torch.manual_seed(arguments.seed)
    classes = len(channels["train"].classes)
    model = run.network(classes) if run.network else script.build(arguments, classes)[0]
    model = model.to(world.device, memory_format=torch.channels_last)
    models.set_trainable(model, arguments.model, arguments.train_layers)
    preprocessing = models.preprocessing_of(arguments.model).resized(arguments.image_size)
    loaders = make_loaders(arguments, channels, preprocessing, world)

    criterion = nn.CrossEntropyLoss()
    groups = parameter_groups(model, arguments.lr, arguments.lr * arguments.body_lr)
    optimizer = make_optimizer(groups, arguments)
    scheduler = make_scheduler(optimizer, arguments, arguments.epochs * len(loaders["train"]))
    scaler = torch.amp.GradScaler(world.device.type, enabled=world.precision == "fp16")
    learning, progress = (criterion, optimizer, scheduler, scaler), Progress(world)
    configured = _hook_configured(tensors, {**collections, **run.collections})
    with configured, JobExtras(arguments) as extras:
        extras.register(model, criterion, scaler)
        this = script.Run(arguments, preprocessing, world, extras, Stop(world))
        feed = Feed(model, loaders, arguments, world, extras)
        for epoch in range(1, arguments.epochs + 1):
            script.train_one_epoch(model, feed, *learning, progress, this, lambda: None)
            valid = script.evaluate(model, feed, criterion, epoch, this)
            progress.end_epoch(*valid, model, keep_best=False)
        extras.close_tensors()
    shutil.rmtree(work, ignore_errors=True)
    return progress.history


def _arguments(run: Run, photos: Path, work: Path, options: Sequence[str]) -> Any:
    from debugger import JobExtras
    from options import parse

    learnt = _some(photos / "train", work / "train", run.photos) if run.photos else photos / "train"
    words = ["--train-dir", learnt, "--valid-dir", photos / "valid", "--model-dir", work]
    words += ["--weights", "random", "--image-size", "64", "--nan-loss", "continue"]
    words += [*options, *run.options]
    return parse([str(word) for word in words], JobExtras)


def _some(channel: Path, folder: Path, count: int) -> Path:
    """Copy `count` of a channel's photos, as many of each class as of any other, into `folder`."""
    classes = sorted(path for path in channel.iterdir() if path.is_dir())
    for kind in classes:
        (folder / kind.name).mkdir(parents=True)
        for photo in sorted(kind.iterdir())[: count // len(classes)]:
            shutil.copy(photo, folder / kind.name)
    return folder


@contextmanager
def _hook_configured(tensors: Path, collections: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Configure the hook as SageMaker does, within the context; the hook is removed after it."""
    from smdebug.core import writer
    from smdebug.pytorch.singleton_utils import del_hook

    config = tensors.with_name(f"{tensors.name}.json")
    wanted = [
        {"CollectionName": name, "CollectionParameters": dict(parameters)}
        for name, parameters in collections.items()
    ]
    config.write_text(json.dumps({"LocalPath": str(tensors), "CollectionConfigurations": wanted}))
    before = os.environ.get("SMDEBUG_CONFIG_FILE_PATH")
    os.environ["SMDEBUG_CONFIG_FILE_PATH"] = str(config)
    original = writer.make_tensor_proto  # which each Debugger wraps
    try:
        yield
    finally:
        del_hook()
        writer.make_tensor_proto = original
        os.environ.pop("SMDEBUG_CONFIG_FILE_PATH")
        if before is not None:
            os.environ["SMDEBUG_CONFIG_FILE_PATH"] = before


# VGG's ReLUs have numbers for names.
VGG_ACTIVATIONS = {
    "include_regex": r"^features\.(1|15|29)_(in|out)put,^classifier\.1_(in|out)put",
    **SELDOM,
}
HEALTHY = (
    Run("ResNet18", "healthy: `--model resnet18`", options=("--model", "resnet18")),
    Run("ResNet50", "healthy: `--model resnet50`", options=("--model", "resnet50")),
    Run(
        "VGG16",
        "healthy: `--model vgg16 --lr 1e-4 --batch-size 16`",
        options=("--model", "vgg16", "--lr", "1e-4", "--batch-size", "16"),
        collections={"activations": VGG_ACTIVATIONS},
    ),
)
ILL = (
    Run(
        "zero initialisation",
        "ResNet18 whose convolutions and fully connected layer begin with zeros",
        rule="PoorWeightInitialization",
        network=lambda classes: zeroed(resnet18(classes)),
    ),
    Run(
        "learning rate 1e3",
        "ResNet18 with `--lr 1e3`",
        rule="ExplodingTensor",
        options=("--model", "resnet18", "--lr", "1e3"),
    ),
    Run(
        "saturating",
        "three convolutions with tanh, weights a hundred times too large",
        rule="SaturatedActivation",
        network=saturating,
    ),
    Run(
        "dead ReLU",
        "ResNet18 whose batch normalisations begin with the bias -10",
        rule="DeadRelu",
        network=lambda classes: dead(resnet18(classes)),
    ),
    Run(
        "overfitted",
        "ResNet18 on ten photos, 40 epochs",
        rule="Overfit",
        options=("--model", "resnet18", "--epochs", "40", "--batch-size", "5"),
        photos=10,
        collections={"losses": {"save_interval": "1"}},
    ),
    Run(
        "vanishing gradients",
        "thirty fully connected layers with sigmoids",
        rule="VanishingGradient",
        network=DeepSigmoid,
    ),
)
