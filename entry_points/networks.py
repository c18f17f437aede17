"""The networks: torchvision's, with a head of our own; ImageNet's weights for them, and files.

A model is shipped as `model.safetensors` with the weights and `model.json` with the rest: nothing
in them is code, so that any version of PyTorch, and any other program, can read them.

PyTorch is imported only where a network is built, so that the names alone cost nothing.
"""

import copy
import hashlib
import json
import os
import threading
import urllib.request
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photos import MEAN, STD, DataError

if TYPE_CHECKING:
    import torch
    from torch import nn

ARCHITECTURES = ("resnet50", "resnet18", "vgg16")
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"
# A machine without a network must learn so soon: name look-ups alone can hang for minutes.
PROBE_SECONDS = 5.0


def build(
    architecture: str,
    classes: int,
    head_layers: int = 1,
    hidden_units: int = 512,
    dropout: float = 0.5,
) -> "nn.Module":
    """Return the network with random weights: (N, 3, H, W) floats to (N, classes) logits.

    Its head is `head_layers` fully connected layers, with `hidden_units` between them; `dropout`
    is that of VGG16's classifier (a ResNet has none).
    Raises ValueError for an architecture other than those in ARCHITECTURES.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {architecture!r}: choose from {ARCHITECTURES}")
    if architecture == "vgg16":
        from torchvision.models.vgg import vgg16

        model = vgg16(weights=None, dropout=dropout)
        model.classifier[6] = _head(4096, classes, head_layers, hidden_units)
        return model
    from torchvision.models import resnet

    # Each block starts as the identity: from scratch, that learns in fewer steps
    # (Goyal et al. 2017, section 5.1).
    model = getattr(resnet, architecture)(weights=None, zero_init_residual=True)
    model.fc = _head(model.fc.in_features, classes, head_layers, hidden_units)
    return model


def _head(features: int, classes: int, layers: int, units: int) -> "nn.Module":
    from torch import nn

    widths = [features, *[units] * (layers - 1), classes]
    if layers == 1:
        return nn.Linear(features, classes)
    steps: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        # Not in place: a debugger that saves a layer's input must find it unchanged.
        steps += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*steps[:-1])


def head_name(architecture: str) -> str:
    """Return the name of the module that is the head, as in the state dict's keys."""
    return "classifier.6" if architecture == "vgg16" else "fc"


def load_body(model: "nn.Module", architecture: str, state: dict[str, "torch.Tensor"]) -> None:
    """Load all but the head from torchvision's state dict; ValueError if it does not fit."""
    head = head_name(architecture) + "."
    expected = {n: v.shape for n, v in model.state_dict().items() if not n.startswith(head)}
    body = {name: value for name, value in state.items() if not name.startswith(head)}
    wrong = [n for n in expected if n not in body or body[n].shape != expected[n]]
    wrong += [name for name in body if name not in expected]
    if wrong:
        raise ValueError(
            f"these are no weights of {architecture}: {len(wrong)} tensors are missing, too many "
            f"or of another shape, the first is {wrong[0]}"
        )
    model.load_state_dict(body, strict=False)


def start(arguments: Any, classes: int) -> tuple["nn.Module", str, str]:
    """Return the network, its starting weights (imagenet or random) and a text about them.

    `arguments` are train.py's. Raises DataError if ImageNet's weights are asked for and cannot be
    had, or what is there is damaged or another network's; RuntimeError if no model could be saved.
    """
    require_safetensors()

    def new(dropout: float) -> "nn.Module":
        head = (arguments.head_layers, arguments.hidden_units)
        chosen = dropout if arguments.dropout is None else arguments.dropout
        return build(arguments.model, classes, *head, dropout=chosen)

    about = "random (as asked)"
    if arguments.weights != "random":
        try:
            state, file = load_imagenet(arguments.model, arguments.weights_dir)
            model = new(dropout=0.5)
            load_body(model, arguments.model, state)
            return model, "imagenet", f"imagenet ({file})"
        except ValueError as error:
            raise DataError(f"{file}: {error}; give torchvision's own file") from error
        except WeightsDamaged as error:  # whoever put it there does not want to start from scratch
            raise DataError(str(error)) from error
        except WeightsUnavailable as reason:
            about = f"random (ImageNet weights could not be had: {reason})"
            if arguments.weights == "imagenet":
                raise DataError(
                    f"ImageNet weights could not be had: {reason}; give a folder with torchvision's"
                    " file as --weights-dir (channel 'weights'), or --weights random"
                ) from reason
    # Dropout pays in long training; in a few epochs from scratch it drowns what VGG16 learns.
    return new(dropout=0.0), "random", about


