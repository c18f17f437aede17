"""`benchmarks/finetune.py`: its command lines, and what it prints of some runs."""

import json

import pytest

import options
from benchmarks import finetune
from benchmarks.real import Trained

FOLDERS = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]


@pytest.mark.parametrize("name", finetune.NETWORKS)
def test_train_py_takes_each_networks_options(name):
    given = {**finetune.RECIPE, **finetune.NETWORKS[name]}
    words = [word for option, value in given.items() for word in (f"--{option}", str(value))]
    parsed = options.parse([*FOLDERS, *words])
    assert (parsed.weights == "imagenet") == ("ImageNet" in name)
    assert (parsed.batch_norm, parsed.train_layers) == (
        "frozen" if "ImageNet" in name else "train",
        "all",
    )


def test_equal_steps_and_photos_for_all():
    same = ("epochs", "batch-size", "image-size", "augmentation", "label-smoothing", "schedule")
    assert not any(option in options for options in finetune.NETWORKS.values() for option in same)


def test_a_line_has_the_mean_its_interval_and_the_seeds():
    answers = [(f"{n}.jpg", "a", "a" if n < 8 else "b") for n in range(10)]
    others = [(file, "a", "a") for file, *_ in answers]
    history = [{"seconds": 30.0}, {"seconds": 20.0}]
    disturbed = [{"seconds": 90.0}, {"seconds": 20.0}]
    runs = [Trained(disturbed, 120, answers), Trained(history, 60, others)]
    found = finetune.Found(runs, 13.5, 8.2)
    text = str(found)
    assert text.split()[0] == "90.0%"
    assert " 80.0%  100.0%" in text
    assert "50 s" in text and "13.5 MB" in text and "8.2 ms" in text


def test_the_table_for_notebook_03_is_made_from_what_was_kept(tmp_path):
    answers = [(f"{n}.jpg", f"breed {n % 2}", "breed 0") for n in range(10)]
    run = {"history": [{"seconds": 30.0}, {"seconds": 20.0}], "seconds": 60, "answers": answers}
    disturbed = {**run, "history": [{"seconds": 90.0}, {"seconds": 20.0}]}
    kept = {
        "machine": {"Date": "2026-11-29", "Cores": 2},
        "size": 128,
        "epochs": 2,
        "networks": {
            "ResNet50, random": {"runs": [disturbed, run], "megabytes": 94.1, "milliseconds": 40.2}
        },
    }
    file, results = tmp_path / "all.json", tmp_path / "results" / "finetune.json"
    file.write_text(json.dumps(kept))
    finetune.main(["--json", str(file), "--results", str(results)])
    made = json.loads(results.read_text())
    (row,) = made.pop("rows")
    assert made == {
        "command": "python -m benchmarks.finetune",
        "date": "2026-11-29",
        "cores": 2,
        "photos": "2 drawn breeds",
        "tested": 10,
        "size": 128,
        "epochs": 2,
        "seeds": 2,
    }
    assert (row["network"], row["weights"], row["accuracy"]) == ("ResNet50", "random", 0.5)
    assert row["low"] < 0.5 < row["high"] and row["seeds"] == [0.5, 0.5]
    assert (row["seconds"], row["megabytes"], row["milliseconds"]) == (50, 94.1, 40.2)
