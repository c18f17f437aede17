"""`course/confusions.py`: which photos are shown of the pair that is mixed up most, and how."""

import json
from types import SimpleNamespace

import boto3
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import report
from course import confusions
from course.confusions import photos, side_by_side, worst
from engine_support.clients import BUCKET
from tests.support.tiny_photos import COLOURS, draw, encode, write_channels

BREEDS = [*COLOURS, "057.Dalmatian"]
ABOUT = {
    "architecture": "resnet18", "weights": "random", "precision": "fp32", "image_size": 64,
    "hyperparameters": {},
    "photos": {}, "metrics": {"epoch": 1}, "damaged": [],
}  # fmt: skip


def left(folder, labels, taken, breeds=BREEDS):
    """The files that a job leaves whose network answers `taken`."""
    logits = np.eye(len(breeds), dtype=np.float32)[list(taken)]
    names = [f"{breeds[label]}/{i:03}.jpg" for i, label in enumerate(labels)]
    report.write_results(folder, report.Predictions(names, np.array(labels), logits), breeds, ABOUT)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def ws(reached, request):
    return SimpleNamespace(bucket=BUCKET, prefix=request.node.name)


def test_mistaken_photos_stand_beside_those_of_the_other_breed(tmp_path):
    labels = [0, 0, 0, 0, 0, 1, 1, 1, 1, 2]
    taken = [1, 1, 1, 1, 0, 0, 1, 1, 1, 2]
    found = worst(left(tmp_path, labels, taken))
    assert found == {
        "Affenpinscher, taken for Afghan hound": [f"{BREEDS[0]}/{i:03}.jpg" for i in range(3)],
        # The photo 5 is of the breed, but was not recognised.
        "Afghan hound": [f"{BREEDS[1]}/{i:03}.jpg" for i in (6, 7, 8)],
    }


def test_a_breed_never_recognised_is_shown_nevertheless(tmp_path):
    found = worst(left(tmp_path, [0, 0, 1, 2], [1, 1, 2, 2]))
    assert found["Afghan hound"] == [f"{BREEDS[1]}/002.jpg"]


def test_where_nothing_was_confused_two_breeds_are_shown(tmp_path):
    found = worst(left(tmp_path, [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1], BREEDS[:2]))
    assert {title: len(files) for title, files in found.items()} == {
        "Affenpinscher": 3,
        "Afghan hound": 3,
    }


def test_one_breed_alone_has_a_row_of_its_own(tmp_path):
    assert worst(left(tmp_path, [0, 0], [0, 0], BREEDS[:1])).keys() == {"Affenpinscher"}


def test_class_names_that_look_like_numbers_stay_as_they_are(tmp_path):
    """pandas would make 2 of the class folder 02, and nothing of the one called NA."""
    for breeds in (["01", "02"], ["01", "NA"]):
        found = worst(left(tmp_path, [0, 0, 1], [1, 1, 1], breeds))
        title = f"01, taken for {breeds[1]}"
        assert found[title] == ["01/000.jpg", "01/001.jpg"]
        assert found[breeds[1]] == [f"{breeds[1]}/002.jpg"]


def test_photos_come_from_the_test_channel_upright_and_small(ws, tmp_path):
    write_channels(tmp_path, photos=2, channels=("test",))
    (home,) = (tmp_path / "test").glob("001*")
    turned = Image.Exif()
    turned[0x0112] = 6
    large = draw((200, 60, 60), size=(600, 200))
    (home / "001.jpg").write_bytes(encode(large, exif=turned))
    for file in (tmp_path / "test").rglob("*.jpg"):
        key = f"{ws.prefix}/data/{file.relative_to(tmp_path).as_posix()}"
        boto3.client("s3").upload_file(str(file), BUCKET, key)
    found = photos(ws, {"A": [f"{home.name}/000.jpg", f"{home.name}/001.jpg"], "B": []})
    assert [image.size for image in found["A"]] == [(48, 40), (50, 150)]
    assert found["B"] == []
    red, _, blue = found["A"][0].getpixel((20, 20))
    assert red > blue


def test_each_breed_has_a_row_under_its_title():
    rows = {"One, taken for two": [draw((200, 0, 0))] * 2, "Two": [draw((0, 0, 200))] * 3}
    figure = side_by_side(rows)
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "One, taken for two", "", "", "Two", "", "",
    ]  # fmt: skip
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 0, 1, 1, 1]
    assert plt.get_fignums() == []


def test_all_of_it_survives_the_smallest_test(ws, tmp_path):
    """Two breeds with four photos each, of which none is mistaken."""
    write_channels(tmp_path, photos=8, channels=("test",))
    files, labels = [], []
    for label, name in enumerate(COLOURS):
        for file in sorted((tmp_path / "test" / name).iterdir()):
            files.append(f"{name}/{file.name}")
            labels.append(label)
            key = f"{ws.prefix}/data/test/{files[-1]}"
            boto3.client("s3").upload_file(str(file), BUCKET, key)
    logits = np.eye(2, dtype=np.float32)[labels]
    tested = report.Predictions(files, np.array(labels), logits)
    report.write_results(tmp_path / "data", tested, list(COLOURS), ABOUT)
    found = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    assert json.loads(found["test.json"])["confused"] == []
    figure = side_by_side(photos(ws, worst(found)))
    assert sum(len(axis.images) for axis in figure.axes) == 2 * confusions.SHOWN
