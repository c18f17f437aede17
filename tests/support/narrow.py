"""ResNet18 with an eighth of its channels, for tests in which the network is not the subject.

It has the same layers under the same names. Its model takes 1 MB instead of 45 MB, its checkpoints
2 MB instead of 134 MB.
"""

import time
from typing import Any

from torch import nn
from torchvision.models import ResNet18_Weights, resnet

SHARE = 8
PACE = 0.0  # seconds that a batch takes at least


class ResNet(resnet.ResNet):  # smdebug names its tensors after the class: keep the name
    def __init__(self, **options: Any):
        super().__init__(resnet.BasicBlock, [2, 2, 2, 2], **options)
        self.fc = nn.Linear(512 // SHARE, 1000)

    def _make_layer(self, block, planes, *more, **options):
        return super()._make_layer(block, planes // SHARE, *more, **options)

    def forward(self, x):
        time.sleep(PACE)
        return super().forward(x)


# torchvision finds the weights of a network, and their preprocessing, by this annotation.
def resnet18(*, weights: ResNet18_Weights | None = None, **options: Any) -> ResNet:
    """Stand in for torchvision's function of this name; the weights are always random."""
    return ResNet(**options)


resnet18.__module__ = resnet.__name__  # torchvision lists only what its own modules define
