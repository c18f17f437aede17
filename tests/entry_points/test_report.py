"""`entry_points/report.py`: printed lines, scores, result files and the picture."""

import csv
import io
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import report
from report import UNANSWERED, Predictions, draw_confusion, score, write_results

NAMES = ["001.Affenpinscher", "016.Beagle", "057.Dalmatian"]
ABOUT = {
    "architecture": "resnet50",
    "weights": "random",
    "image_size": 224,
    "precision": "bf16",
    "hyperparameters": {},
    "photos": {"test": 24},
    "metrics": {
        "epoch": 2,
    },
    "damaged": [],
}
RIGHT = [index / 255 for index in report.RIGHT]


def names(classes):
    return [f"{i + 1:03}.Breed_{i + 1}" for i in range(classes)]


def predict(labels, predicted, classes=3, confidence=2.0, nan=()):
    """Predictions with the given classes; `nan` are the photos whose logits are not finite."""
    labels = np.array(labels)
    logits = np.zeros((len(labels), classes), np.float32)
    logits[np.arange(len(labels)), predicted] = confidence
    logits[list(nan), 0] = np.nan
    return Predictions([f"b/{i}.jpg" for i in range(len(labels))], labels, logits)


FIVE = predict([0, 0, 1, 2, 2], [0, 1, 1, 2, 2], nan=[4])


# Printed lines and history


def test_metrics_are_printed_with_fixed_digits(capsys):
    report.print_metrics({"epoch": 2, "train_loss": 0.123456, "seconds": 1.239, "images": 48})
    report.print_metrics({"test_macro_f1": 0.5, "images_per_second": 10.06})
    assert capsys.readouterr().out == (
        "epoch=2 train_loss=0.1235 seconds=1.24 images=48\n"
        "test_macro_f1=0.5000 images_per_second=10.1\n"
    )


def test_only_the_first_process_prints(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    report.print_once("one")
    report.print_metrics({"epoch": 1})
    monkeypatch.setenv("RANK", "0")
    report.print_once("two", 3)
    assert capsys.readouterr().out == "two 3\n"


def test_finite_replaces_only_nan_and_infinity():
    given = {"a": float("inf"), "b": -1.5, "c": np.float64("nan"), "d": 3, "e": "nan", "f": None}
    expected = {"a": None, "b": -1.5, "c": None, "d": 3, "e": "nan", "f": None}
    assert report.finite(given) == expected


def test_history_is_replaced_atomically(tmp_path):
    folder = tmp_path / "not" / "there"
    report.write_history(folder, [{"epoch": 1}])
    with (folder / "history.jsonl").open() as before:
        report.write_history(folder, [{"epoch": 1}, {"epoch": 2, "train_loss": math.nan}])
        assert before.read() == '{"epoch": 1}\n'
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert lines == ['{"epoch": 1}', '{"epoch": 2, "train_loss": null}']
    assert [file.name for file in folder.iterdir()] == ["history.jsonl"]


def test_importing_does_not_load_the_slow_packages():
    code = "import sys, report; print(*{'sklearn', 'scipy.stats', 'matplotlib'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": os.path.dirname(report.__file__)}  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert (done.returncode, done.stdout.strip()) == (0, b"")


# Predictions


def test_photos_that_were_not_seen_are_left_out():
    seen = torch.tensor([True, False, True])
    found = Predictions.of(["a", "b", "c"], torch.eye(3), torch.tensor([0, 0, 1]), seen)
    assert (found.files, found.labels.tolist()) == (["a", "c"], [0, 1])
    assert found.logits.tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "files,labels,shape",
    [(["a"], [0, 1], (2, 3)), (["a", "b"], [0], (2, 3)), (["a"], [0], (2, 3)), (["a"], [0], (1,))],
)
def test_mismatched_lengths_are_refused(files, labels, shape):
    with pytest.raises(ValueError, match="expected one label and one row of logits for each file"):
        Predictions(files, np.array(labels), np.zeros(shape))


