"""Pictures without a dog: the same for a seed, each kind different, readable as photos."""

import io

import numpy as np
import pytest
from PIL import Image

from course.sample_photos import no_dogs


def test_some_of_each_kind_as_files():
    pictures = no_dogs.jpegs(3)
    assert {kind: len(files) for kind, files in pictures.items()} == dict.fromkeys(no_dogs.KINDS, 3)
    for files in pictures.values():
        image = Image.open(io.BytesIO(files[0]))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", no_dogs.SIZE)
        assert len(set(files)) == 3


def test_a_seed_decides():
    assert no_dogs.jpegs(2, seed=1) == no_dogs.jpegs(2, seed=1)
    assert no_dogs.jpegs(1, seed=1)["noise"] != no_dogs.jpegs(1, seed=2)["noise"]


def test_each_kind_is_what_its_name_says():
    rng = np.random.default_rng(0)
    scene, stripes, noise, plain = (np.asarray(paint(rng)) for paint in no_dogs.KINDS.values())
    colours = [len(np.unique(image.reshape(-1, 3), axis=0)) for image in (stripes, noise, plain)]
    assert colours[0] == 2
    assert colours[1] > 10_000
    assert colours[2] == 1
    neighbours = np.abs(np.diff(scene.astype(int), axis=1)).mean()
    assert neighbours < 12  # blurred, where noise has 85


def test_no_picture():
    with pytest.raises(ValueError, match="count=0"):
        no_dogs.jpegs(0)


def test_a_shuffled_photo_has_its_pixels_in_other_places():
    photo = np.arange(48 * 80 * 3, dtype=np.uint32).reshape(48, 80, 3).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    mixed = np.asarray(no_dogs.shuffled(np.random.default_rng(0), file.getvalue()))
    assert mixed.shape == photo.shape
    assert (mixed != photo).any()
    assert (np.sort(mixed.ravel()) == np.sort(photo.ravel())).all()
    assert len(no_dogs.jpegs(1, photos=[file.getvalue()] * 2)["shuffled"]) == 2
