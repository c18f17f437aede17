"""The networks: torchvision's, with a head of our own; what learns of them, and what stays frozen.

PyTorch is imported only where a network is built, so that the names alone cost nothing.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

ARCHITECTURES = ("resnet50", "resnet18", "vgg16")


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


def learning_parts(model: "nn.Module", architecture: str, layers: str) -> list["nn.Module"]:
    """Return the modules that learn (`layers`: head, last-stage or all) and freeze the others.

    The last stage is ResNet's `layer4`, or VGG's last convolution block with its classifier.
    """
    head = model.get_submodule(head_name(architecture))
    if layers == "all":
        parts = [model]
    elif layers == "head":
        parts = [head]
    elif architecture == "vgg16":
        parts = [model.features[24:], model.classifier]
    else:
        parts = [model.layer4, head]
    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    return parts


def set_training(model: "nn.Module", parts: list["nn.Module"]) -> None:
    """Put the parts that learn into training mode; frozen ones stay as in evaluation.

    Otherwise batch normalisation would go on adapting its statistics in the frozen body.
    """
    model.eval()
    for part in parts:
        part.train()
