"""The pictures of a data set: what each shows, and that its title says what is there."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course import dataset, figures
from course.sample_photos import sample
from tests.support.drawn import png, texts


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("set") / "set", classes=12, per_class=(2, 1, 1))


def report(train, sides=(200,), valid=None):
    """A report of classes with so many training photos, and photos with these shorter sides.

    There is one validation photo of each class, unless `valid` says how many there are.
    """
    classes = [f"{i:03d}.Breed_{i}" for i in range(1, len(train) + 1)]
    counts = dict(zip(classes, train, strict=True))
    valid = dict(zip(classes, valid or [1] * len(classes), strict=True))
    counts = {"train": counts, "valid": valid, "test": {}}
    sizes = {Path(f"{i}.jpg"): (side, side + 9) for i, side in enumerate(sides)}
    some = (1, 1)
    return dataset.Report(Path("data"), classes, counts, some, some, some, 0, sizes=sizes)


# ----------------------------------------------------------------------------------------- gallery


def test_gallery_shows_one_named_photo_a_breed(photos):
    figure = figures.gallery(photos)
    assert len(figure.axes) == 12
    assert all(len(axis.images) == 1 for axis in figure.axes)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:3] == ["Beagle", "Border collie", "Dachshund"]
    assert len({round(axis.get_position().y1, 1) for axis in figure.axes}) > 1  # several rows


def test_gallery_is_the_same_for_a_seed_and_spreads_over_the_breeds(photos):
    assert png(figures.gallery(photos, seed=1)) == png(figures.gallery(photos, seed=1))
    titles = [axis.get_title() for axis in figures.gallery(photos, classes=3).axes]
    assert titles[0] == "Beagle"
    assert titles[-1] == "Saint bernard"
    assert len(titles) == 3


def test_gallery_passes_over_a_damaged_photo_and_a_hidden_folder(photos, tmp_path):
    for name in ("016.Beagle", "124.Poodle", ".ipynb_checkpoints"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.jpg").write_bytes(b"no photo")
    good = next((photos / "train" / "124.Poodle").iterdir())
    (tmp_path / "train" / "124.Poodle" / "2.jpg").write_bytes(good.read_bytes())
    beagle, poodle = figures.gallery(tmp_path).axes
    assert np.asarray(beagle.images[0].get_array()).std() == 0
    assert np.asarray(poodle.images[0].get_array()).std() > 10


def test_a_photo_that_the_camera_has_turned_is_shown_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "train" / "a").mkdir(parents=True)
    Image.new("RGB", (90, 40)).save(tmp_path / "train" / "a" / "1.jpg", exif=exif)
    high, wide = figures.gallery(tmp_path).axes[0].images[0].get_array().shape[:2]
    assert high > wide


def test_gallery_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train has no class folders to show"):
        figures.gallery(tmp_path)


def test_variety_has_a_row_of_photos_for_each_breed(photos):
    figure = figures.variety(photos, classes=3, photos=2)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [name for name in ("Beagle", titles[2], "Saint bernard") for _ in range(2)]
    first, second = figure.axes[:2]
    assert first.get_position().x0 < second.get_position().x0
    assert not np.array_equal(first.images[0].get_array(), second.images[0].get_array())


def test_a_breed_with_fewer_photos_leaves_its_row_unfilled(photos):
    figure = figures.variety(photos, classes=2, photos=4)
    assert [axis.get_title() for axis in figure.axes] == ["Beagle"] * 2 + ["Saint bernard"] * 2
    lefts = [axis.get_position().x0 for axis in figure.axes]
    assert lefts[2] < 0.25  # the second breed begins a row


# ------------------------------------------------------------------------------------------ counts


def bars(axis):
    return [bar for bar in axis.patches if bar.get_height() and bar.get_width()]


def test_up_to_forty_classes_have_a_bar_for_each_split_in_label_order():
    axis = figures.counts(report(range(1, 41))).axes[0]
    assert [x.get_text() for x in axis.get_yticklabels()] == [f"Breed {i}" for i in range(1, 41)]
    assert [bar.get_width() for bar in axis.patches[:40]] == list(range(1, 41))
    assert {"train 820", "valid 40", "test 0"} <= {x.get_text() for x in axis.get_legend().texts}
    assert axis.get_title("left") == "40 breeds with 1 to 40 training photos each"


def test_count_labels_do_not_overlap():
    figure = figures.counts(report(range(1, 41)))
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 >= b.y1 - 1.5 for a, b in pairwise(boxes))


def test_more_classes_are_counted_by_their_number_of_photos():
    axis = figures.counts(report([30] * 40 + [50] * 60 + [70] * 33)).axes[0]
    assert [bar.get_height() for bar in bars(axis)] == [40, 60, 33]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("training photos of a breed", "breeds")
    assert axis.get_title("left") == "133 breeds with 30 to 70 training photos each"
    assert "median 50" in texts(axis.figure)


@pytest.mark.parametrize("classes", [12, 133])
def test_of_an_even_data_set_only_the_intervals_are_drawn(classes):
    (axis,) = figures.counts(report([16] * classes, valid=[4] * classes)).axes
    assert axis.get_title("left").startswith("With 4 photos: 30% to 95%; with ")
    right = round(3 * classes)
    names = [name.get_text() for name in axis.get_yticklabels()]
    assert names == ["one breed:\n3 of 4 right", f"all breeds:\n{right} of {4 * classes} right"]


def test_the_intervals_are_of_the_fewest_and_the_most_validation_photos():
    axis = figures.counts(report([9, 9, 9, 9], valid=[0, 4, 6, 8])).axes[1]
    names = [name.get_text().partition(":\n") for name in axis.get_yticklabels()]
    assert [(who, said) for who, _, said in names] == [
        ("fewest photos", "3 of 4 right"),
        ("most photos", "6 of 8 right"),
        ("all breeds", "14 of 18 right"),
    ]
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.75, 0.75, 14 / 18])


def test_without_validation_photos_there_is_no_interval():
    (axis,) = figures.counts(report([3, 3], valid=[0, 0])).axes
    assert axis.get_title("left") == "2 breeds with 3 training photos each"


@pytest.mark.parametrize(
    ("train", "valid", "text"),
    [
        ([16] * 50, [4] * 50, "Each breed has 16 training, 4 validation and 0 test photos."),
        ([7, 26, 77], [1, 1, 1], "Photos per breed: train 7 to 77 (median 26), valid 1, test 0. "
         "For training, fewest: Breed 1, most: Breed 3."),
        ([7, 7], [1, 2], "Photos per breed: train 7, valid 1 to 2 (median 1.5), test 0."),
    ],
)  # fmt: skip
def test_a_sentence_says_how_even_the_classes_are(train, valid, text):
    assert figures.balance(report(train, valid=valid)) == text


# ------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("sides", "title"),
    [
        ((200, 256), "No photo has a shorter side over 256 pixels"),
        ((200, 257, 400), "2 of 3 photos have a shorter side over 256 pixels"),
        ((30, 3000), "1 of 2 photos have a shorter side over 256 pixels"),
        ((300,), "1 of 1 photos have a shorter side over 256 pixels"),
        ((256,), "No photo has a shorter side over 256 pixels"),
    ],
)
def test_sizes_counts_the_photos_over_the_limit(sides, title):
    axis = figures.sizes(report([1], sides)).axes[0]
    assert axis.get_title(loc="left") == title
    assert sum(bar.get_height() for bar in axis.patches) == len(sides)
    over = [bar for bar in axis.patches if bar.get_x() > 256]
    assert sum(bar.get_height() for bar in over) == sum(side > 256 for side in sides)
    assert "(pixels)" in axis.get_xlabel()


def test_sizes_over_a_wide_range_have_a_logarithmic_axis():
    assert figures.sizes(report([1], (30, 3000))).axes[0].get_xscale() == "log"
    assert figures.sizes(report([1], (200, 256))).axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("draw", ["gallery", "variety"])
def test_the_pictures_are_small(photos, draw):
    assert len(png(getattr(figures, draw)(photos))) < 150_000


def test_figures_are_narrow_enough_for_a_phone(photos):
    made = dataclasses.replace(report([1] * 133), folder=photos)
    drawn = [figures.gallery(photos), figures.variety(photos), figures.counts(made)]
    for figure in [*drawn, figures.sizes(made), figures.workflow()]:
        assert figure.get_size_inches()[0] <= 7
