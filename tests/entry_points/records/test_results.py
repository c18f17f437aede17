"""`records/results.py`: the files that a finished run leaves."""

import csv
import json
import math
import os
import types

import numpy as np
import pytest
from PIL import Image

from records import results, scores
from records.results import finite, write_history, write_results

NAMES = ["001.Affenpinscher", "016.Beagle", "057.Dalmatian"]
ABOUT = {
    "architecture": "resnet18",
    "weights": "random (as asked)",
    "image_size": 64,
    "hyperparameters": {"lr": 0.001},
    "photos": {"train": 8, "test": 5},
    "metrics": {"epoch": 2, "valid_loss": float("nan")},
    "damaged": [],
}


def said(files=None):
    logits = np.array(
        [[5, 0, 0], [0, 5, 0], [0, 2, 1], [0, 0, 3], [np.nan, 0, 0]], dtype=np.float32
    )
    labels = np.array([0, 0, 1, 2, 2])
    files = files or [f"{NAMES[label]}/{i}.jpg" for i, label in enumerate(labels)]
    return scores.Tested(files, labels, logits)


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "output" / "data"
    return folder, write_results(folder, said(), NAMES, ABOUT)


# ------------------------------------------------------------------------------------------ history


def test_history_has_a_line_an_epoch(tmp_path):
    folder = tmp_path / "not" / "there"
    history = [{"epoch": 1, "train_loss": 2.5}, {"epoch": 2, "train_loss": float("nan")}]
    write_history(folder, history[:1])
    write_history(folder, history)
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 1, "train_loss": 2.5},
        {"epoch": 2, "train_loss": None},
    ]
    assert "NaN" not in lines[1]
    assert names_in(folder) == ["history.jsonl"]


def test_history_is_replaced_as_a_whole(tmp_path):
    """Whoever reads it meanwhile, or kills the job, finds the one before."""
    write_history(tmp_path, [{"epoch": 1}])
    with (tmp_path / "history.jsonl").open() as before:
        write_history(tmp_path, [{"epoch": 1}, {"epoch": 2}])
        assert before.read() == '{"epoch": 1}\n'
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2
    assert names_in(tmp_path) == ["history.jsonl"]


def test_only_numbers_that_are_none_become_null():
    given = {"a": float("inf"), "b": -1.5, "c": np.float64("nan"), "d": 3, "e": "nan", "f": None}
    assert finite(given) == {"a": None, "b": -1.5, "c": None, "d": 3, "e": "nan", "f": None}


# ------------------------------------------------------------------------------------------ results


def test_the_main_metrics_are_returned(written):
    _, metrics = written
    assert math.isnan(metrics.pop("test_loss"))  # one of the logits is no number
    # Of three breeds all are among the five: but one photo has no answer.
    assert metrics == {"test_accuracy": 0.6, "test_top5_accuracy": 0.8, "chance": 1 / 3}


def test_the_loss_is_pytorchs_and_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    logits = torch.tensor([[800.0, -800.0, 3.0], [0.1, 0.2, 0.3]])
    tested = results.Tested(["a", "b"], np.array([1, 2]), logits.numpy())
    metrics = results.write_results(None, tested, NAMES, {})
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2])).item()
    assert metrics["test_loss"] == pytest.approx(expected)
    assert not list(tmp_path.iterdir())


def test_photos_that_were_not_seen_are_not_scored():
    import torch

    folder = types.SimpleNamespace(names=[f"001.A/{n}.jpg" for n in range(3)])
    values, labels = torch.eye(3), torch.tensor([0, 0, 1])
    found = results.tested(folder, values, labels, torch.tensor([True, False, True]))
    assert found.files == ["001.A/0.jpg", "001.A/2.jpg"]
    assert found.labels.tolist() == [0, 1] and found.logits.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_five_files_are_all_it_leaves(written):
    assert names_in(written[0]) == [
        "confusion.png",
        "model-card.md",
        "predictions.csv",
        "test.json",
    ]


