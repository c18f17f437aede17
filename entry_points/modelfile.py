"""The model as it is shipped: `model.safetensors` with the weights, `model.json` with the rest.

Nothing in them is code, so that any version of PyTorch, and any other program, can read them.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from networks import build

if TYPE_CHECKING:
    from torch import nn

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"


def require_safetensors() -> None:
    """Raise RuntimeError now, and not after the training, if no model could be written."""
    if find_spec("safetensors") is None:
        raise RuntimeError(
            "safetensors is not installed, so no model could be saved: name requirements.txt as "
            "the job's requirements (ModelTrainer installs none by itself)"
        )


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
