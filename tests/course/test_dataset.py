"""Checking data sets of class folders: what is found, refused and named."""

import numpy as np
import pytest
from PIL import Image

from course import dataset

CLASSES = ("016.Beagle", "057.Dalmatian")


def write_image(file, size=(40, 30), seed=0):
    """A JPEG of noise: as long as a photo of its size, so that it can be cut short."""
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(file)
    return file


@pytest.fixture
def photos(tmp_path):
    """Two classes with 2/1/1 images each; one is small, one large."""
    root = tmp_path / "photos"
    for split, count in (("train", 2), ("valid", 1), ("test", 1)):
        for name in CLASSES:
            for i in range(count):
                write_image(root / split / name / f"{i}.jpg")
    write_image(root / "train" / CLASSES[0] / "0.jpg", (20, 10))
    write_image(root / "test" / CLASSES[1] / "0.jpg", (100, 80))
    return root


def state(folder):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))
    }


# -------------------------------------------------------------------------------------------- check


def test_a_sound_set_is_counted_and_measured(photos):
    before = state(photos)
    report = dataset.check(photos)
    assert report.classes == list(CLASSES)
    assert report.counts["train"] == dict.fromkeys(CLASSES, 2)
    assert report.images == 8
    assert (report.smallest, report.median, report.largest) == ((20, 10), (40, 30), (100, 80))
    sizes = dict(report.facts())["pixels (by area)"]
    assert sizes == "smallest 20x10 · median 40x30 · largest 100x80"
    assert report.bytes == sum(file.stat().st_size for file in photos.rglob("*.jpg"))
    assert (report.damaged, report.not_images, report.missing) == ([], [], {})
    assert state(photos) == before


def test_the_table_has_a_row_a_class_and_a_column_a_split(photos):
    table = dataset.check(photos).table()
    assert list(table.columns) == ["train", "valid", "test"]
    assert table.loc["057.Dalmatian"].tolist() == [2, 1, 1]
    assert table.sum().sum() == 8


def test_a_file_that_lacks_its_last_150_bytes_is_named_with_the_reason(photos):
    file = write_image(photos / "train" / CLASSES[1] / "1.jpg", (200, 150))
    file.write_bytes(file.read_bytes()[:-150])
    report = dataset.check(photos)
    assert report.damaged == [file]
    assert "truncated" in report.reasons[file]
    assert "train/057.Dalmatian/1.jpg (" in str(report)
    assert report.images == 8  # still counted: the file is there


def test_bytes_after_the_end_marker_do_no_harm(photos):
    file = photos / "train" / CLASSES[1] / "1.jpg"
    file.write_bytes(file.read_bytes() + b"\n")
    assert dataset.check(photos).damaged == []


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"<html>404</html>", "cannot identify")]
)
def test_a_file_that_only_calls_itself_an_image_is_damaged(photos, content, reason):
    file = photos / "valid" / CLASSES[0] / "9.jpg"
    file.write_bytes(content)
    report = dataset.check(photos)
    assert report.damaged == [file]
    assert reason in report.reasons[file]
    assert str(photos) not in report.reasons[file]


def test_what_is_no_image_is_listed_and_not_counted(photos):
    stray = photos / "train" / CLASSES[0] / "Thumbs.db"
    resource_fork = photos / "train" / CLASSES[0] / "._0.jpg"
    copy = photos / "train" / CLASSES[0] / ".ipynb_checkpoints" / "0-checkpoint.jpg"
    copy.parent.mkdir()
    for file in (stray, resource_fork, copy):
        file.write_bytes(b"x")
    report = dataset.check(photos)
    assert set(report.not_images) == {stray, resource_fork, copy}
    assert report.images == 8


def test_a_hidden_folder_is_no_class_and_is_named_since_imagefolder_takes_it_for_one(photos):
    hidden = photos / "train" / ".ipynb_checkpoints"
    write_image(hidden / "0-checkpoint.jpg")
    report = dataset.check(photos)
    assert report.classes == list(CLASSES)
    assert (report.images, report.not_images) == (8, [hidden])