def learning_parts(model: "nn.Module", architecture: str, layers: str) -> list["nn.Module"]:
    """Return the modules that learn (`layers`: head, last-stage or all) and freeze the others.

    The last stage is ResNet's `layer4`, or VGG's last convolution block with its classifier.
    """
    if layers == "all":
        model.requires_grad_(True)
        return [model]
    head = model.get_submodule(head_name(architecture))
    if layers == "head":
        parts = [head]
    elif architecture == "vgg16":
        parts = [model.features[24:], model.classifier]
    else:
        parts = [model.layer4, head]
    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    return parts


def set_training(model: "nn.Module", parts: list["nn.Module"], batch_norm: bool = True) -> None:
    """Put the parts that learn into training mode; frozen ones stay as in evaluation.

    Otherwise batch normalisation would go on adapting its statistics in the frozen body. Without
    `batch_norm` it does so in no part.
    """
    from torch import nn

    model.eval()
    for part in parts:
        part.train()
        for module in part.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train(batch_norm)


def parameter_groups(model: "nn.Module", arguments: Any) -> list[dict[str, Any]]:
    """Return an optimiser's groups: the head at rate `lr`, what else learns at `body_lr` of it."""
    parts = learning_parts(model, arguments.model, arguments.train_layers)
    learning = [parameter for part in parts for parameter in part.parameters()]
    if arguments.body_lr == 1:
        return [{"params": learning, "lr": arguments.lr}]
    head = list(model.get_submodule(head_name(arguments.model)).parameters())
    body = [p for p in learning if all(p is not h for h in head)]
    rates = ((head, arguments.lr), (body, arguments.lr * arguments.body_lr))
    return [{"params": parameters, "lr": lr} for parameters, lr in rates if parameters]


def body(model: "nn.Module", architecture: str) -> "nn.Module":
    """Return the network without its head, which it shares: (N, 3, H, W) floats to (N, F)."""
    from torch import nn

    bare = copy.copy(model)
    bare._modules = dict(model._modules)
    if architecture == "vgg16":
        bare.classifier = model.classifier[:6]
    else:
        bare.fc = nn.Identity()
    return bare


def require_safetensors() -> None:
    """Raise RuntimeError now, and not after the training, if no model could be written."""
    if find_spec("safetensors") is None:
        raise RuntimeError(
            "safetensors is not installed, so no model could be saved: name requirements.txt as "
            "the job's requirements (ModelTrainer installs none by itself)"
        )


def card(
    arguments: Any, class_names: list[str], weights: str, hyperparameters: dict[str, Any]
) -> dict[str, Any]:
    """Return what a model file says besides the weights; `class_names` are in label order."""
    return {
        "architecture": arguments.model,
        "head_layers": arguments.head_layers,
        "hidden_units": arguments.hidden_units,
        "class_names": class_names,
        "image_size": arguments.image_size,
        "mean": list(MEAN),
        "std": list(STD),
        "weights": weights,
        "hyperparameters": hyperparameters,
    }