def test_test_json_is_what_was_scored(written):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads((written[0] / "test.json").read_text(), parse_constant=refuse)
    assert found == scores.scored(said(), NAMES)
    assert found["unanswered"] == 1


def test_predictions_have_a_line_a_photo(written):
    with (written[0] / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["label"], row["predicted"]) for row in rows] == [
        ("001.Affenpinscher/0.jpg", NAMES[0], NAMES[0]),
        ("001.Affenpinscher/1.jpg", NAMES[0], NAMES[1]),
        ("016.Beagle/2.jpg", NAMES[1], NAMES[1]),
        ("057.Dalmatian/3.jpg", NAMES[2], NAMES[2]),
        ("057.Dalmatian/4.jpg", NAMES[2], ""),
    ]
    assert float(rows[2]["probability"]) == pytest.approx(
        np.exp(2) / (1 + np.exp(1) + np.exp(2)), abs=1e-6
    )
    assert rows[4]["probability"] == ""


def test_the_picture_is_of_this_test(written):
    with Image.open(written[0] / "confusion.png") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    x, y = 20, 20  # where the title begins
    assert (pixels[y : y + 20, x : x + 200] < 100).any()
    half = results.confusion.colours(np.array(0.5), results.confusion.RIGHT)
    # One of two Affenpinschers is right, and one of two Dalmatians, the other without an answer.
    cells = (pixels == half).all(axis=2).sum() / results.confusion.cell_size(3) ** 2
    assert 1.5 < cells < 2.1


def test_the_card_is_of_this_run(written):
    card = (written[0] / "model-card.md").read_text()
    assert "resnet18 for 3 breeds" in card and "| valid_loss | nan |" in card
    assert "3 of 5" in card and "**1 of 5 photos got no answer**" in card


def test_a_hundred_and_more_breeds(tmp_path):
    names = [f"{i + 1:03}.Breed_{i}" for i in range(133)]
    logits = np.random.default_rng(0).normal(size=(836, 133)).astype(np.float32)
    labels = np.arange(836) % 133
    tested = scores.Tested([f"{names[i]}/{i}.jpg" for i in labels], labels, logits)
    metrics = write_results(tmp_path, tested, names, ABOUT)
    assert metrics["test_accuracy"] < metrics["test_top5_accuracy"] < 0.1
    assert len(json.loads((tmp_path / "test.json").read_text())["confused"]) == 10
    assert all(file.stat().st_size < 200_000 for file in tmp_path.iterdir())


def test_when_nothing_is_a_number_it_still_says_so(tmp_path):
    logits = np.full((4, 2), np.nan, np.float32)
    tested = scores.Tested(list("abcd"), np.array([0, 0, 1, 1]), logits)
    assert write_results(tmp_path, tested, NAMES[:2], ABOUT)["test_accuracy"] == 0.0
    assert "**4 of 4 photos got no answer**" in (tmp_path / "model-card.md").read_text()


def test_file_names_that_are_no_unicode_cost_no_results(tmp_path):
    """POSIX names are bytes; Python reads what is no UTF-8 as lone surrogates."""
    odd = os.fsdecode(b"001.A/\xff\xe4.jpg")
    write_results(tmp_path, said([odd, odd, "c", "d", "e"]), NAMES, ABOUT)
    (pair,) = json.loads((tmp_path / "test.json").read_text())["confused"]
    assert pair["examples"] == [odd]
    assert "\\udcff" in (tmp_path / "predictions.csv").read_text()


def test_class_names_may_have_any_letters(tmp_path):
    write_results(tmp_path, said(), ["柴犬", "Löwchen", 'Pug, "black"'], ABOUT)
    assert "柴犬" in (tmp_path / "test.json").read_text()
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert list(csv.DictReader(file))[3]["label"] == 'Pug, "black"'


def test_without_photos_nothing_is_written(tmp_path):
    tested = scores.Tested([], np.zeros(0, int), np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="no test photo could be read"):
        write_results(tmp_path / "data", tested, NAMES, ABOUT)
    assert not (tmp_path / "data").exists()
