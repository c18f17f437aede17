"""The stand-in for ImageNet's weights: train.py takes it, and it holds nothing but numbers."""

import pytest
import torch
from safetensors import safe_open

import models
import pretrained
from course import weights
from tools.dry_run.weights import NETWORK, make


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "weights")


def test_it_has_a_name_that_the_notebooks_and_train_py_look_for(file):
    assert file.name in weights.FILES[NETWORK]
    assert pretrained.load_imagenet(NETWORK, file.parent)[1] == file.name


def test_the_same_numbers_every_time_and_no_pickle(file, tmp_path):
    assert make(tmp_path).read_bytes() == file.read_bytes()
    with safe_open(file, "pt") as opened:
        assert "conv1.weight" in opened.keys()  # noqa: SIM118 - it is no dict


def test_the_network_neither_dies_nor_explodes_with_it(file):
    state, name = pretrained.load_imagenet(NETWORK, file.parent)
    model = models.build(NETWORK, classes=12).eval()
    pretrained.load_body(model, state, name)
    photos = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = torch.nn.Sequential(*list(model.children())[:-1])(photos)
    assert 0.05 < features.std() < 5
