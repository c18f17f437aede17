"""ImageNet weights: from a folder, from torchvision's cache, or by download."""

import hashlib
import os
import threading
import urllib.request
from pathlib import Path

import torch

# A machine without a network must learn so soon: name look-ups alone can hang for minutes.
PROBE_SECONDS = 5.0


class WeightsUnavailable(Exception):
    """ImageNet weights cannot be had; the message says why, in one line."""


class WeightsDamaged(Exception):
    """A file of weights is there and is not what its name promises; the message says what to do."""


def load_imagenet(architecture: str, folder: Path | None) -> tuple[dict[str, torch.Tensor], str]:
    """Return torchvision's ImageNet state dict for the architecture and the file's name.

    Looks for any of torchvision's own file names (`resnet50-11ad3fa6.pth`) in `folder`, then in
    torchvision's cache ($TORCH_HOME), and downloads the best one otherwise. A file that is found
    must have the SHA-256 that its name begins to tell.
    Raises WeightsUnavailable, or WeightsDamaged.
    """
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
