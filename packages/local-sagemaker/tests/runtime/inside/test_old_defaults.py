"""What scripts of an old image's time find as it was, and those of newer images do not."""

import pytest

from engine_support.inside import run_inside

PREPARE = """
import warnings; warnings.simplefilter("ignore")
import numpy as np, torch, torchvision
from PIL import Image
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader
from torchvision import models, transforms
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1)
class Own(LRScheduler):
    def __init__(self, optimizer):
        super().__init__(optimizer, -1, True)
    def get_lr(self):
        return [0.5]
class Weights(torch.utils.data.Dataset): pass
def inception():  # of random weights, as if they had been downloaded
    kind, network = models.Inception_V3_Weights, models.inception_v3(init_weights=False)
    kind.get_state_dict = lambda *_, **__: network.state_dict()
    return models.inception_v3(pretrained=True, aux_logits=False).AuxLogits
def loss(of):
    try:
        of()
    except (AttributeError, TypeError, ValueError) as error:
        return type(error).__name__
"""
HABITS = {  # and the version of PyTorch in whose image each is gone
    "np.Inf": (2, 6),
    "np.float_": (2, 6),
    "np.VisibleDeprecationWarning": (2, 6),
    "np.asfarray([1]).dtype.name": (2, 6),
    "np.float": (2, 0),
    "Image.ANTIALIAS": (1, 13),
    "iter(DataLoader([1])).next()": (1, 13),
    "inception()": (1, 12),
    "transforms.Scale(3)": (1, 11),
    "StepLR(optimizer, 1, verbose=True)": (2, 7),
    "ReduceLROnPlateau(optimizer, verbose=True)": (2, 7),
    "Own(optimizer)": (2, 7),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("old")


@pytest.mark.parametrize(
    "version", ["1.4.0", "1.11.0", "1.12.1", "1.13.1", "2.0.1", "2.6.0", "2.7.1"]
)
def test_habits_work_in_images_of_their_time_and_in_no_others(folder, version):
    script = PREPARE + "".join(f"print(loss(lambda: {habit}))\n" for habit in HABITS)
    named = tuple(map(int, version.split(".")))
    found = dict(zip(HABITS, run_inside(folder, script, version), strict=True))
    works = {habit: answer == "None" for habit, answer in found.items()}
    assert works == {habit: named < gone for habit, gone in HABITS.items()}, found


def test_names_that_numpy_has_anew_keep_their_meaning(folder):
    script = "import numpy; print(numpy.bool is numpy.bool_, numpy.Inf, numpy.int is int)"
    assert run_inside(folder, script, "1.8.1") == ["True inf True"]
