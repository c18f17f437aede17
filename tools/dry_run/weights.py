"""A stand-in for ImageNet's weights, so that the dry run's jobs start from a file of the bucket.

    python -m tools.dry_run.weights FILE

puts FILE, which `make` has written, into the bucket of this mode. The numbers in it are random. It
is a safetensors file, which holds no code: nobody has to trust it, and `entry_points/pretrained.py`
asks for no hash of it. No file of torchvision's is imitated, so the check of theirs stays as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import course
from course import weights

NETWORK = "resnet50"  # the network that a student on AWS trains
SEED = 0
# A block adds its output to its input. Without statistics of a data set, 16 blocks in a row would
# make the numbers some hundred times as large; with this factor they keep their size.
LAST_OF_A_BLOCK, FACTOR = ".bn3.weight", 0.25


def make(folder: Path) -> Path:
    """Write random weights of `NETWORK` into `folder`, under the name that train.py looks for."""
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    torch.manual_seed(SEED)
    state = models.get_model(NETWORK).state_dict()
    for name in state:
        if name.endswith(LAST_OF_A_BLOCK):
            state[name] *= FACTOR
    file = folder / f"{NETWORK}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, file)
    return file


def main(file: str) -> None:
    """Upload the file as `python -m course.weights` uploads those of torchvision."""
    print(weights.upload(course.connect(), Path(file)))


if __name__ == "__main__":
    main(sys.argv[1])