def test_predicted_class_and_its_softmax_probability():
    logits = np.array([[1, 2, 0.5], [400, -400, 399], [0, np.nan, 9], [np.inf, 0, 0]], np.float32)
    given = Predictions(list("abcd"), np.zeros(4, int), logits)
    assert given.predicted.tolist() == [1, 0, UNANSWERED, UNANSWERED]
    expected = [np.exp(2) / np.exp([1, 2, 0.5]).sum(), 1 / (1 + np.exp(-1)), np.nan, np.nan]
    assert given.probability == pytest.approx(expected, nan_ok=True)


def test_confusion_has_a_row_for_each_true_class_and_no_unanswered_photos():
    given = predict([0, 0, 0, 1, 2, 2], [0, 2, 2, 1, 1, 1], nan=[5])
    assert given.confusion.tolist() == [[1, 0, 2], [0, 1, 0], [0, 1, 0]]


# Scores


@pytest.mark.parametrize(
    "right,photos,low,high",
    [  # R. Newcombe, Statistics in Medicine 17 (1998), table I: Wilson's, uncorrected
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_equal_the_published_table(right, photos, low, high):
    found = score(predict([0] * photos, [0] * right + [1] * (photos - right)), NAMES)["top1"]
    assert (found["right"], found["photos"], found["accuracy"]) == (right, photos, right / photos)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=5e-5)


def test_top1_and_top5_count_ranks():
    # Class 0 is at rank 0, 7, 6, 5, 4, 3, 2, 1 in the eight photos.
    logits = -np.stack([(np.arange(8) - i) % 8 for i in range(8)]).astype(np.float32)
    found = score(Predictions(list("abcdefgh"), np.zeros(8, int), logits), list("ABCDEFGH"))
    assert (found["top1"]["right"], found["top5"]["right"]) == (1, 5)
    assert (found["photos"], found["classes"], found["chance"]) == (8, 8, 1 / 8)


def test_of_equal_logits_the_first_ranks_highest():
    found = score(predict([0, 1, 2, 2], [0, 0, 0, 0], confidence=0.0), NAMES)
    assert found["top1"]["right"] == 1


@pytest.mark.parametrize("classes,name", [(2, "top2"), (4, "top4"), (5, "top5"), (7, "top5")])
def test_top5_is_named_after_the_number_of_classes_if_there_are_fewer(classes, name):
    found = score(predict([0, 1], [1, 0], classes), names(classes))
    assert [key for key in found if key.startswith("top")] == ["top1", name]


def test_macro_f1_is_the_mean_over_breeds_with_photos():
    """Breed 0: precision 2/3, recall 2/4. Breed 1: precision 1/2, recall 1/1. Breed 2: none."""
    found = score(predict([0, 0, 0, 0, 1], [0, 0, 1, 2, 1]), NAMES)["macro_f1"]
    assert found == pytest.approx((2 / (1 + 4 / 2) + 2 / (2 + 1)) / 2)


def test_unanswered_photos_count_as_wrong():
    found = score(predict([0, 0, 1, 2], [0, 0, 1, 2], nan=[0, 2]), NAMES)
    assert (found["top1"]["right"], found["top3"]["right"], found["unanswered"]) == (2, 2, 2)
    assert [(each["right"], each["photos"]) for each in found["breeds"]] == [(1, 2), (0, 1), (1, 1)]
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert (found["confused"], found["loss"]) == ([], None)


def test_a_breed_without_photos_has_no_accuracy():
    breeds = score(predict([0, 0, 0, 0, 1], [0, 0, 0, 1, 2]), NAMES)["breeds"]
    assert [(each["breed"], each["accuracy"]) for each in breeds] == [
        ("001.Affenpinscher", 0.75),
        ("016.Beagle", 0.0),
        ("057.Dalmatian", None),
    ]
    assert (breeds[2]["low"], breeds[2]["high"]) == (None, None)


def test_confused_pairs_are_ordered_by_photos_and_then_by_share():
    labels = [0] * 6 + [1] * 3 + [2] * 4
    predicted = [1, 1, 2, 2, 0, 0, *(0, 0, 1), *(0, 2, 2, 2)]
    confused = score(predict(labels, predicted), NAMES)["confused"]
    assert [(pair["true"][:3], pair["predicted"][:3], pair["photos"]) for pair in confused] == [
        ("016", "001", 2),
        ("001", "016", 2),
        ("001", "057", 2),
        ("057", "001", 1),
    ]
    assert confused[0]["share"] == pytest.approx(2 / 3)


def test_at_most_ten_confused_pairs_are_listed():
    labels, predicted = np.divmod(np.arange(36), 6)
    assert len(score(predict(labels, predicted, 6), names(6))["confused"]) == 10


def test_examples_are_the_mistakes_with_the_highest_probability():
    confidence = np.array([1.0, 4.0, 2.0, 3.0, 9.0])
    (pair,) = score(predict([0] * 5, [1, 1, 1, 1, 0], confidence=confidence), NAMES)["confused"]
    assert (pair["photos"], pair["examples"]) == (4, ["b/1.jpg", "b/3.jpg", "b/2.jpg"])


# Files


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "output" / "data"
    return folder, write_results(folder, FIVE, NAMES, ABOUT)


def test_main_metrics_are_returned_in_order(written):
    _, metrics = written
    order = ["test_loss", "test_accuracy", "test_top5_accuracy", "test_macro_f1", "chance"]
    assert list(metrics) == order
    assert math.isnan(metrics["test_loss"])
    assert [metrics[name] for name in order[1:]] == pytest.approx([0.6, 0.8, 2 / 3, 1 / 3])


def test_loss_is_cross_entropy_and_no_folder_means_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logits, labels = torch.tensor([[800.0, -800.0, 3.0], [0.1, 0.2, 0.3]]), torch.tensor([1, 2])
    given = Predictions(["a", "b"], labels.numpy(), logits.numpy())
    expected = torch.nn.functional.cross_entropy(logits, labels).item()
    assert write_results(None, given, NAMES, {})["test_loss"] == pytest.approx(expected)
    assert not list(tmp_path.iterdir())


def test_json_and_csv_hold_the_scores(written):
    folder, _ = written
    found = sorted(file.name for file in folder.iterdir())
    assert found == ["confusion.png", "model-card.md", "predictions.csv", "test.json"]
    assert json.loads((folder / "test.json").read_text()) == score(FIVE, NAMES)
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    probability = f"{np.exp(2) / (2 + np.exp(2)):.6f}"
    assert rows[0] == ["file", "label", "predicted", "probability"]
    assert rows[2] == ["b/1.jpg", NAMES[0], NAMES[1], probability]
    assert rows[5] == ["b/4.jpg", NAMES[2], "", ""]


def test_no_photos_or_wrong_number_of_names_is_refused(tmp_path):
    empty = Predictions([], np.zeros(0, int), np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="no test photo could be read"):
        write_results(tmp_path / "data", empty, NAMES, ABOUT)
    with pytest.raises(ValueError, match="logits for 3 classes, but 2 class names"):
        write_results(tmp_path / "data", FIVE, NAMES[:2], ABOUT)
    assert not (tmp_path / "data").exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("classes,finite", [(1, True), (2, False), (2, True), (133, True)])
def test_results_are_written_without_warnings(tmp_path, classes, finite):
    labels = np.arange(4 * classes) % classes
    given = predict(labels, labels[::-1], classes, nan=[] if finite else labels)
    if not finite:
        given.logits[:] = np.nan
    write_results(tmp_path, given, names(classes), ABOUT)
    text = (tmp_path / "model-card.md").read_text()
    assert (f"**{len(labels)} of {len(labels)} photos got no answer**" in text) != finite
    assert all(file.stat().st_size < 300_000 for file in tmp_path.iterdir())


@pytest.mark.filterwarnings("error")
def test_file_and_class_names_may_hold_any_bytes_and_letters(tmp_path):
    odd = os.fsdecode(b"001.A/\xff\xe4.jpg")  # not UTF-8
    given = Predictions([odd, odd, "c", "d", "e"], FIVE.labels, FIVE.logits)
    classes = ["柴犬 $x^2_", "Löwchen $\\frac$", f'Pug, "b"\n{odd}']
    write_results(tmp_path, given, classes, ABOUT)
    (pair,) = json.loads((tmp_path / "test.json").read_text())["confused"]
    assert (pair["examples"], pair["true"]) == ([odd], classes[0])
    assert "\\udcff" in (tmp_path / "predictions.csv").read_text()


# Picture


def draw(given, class_names):
    return draw_confusion(given, class_names, score(given, class_names))


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_cells_are_colored_by_their_share_of_the_breeds_photos():
    axes = draw(FIVE, NAMES).axes[0]
    right, wrong = (image.get_array().filled(0).tolist() for image in axes.images)
    assert right == [[0.5, 0, 0], [0, 1, 0], [0, 0, 0.5]]  # one Dalmatian has no answer
    assert wrong == [[0, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    blue = axes.images[0].cmap
    assert blue(1.0)[:3] == pytest.approx(RIGHT)
    assert blue(0.0)[:3] == pytest.approx([1 - 0.25 * (1 - value) for value in RIGHT])


def test_a_breed_without_photos_has_an_empty_row():
    axes = draw(predict([0, 1], [0, 1]), NAMES).axes[0]
    assert all(image.get_array().mask[2].all() for image in axes.images)


def test_few_classes_have_names_and_counts():
    given = predict([0, 0, 1, 2], [0, 1, 1, 2])
    axes = draw(given, [NAMES[0], "柴犬", "x" * 50]).axes[0]
    expected = ["Affenpinscher", "class 2", "x" * 35 + "…"]
    assert tick_labels(axes.xaxis) == tick_labels(axes.yaxis) == expected
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (2, 2): "1"}
    assert axes.get_title("left") == "3 of 4 test photos right: 75.0% (95% interval 30.1% to 95.4%)"


@pytest.mark.parametrize("classes,named", [(27, True), (60, True), (61, False), (1000, False)])
def test_many_classes_have_names_or_numbers(classes, named):
    given = predict(np.arange(classes), np.arange(classes), classes)
    axes = draw(given, names(classes)).axes[0]
    labels = tick_labels(axes.xaxis)
    assert not axes.texts
    assert labels[-1] == (f"Breed {classes}" if named else str(10 * (classes // 10)))
    assert len(labels) <= 60


def test_confused_pairs_of_many_classes_are_ringed_and_listed():
    labels = np.arange(133)
    predicted = np.where(labels == 40, 132, labels)
    axes = draw(predict(labels, predicted, 133), names(133)).axes[0]
    (ring,) = axes.lines
    assert (ring.get_xdata(), ring.get_ydata(), ring.get_marker()) == ([132], [40], "o")
    number, listed = axes.texts
    assert (number.get_text(), number.get_ha()) == ("1", "right")  # left of a ring at the edge
    assert "Breed 41 (41)\n" in listed.get_text()
    assert "1 (100%) predicted as Breed 133 (133)" in listed.get_text()


def test_the_png_is_deterministic_and_grows_with_the_names():
    first, second = (report._png(draw(FIVE, NAMES)) for _ in range(2))
    assert first == second
    with (
        Image.open(io.BytesIO(first)) as image,
        Image.open(io.BytesIO(report._png(draw(FIVE, ["A" * 30, *NAMES[1:]])))) as other,
    ):
        assert "Software" not in image.info
        assert np.subtract(other.size, image.size).min() > 50
