"""ImageNet's weights in the bucket: fetched once, for all jobs, also for those in a closed VPC.

    python -m course.weights resnet50 vgg16

takes torchvision's best file for each network (from its cache, else by download) and uploads it to
the prefix that the notebooks hand to the jobs as the channel `weights`.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course.workspace import Workspace

FOLDER = "weights"


class WrongWeights(ValueError):
    """A file is not the one that its name promises, or cannot be had; the text says which."""


def stored(ws: Workspace) -> list[str]:
    """Names of the files in the bucket's weights folder; empty if nobody has uploaded any."""
    prefix = f"{ws.prefix}/{FOLDER}/"
    pages = ws.session.boto_session.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=ws.bucket, Prefix=prefix)
    keys = [item["Key"] for page in found for item in page.get("Contents", [])]
    return sorted(key.removeprefix(prefix) for key in keys if not key.endswith("/"))


def local_file(network: str) -> Path:
    """torchvision's best ImageNet weights of `network`, in its cache; downloaded if need be.

    Raises:
        WrongWeights: no such network, no network connection, or a cached file with another hash.
    """
    from torch import hub
    from torchvision import models

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
