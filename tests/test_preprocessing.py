"""`entry_points/preprocessing.py`: crops and normalisation, against torchvision's own."""

import pytest
import torch
from PIL import Image
from tiny_photos import draw
from torchvision.models import ResNet50_Weights
from torchvision.transforms.functional import normalize, to_tensor

import preprocessing


def test_normalisation_is_imagenets():
    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()
    image = draw((200, 100, 50))
    ours = preprocessing.normalise(preprocessing.to_batch([image]))[0]
    theirs = normalize(to_tensor(image), preset.mean, preset.std)
    torch.testing.assert_close(ours, theirs)


def test_batches_are_channels_last_in_memory():
    batch = preprocessing.to_batch([draw((200, 100, 50))] * 2)
    assert (batch.shape, batch.dtype) == ((2, 40, 48, 3), torch.uint8)
    floats = preprocessing.normalise(batch)
    assert floats.shape == (2, 3, 40, 48)
    assert floats.is_contiguous(memory_format=torch.channels_last)


def test_the_evaluation_crop_is_torchvisions():
    preset = ResNet50_Weights.IMAGENET1K_V1.transforms()
    image = draw((200, 100, 50), size=(300, 400))
    ours = preprocessing.normalise(preprocessing.to_batch([preprocessing.centre_crop(image, 224)]))
    torch.testing.assert_close(ours[0], preset(image))


@pytest.mark.parametrize("size", [(30, 20), (64, 64), (500, 81)])
def test_crops_have_the_size_asked_for_whatever_the_photos(size):
    image = draw((1, 2, 3), size=size)
    assert preprocessing.centre_crop(image, 64).size == (64, 64)
    assert preprocessing.random_crop(64)(image).size == (64, 64)


def test_shrinking_keeps_the_shape_and_never_enlarges():
    assert preprocessing.shrink(Image.new("RGB", (400, 200)), 50).size == (100, 50)
    assert preprocessing.shrink(Image.new("RGB", (40, 20)), 50).size == (40, 20)
