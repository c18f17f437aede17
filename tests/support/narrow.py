"""ResNet18 with an eighth of its channels, for tests in which the network is not the subject.

It has the same layers by the same names, and its model and checkpoints have 1 MB and 2 MB in place
of 45 MB and 134 MB.
"""

import time
from typing import Any

from torch import nn
from torchvision.models import resnet

SHARE = 8
PACE = 0.0  # seconds that a batch takes at least


class ResNet(resnet.ResNet):  # the same name, after which smdebug calls its tensors
    def __init__(self, **options: Any):
        super().__init__(resnet.BasicBlock, [2, 2, 2, 2], **options)
        self.fc = nn.Linear(512 // SHARE, 1000)

    def _make_layer(self, block, planes, *more, **options):
        return super()._make_layer(block, planes // SHARE, *more, **options)

    def forward(self, x):
        time.sleep(PACE)
        return super().forward(x)


def resnet18(*, weights: None = None, **options: Any) -> ResNet:
    """In place of torchvision's function of this name."""
    return ResNet(**options)