def save_model(model: "nn.Module", card: dict[str, Any], folder: Path) -> None:
    """Write the weights, as contiguous float32 tensors, and the card.

    The card needs `architecture`, `head_layers`, `hidden_units` and `class_names` (in label order)
    to be loaded, and `image_size` to be served.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        tensors[name] = value.float() if value.is_floating_point() else value
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2, allow_nan=False) + "\n")


def load_model(folder: Path) -> tuple["nn.Module", dict[str, Any]]:
    """Return the network in evaluation mode, on the CPU, and the card.

    Raises FileNotFoundError naming the file, or RuntimeError if weights and card do not fit.
    """
    import torch
    import torchvision  # noqa: F401  (its first import reads tensors, which those on "meta" refuse)
    from safetensors.torch import load_file

    for name in (CARD_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}: is this an archive from train.py?")
    card = json.loads((folder / CARD_FILE).read_text())
    # On "meta" nothing is allocated and no random weights are drawn: seconds, for VGG16.
    with torch.device("meta"):
        model = build(
            card["architecture"],
            len(card["class_names"]),
            card["head_layers"],
            card["hidden_units"],
        )
    model.load_state_dict(load_file(folder / WEIGHTS_FILE), assign=True)
    return model.to(memory_format=torch.channels_last).eval(), card


class WeightsUnavailable(Exception):
    """ImageNet weights cannot be had; the message says why, in one line."""


class WeightsDamaged(Exception):
    """A file of weights is there and is not what its name promises; the message says what to do."""


def load_imagenet(architecture: str, folder: Path | None) -> tuple[dict[str, "torch.Tensor"], str]:
    """Return torchvision's ImageNet state dict for the architecture and the file's name.

    Looks for any of torchvision's own file names (`resnet50-11ad3fa6.pth`) in `folder`, then in
    torchvision's cache ($TORCH_HOME), and downloads the best one otherwise. A file that is found
    must have the SHA-256 that its name begins to tell.
    Raises WeightsUnavailable, or WeightsDamaged.
    """
    import torch

    urls = _urls(architecture)
    names = [url.rpartition("/")[2] for url in urls]
    file = _find(names, folder) or _download(urls[0])
    check_digest(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True), file.name
    except Exception as error:  # torch.load raises half a dozen kinds on a damaged file
        raise WeightsUnavailable(f"{file.name} cannot be read: {_one_line(error)}") from error


def check_digest(file: Path) -> None:
    """Raise WeightsDamaged unless the file's SHA-256 begins as torchvision's name for it says."""
    promised = file.stem.rpartition("-")[2]
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(promised):
        raise WeightsDamaged(
            f"{file.name} is not torchvision's file: its SHA-256 begins with "
            f"{digest[: len(promised)]}, not {promised}; copy or download it anew"
        )


def _urls(architecture: str) -> list[str]:
    """Return the addresses of torchvision's weights, the best first."""
    from torchvision.models import get_model_weights

    choices = get_model_weights(architecture)
    # VGG16 also has weights without a classifier, which evaluate nothing.
    complete = [c for c in choices if c.meta.get("categories") and "FEATURES" not in c.name]
    return [c.url for c in sorted(complete, key=lambda c: c != choices.DEFAULT)]


def _find(names: list[str], folder: Path | None) -> Path | None:
    import torch

    places = [Path(torch.hub.get_dir()) / "checkpoints"]
    if folder is not None:
        if not folder.is_dir():
            raise WeightsUnavailable(f"no folder {folder}, which --weights-dir names")
        # A channel may hold the files themselves or a whole $TORCH_HOME.
        places = [folder, folder / "checkpoints", folder / "hub" / "checkpoints", *places]
    candidates = (place / name for place in places for name in names)
    return next((file for file in candidates if file.is_file()), None)


def _download(url: str) -> Path:
    import torch

    _probe(url)
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    target.parent.mkdir(parents=True, exist_ok=True)
    # Under a name of its own until complete: jobs sharing the cache must not meet half a file.
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        digest = target.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(url, str(partial), hash_prefix=digest, progress=False)
        partial.replace(target)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise WeightsUnavailable(f"download of {target.name} failed: {_one_line(error)}") from error
    return target


def _probe(url: str) -> None:
    """Raise WeightsUnavailable within PROBE_SECONDS unless the address answers."""
    outcome: list[object] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer:
                outcome.append(answer.status)
        except OSError as error:
            if not isinstance(getattr(error, "reason", error), TimeoutError):  # that is no answer
                outcome.append(error)

    # In a thread, since the resolver knows no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if not outcome:
        raise WeightsUnavailable(f"torchvision's server gave no answer within {PROBE_SECONDS:g} s")
    if isinstance(outcome[0], OSError):
        reason = _one_line(outcome[0])
        raise WeightsUnavailable(f"torchvision's server cannot be reached: {reason}")


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
