"""`course` and `entry_points` agree on what is a photo, and on how large it may be.

Neither may import the other: jobs are shipped without `course`, and notebooks run without PyTorch.
"""

import pytest

import data
import inference
import preprocess
from course import dataset
from course.widgets import answering


def test_the_check_counts_the_same_files_as_the_training():
    assert set(dataset.IMAGES) == preprocess.SUFFIXES
    assert dataset.FORMATS == preprocess.FORMATS


def test_photos_are_scaled_down_to_what_the_endpoint_takes():
    assert answering.MAX_BYTES == inference.MAX_BYTES
    assert answering.MAX_PIXELS == inference.MAX_PIXELS == preprocess.MAX_PIXELS


@pytest.mark.parametrize("suffix", sorted(preprocess.SUFFIXES))
def test_a_data_set_of_any_suffix_passes_the_check_and_trains(tmp_path, suffix):
    from PIL import Image

    Image.init()
    image_format = Image.registered_extensions().get(suffix)
    for split in dataset.SPLITS:
        for shade, name in enumerate(("1.Beagle", "2.Pug")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            photo = Image.new("L" if suffix == ".pgm" else "RGB", (40, 50), 90 * shade)
            photo.save(folder / f"photo{suffix.upper()}", image_format)
    report = dataset.check(tmp_path)
    assert (report.images, report.damaged, report.not_images) == (6, [], [])
    found = data.list_photos(tmp_path / "train")
    assert found.classes == report.classes
    read = data.Photos(found, preprocess.Preprocessing(32), augment=None)
    assert not any(read[0, place].damaged for place in range(len(read)))


def test_a_format_that_the_training_skips_is_damaged_in_the_check(tmp_path):
    from PIL import Image

    for split in dataset.SPLITS:
        for name in ("1.Beagle", "2.Pug"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (40, 50)).save(tmp_path / split / name / "a.jpg")
    icon = tmp_path / "train" / "1.Beagle" / "icon.jpg"
    Image.new("RGB", (32, 32)).save(icon, "ICO")
    assert dataset.check(tmp_path).damaged == [icon]
    photos = data.Photos(
        data.list_photos(tmp_path / "train"), preprocess.Preprocessing(32), augment=None
    )
    assert photos[0, 1].damaged


@pytest.mark.parametrize("name", ["076.Golden_retriever", "12-Pug", "Pug", "3dogs", "7 Pug"])
def test_a_class_stands_for_the_same_breed(name):
    assert dataset.breed(name) == preprocess.breed(name)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", "076.Boxer", "._076.Boxer"])
def test_the_same_folders_are_hidden(name):
    assert dataset.hidden(name) == data._hidden(name)
