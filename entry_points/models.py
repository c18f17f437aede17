"""Build a network by name, with a head for our classes; save it and load it.

A model is shipped as `model.safetensors`, which holds the weights, and `model.json`, which holds
the rest. Neither contains code, so any version of PyTorch, and any other program, can read them.
"""

import copy
import difflib
import json
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models as torchvision_models

from distributed import has_bf16
from options import ConfigError, layers
from preprocess import Preprocessing

try:
    from safetensors.torch import load_file, save_file
except ImportError as error:  # now, and not after the training
    raise RuntimeError(
        "safetensors is not installed, so no model could be saved: name requirements.txt as the "
        "job's requirements (ModelTrainer installs none by itself)"
    ) from error

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"
# Our names for networks that timm knows by another one.
TIMM_NAMES = {"efficientnet_lite0": "tf_efficientnet_lite0"}
# The modules that `--train-layers last-stage` trains besides the head.
LAST_STAGES = {
    "resnet50": ("layer4",),
    "resnet18": ("layer4",),
    "vgg16": ("features.24", "features.26", "features.28", "classifier"),
    "efficientnet_lite0": ("blocks.6", "conv_head", "bn2"),
}
# Each residual block starts as the identity: from random weights, that learns in fewer steps
# (Goyal et al. 2017, section 5.1). The others return a second output, which nothing here reads.
TORCHVISION_OPTIONS = {
    "resnet18": {"zero_init_residual": True},
    "resnet50": {"zero_init_residual": True},
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def build(
    name: str,
    classes: int,
    head_layers: int = 1,
    hidden_units: int = 512,
    dropout: float | None = None,
) -> nn.Module:
    """Return a network with random weights and a new head: see `create` and `new_head`."""
    model = create(name, dropout)
    head = new_head(model, classes, head_layers, hidden_units)
    model.set_submodule(model.head_name, head)
    return model


def create(name: str, dropout: float | None = None) -> nn.Module:
    """Return a network with random weights and its own head: (N, 3, H, W) to (N, 1000) logits.

    `name` is torchvision's or timm's. `model.head_name` is the name of its last fully connected
    layer. `dropout` is the rate of the dropout layers of the network, or, if it has none, of one in
    the new head; None changes nothing.

    Raises:
        ConfigError: the network is unknown, or does not end in a fully connected layer.
    """
    model = _create(name)
    model.head_name = _last_linear(model, name)
    own = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    for module in own if dropout is not None else []:
        module.p = dropout
    model.head_dropout = 0.0 if own or dropout is None else dropout
    _train_depthwise_in_fp32(model)
    return model


def new_head(
    model: nn.Module, classes: int, head_layers: int = 1, hidden_units: int = 512
) -> nn.Module:
    """Return a head with random weights for the network: (N, features) to (N, classes) logits.

    It has `head_layers` fully connected layers, with `hidden_units` between them.
    """
    features = model.get_submodule(model.head_name).in_features
    return _head(features, classes, head_layers, hidden_units, model.head_dropout)


def _create(name: str) -> nn.Module:
    """Return the network with random weights and its own head."""
    known = torchvision_models.list_models(torchvision_models)
    if name in known:
        options = TORCHVISION_OPTIONS.get(name, {})
        return torchvision_models.get_model(name, weights=None, **options)
    timm = import_timm(name)
    if timm.is_model(TIMM_NAMES.get(name, name)):
        return timm.create_model(TIMM_NAMES.get(name, name), pretrained=False)
    near = difflib.get_close_matches(name, [*known, *TIMM_NAMES, *timm.list_models()], n=3)
    raise ConfigError(
        f"torchvision and timm know no network {name!r}: "
        f"{'did you mean ' + ', '.join(near) if near else 'try resnet50 or vgg16'}?"
    )


def import_timm(name: str) -> Any:
    """Import timm, which takes a second and is in no container, only for a network that needs it.

    Raises RuntimeError if it is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise RuntimeError(
            f"torchvision has no network {name!r}, and timm is not installed: name "
            "requirements.txt as the job's requirements"
        ) from error
    return timm


def _train_depthwise_in_fp32(model: nn.Module) -> None:
    """Have depthwise convolutions that train on the CPU leave autocast's bf16.

    Their backward pass takes several times as long in bf16 as in fp32 (oneDNN in PyTorch 2.13): a
    step of EfficientNet-Lite0 took 1.1 s instead of 0.65 s. Without gradients, bf16 is faster.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            module.forward = partial(_depthwise_forward, module, module.forward)


def _depthwise_forward(
    module: nn.Conv2d, forward: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> torch.Tensor:
    training = torch.is_grad_enabled() and (images.requires_grad or module.weight.requires_grad)
    if not training or images.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return forward(images)
    with torch.autocast("cpu", enabled=False):
        return forward(images.float())


def _last_linear(model: nn.Module, name: str) -> str:
    """Return the name of the layer that makes the logits."""
    linear = [n for n, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear or model.get_submodule(linear[-1]).out_features != 1000:
        raise ConfigError(f"{name} does not end in a fully connected layer: choose another network")
    return linear[-1]


def _head(features: int, classes: int, layers: int, units: int, dropout: float) -> nn.Module:
    widths = [features, *[units] * (layers - 1), classes]
    steps: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
    for inputs, outputs in pairwise(widths):
        # Not in place: a debugger that saves a layer's input must find it unchanged.
        steps += [nn.Linear(inputs, outputs), nn.ReLU()]
    steps.pop()
    return steps[0] if len(steps) == 1 else nn.Sequential(*steps)


def preprocessing_of(name: str) -> Preprocessing:
    """Return what the network must be fed, as its ImageNet weights were trained.

    A network of which there are no such weights gets ImageNet's usual values.
    """
    if name in torchvision_models.list_models(torchvision_models):
        crop = torchvision_models.get_model_weights(name).DEFAULT.transforms()
        way = crop.interpolation.value
        return Preprocessing(crop.crop_size[0], way, tuple(crop.mean), tuple(crop.std))
    if name == "efficientnet_lite0":  # its authors': (pixel - 127) / 128
        return Preprocessing(224, "bicubic", (127 / 255,) * 3, (128 / 255,) * 3)
    trained = import_timm(name).get_pretrained_cfg(name)
    if trained is None:
        return Preprocessing()
    way = trained.interpolation
    return Preprocessing(trained.input_size[-1], way, tuple(trained.mean), tuple(trained.std))


def preprocessing_for(model: nn.Module, options: Namespace) -> Preprocessing:
    """Return what this network must be fed, at `--image-size` if it is given.

    Raises ConfigError if it does not take photos of this size.
    """
    preprocessing = preprocessing_of(options.model).resized(options.image_size)
    check_size(model, options.model, preprocessing.image_size)
    return preprocessing


def check_size(model: nn.Module, name: str, image_size: int) -> None:
    """Raise ConfigError if the network does not take photos of `image_size` pixels a side."""
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{name} does not take photos of {image_size} pixels ({reason}): leave --image-size "
            "out, or choose a larger one"
        ) from error
    finally:
        model.train(was_training)


def set_trainable(model: nn.Module, name: str, layers: str) -> list[nn.Module]:
    """Freeze all parameters but those of the layers: head, last-stage or all. Return the modules.

    Raises ConfigError for the last stage of a network that LAST_STAGES does not list.
    """
    if layers == "all":
        model.requires_grad_(True)
        return [model]
    places = [model.head_name]
    if layers == "last-stage":
        if name not in LAST_STAGES:
            known = ", ".join(LAST_STAGES)
            raise ConfigError(
                f"--train-layers last-stage is known for {known}, not for {name}: choose head or "
                "all"
            )
        stages = LAST_STAGES[name]
        inside = any(model.head_name.startswith(f"{stage}.") for stage in stages)
        places = [*stages] if inside else [*stages, model.head_name]
    model.requires_grad_(False)
    modules = [model.get_submodule(place) for place in places]
    for module in modules:
        module.requires_grad_(True)
    return modules


def set_training(model: nn.Module, options: Namespace, epoch: int) -> None:
    """Put the layers that train in this epoch into training mode, and freeze the others.

    Frozen layers stay in evaluation mode: else batch normalisation would go on adapting its
    statistics to our photos. With `--batch-norm frozen` it does so in no layer.
    """
    model.eval()
    for module in set_trainable(model, options.model, layers(options, epoch)):
        module.train()
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.train(options.batch_norm == "train")


def body(model: nn.Module) -> nn.Module:
    """Return the network without its head, sharing its weights: (N, 3, H, W) to (N, features)."""
    bare, *names = [copy.copy(model), *model.head_name.split(".")]
    inner = bare
    for name in names[:-1]:
        inner._modules = {**inner._modules, name: copy.copy(inner._modules[name])}
        inner = inner._modules[name]
    inner._modules = {**inner._modules, names[-1]: nn.Identity()}
    return bare


def with_weights_in(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy whose convolutions and fully connected layers hold weights of `dtype`.

    Within autocast to `dtype` it computes the same, to the last bit, as the network does. But
    autocast casts frozen weights again for each batch: on a CPU, VGG16's features took a third
    longer that way.
    """
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.to(dtype)
    return network


def card(
    options: Namespace,
    class_names: list[str],
    weights: str,
    preprocessing: Preprocessing,
    precision: str,
) -> dict[str, Any]:
    """Return what `model.json` holds of the network; `class_names` are in the order of the labels.

    `precision` is that of the validation. The endpoint uses it if its processor can.
    """
    return {
        "architecture": options.model,
        "head_layers": options.head_layers,
        "hidden_units": options.hidden_units,
        "dropout": options.dropout,
        "class_names": class_names,
        **preprocessing.card(),
        "precision": precision,
        "weights": weights,
    }


def serving_precision(validated: str, device: torch.device) -> str:
    """Return the precision to serve in: that which was validated, if the device has it, or fp32."""
    if validated == "bf16" and has_bf16(device):
        return validated
    return "fp16" if validated == "fp16" and device.type == "cuda" else "fp32"


def save_model(model: nn.Module, card: dict[str, Any], folder: Path) -> None:
    """Write the weights, as contiguous float32 tensors, and the card.

    The card needs `architecture`, `head_layers`, `hidden_units` and `class_names` (in label order)
    to be loaded, and `image_size` to be served.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        tensors[name] = value.float() if value.is_floating_point() else value
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2, allow_nan=False) + "\n")


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network in evaluation mode, on the CPU, and the card.

    Raises FileNotFoundError naming the file, or RuntimeError if weights and card do not fit.
    """
    for name in (CARD_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}: is this an archive from train.py?")
    card = json.loads((folder / CARD_FILE).read_text())
    head = (card["head_layers"], card["hidden_units"], card.get("dropout"))
    shape, weights = (card["architecture"], len(card["class_names"]), *head), folder / WEIGHTS_FILE
    # On "meta" nothing is allocated and no random weights are drawn, which takes VGG16 seconds.
    with torch.device("meta"):
        model = build(*shape)
    model.load_state_dict(load_file(weights), assign=True)
    if any(buffer.is_meta for buffer in model.buffers()):  # one that no state dict holds
        model = build(*shape)
        model.load_state_dict(load_file(weights))
    return model.to(memory_format=torch.channels_last).eval(), card