def test_a_photo_beside_the_class_folders_is_reported_and_is_not_trained_on(photos):
    beside = write_image(photos / "train" / "lost.jpg")
    above = write_image(photos / "lost.png")
    (photos / "train" / ".DS_Store").write_bytes(b"x")
    (photos / "README.md").write_text("about these photos")
    report = dataset.check(photos)
    assert set(report.outside) == {beside, above}
    assert report.not_images == [photos / "train" / ".DS_Store"]
    assert report.images == len(report.photos) == 8
    assert "in no class folder lost.png; train/lost.jpg" in str(report)


def test_the_photos_to_train_on_are_the_sound_ones_with_their_sizes(photos):
    bad = photos / "valid" / CLASSES[0] / "9.jpg"
    bad.write_bytes(b"no photo")
    report = dataset.check(photos)
    assert bad in report.damaged and bad not in report.photos
    assert len(report.photos) == 8
    assert report.sizes[photos / "train" / CLASSES[0] / "0.jpg"] == (20, 10)


def test_a_class_missing_in_a_split_is_named(photos):
    (photos / "valid" / CLASSES[1] / "0.jpg").unlink()
    for file in (photos / "test" / CLASSES[0]).iterdir():
        file.unlink()
    (photos / "test" / CLASSES[0]).rmdir()
    report = dataset.check(photos)
    assert report.missing == {"valid": ["057.Dalmatian"], "test": ["016.Beagle"]}
    assert report.table().loc["016.Beagle", "test"] == 0
    assert "missing in valid" in str(report)


def test_classes_come_in_the_order_of_imagefolder(photos):
    from torchvision.datasets import ImageFolder

    write_image(photos / "train" / "100.Lowchen" / "0.jpg")
    write_image(photos / "train" / "Zwergpinscher" / "0.jpg")
    assert dataset.check(photos).classes == ImageFolder(photos / "train").classes


def test_a_notebook_shows_the_report_as_a_table_without_foreign_markup(photos):
    (photos / "train" / CLASSES[0] / "<b>.txt").write_text("x")
    html = dataset.check(photos)._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;b&gt;.txt" in html
    assert "<b>" not in html


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*train/, valid/ and test/"):
        dataset.check(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match=r"is empty\. Expected class folders"):
        dataset.check(tmp_path)


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "dogs.csv").write_text("x")
    with pytest.raises(ValueError, match=r"dogs\.csv is a file, not a folder"):
        dataset.check(tmp_path / "dogs.csv")


def test_a_folder_without_the_splits_is_told_what_it_holds(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"no folder valid and no test; it holds train, val"
    ):
        dataset.check(tmp_path)


def test_a_split_without_class_folders(photos):
    for split in ("valid", "test"):
        (photos / split).rename(photos / f"old-{split}")
        write_image(photos / split / "loose.jpg")
    with pytest.raises(ValueError, match=r"valid has no class folders"):
        dataset.check(photos)


def test_a_split_without_images(photos):
    for file in (photos / "test").rglob("*.jpg"):
        file.rename(file.with_suffix(".heic"))
    with pytest.raises(ValueError, match=r"test has class folders and no images.*\.jpg"):
        dataset.check(photos)


def test_a_single_class(tmp_path):
    for split in dataset.SPLITS:
        write_image(tmp_path / split / "Poodle" / "1.jpg")
    with pytest.raises(ValueError, match=r"one class only, Poodle.*Add the class folders"):
        dataset.check(tmp_path)


def test_a_set_of_which_nothing_can_be_read(photos):
    for file in photos.rglob("*.jpg"):
        file.write_bytes(b"x")
    with pytest.raises(ValueError, match="none of the 8 images"):
        dataset.check(photos)


@pytest.mark.parametrize(
    ("name", "breed"),
    [
        ("057.Dalmatian", "Dalmatian"),
        ("001.Golden_retriever", "Golden retriever"),
        ("050.Chinese_shar-pei", "Chinese shar-pei"),
        ("n02085620-Chihuahua", "n02085620-Chihuahua"),
        ("Poodle", "Poodle"),
    ],
)
def test_breed(name, breed):
    assert dataset.breed(name) == breed
