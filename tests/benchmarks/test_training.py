"""`benchmarks/training.py`: its arithmetic, and that it reads what train.py really writes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks import training
from benchmarks.training import Measured
from tests.support.tiny_photos import write_channels

LINES = [
    (10.0, "weights=random (as asked) device='cpu' precision=bf16 threads=2 image_size=224\n"),
    (12.5, "photos=train:100 valid:8 classes=2\n"),
    (30.0, "epoch=1 train_loss=2.0 seconds=12.00 images_per_second=10.0\n"),
    (31.0, "epoch=2 train_loss=2.0 seconds=1.00 images_per_second=200.0\n"),
    (32.0, "epoch=3 train_loss=2.0 seconds=1.00 images_per_second=50.0\n"),
]


def epoch(images, seconds, waited=0.0):
    return {"images": images, "seconds": seconds, "waited": waited}


def record(folder, *rows):
    """Steps as train.py records them; those of body and head both count an epoch's photos."""
    folder.mkdir(parents=True)
    lines = [{"Type": "step", "Phase": p, "Epoch": e, "Images": 100, "Data": d} for p, e, d in rows]
    lines.append({"Type": "span", "Name": "evaluation", "Seconds": 9.0})
    (folder / "1.json").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_epochs_are_what_was_printed_and_their_waits_what_was_recorded(tmp_path):
    rows = [("train", 1, 0.5), ("train", 1, 0.25), ("valid", 1, 8.0)]
    rows += [("train", 2, 0.1), ("train", 3, 0.2)]
    assert training.own_epochs(LINES, record(tmp_path / "steps", *rows)) == [
        epoch(100, 10.0, 0.75),
        epoch(100, 0.5, 0.1),
        epoch(100, 2.0, 0.2),
    ]


def test_an_epoch_without_recorded_steps_is_an_error(tmp_path):
    steps = record(tmp_path / "steps", ("train", 1, 0.5), ("train", 3, 0.5))
    with pytest.raises(ValueError, match="2 of 3 epochs"):
        training.own_epochs(LINES, steps)


def test_what_is_read_ahead_is_of_the_first_epoch():
    assert training.time_of_reading(LINES) == 2.5
    run = Measured([epoch(100, 7.5, 1.5), epoch(100, 2.0)], reading=2.5)
    assert run.rate(0, 1) == 10.0
    assert run.rate(1) == 50.0
    assert run.rate() == pytest.approx(200 / 12)
    assert run.wait() == pytest.approx(0.2)
    assert run.wait(ahead=True) == pytest.approx(0.4)


def test_comparisons_are_medians_of_each_rounds_ratios():
    ours = [Measured([epoch(100, s), epoch(100, s / 10)]) for s in (10.0, 20.0, 40.0)]
    plain = [Measured([epoch(100, s)]) for s in (40.0, 40.0, 800.0)]
    limit = [Measured([epoch(100, 8.0)]) for _ in range(3)]
    lines = training.comparisons({"ours": ours, "plain": plain, "limit": limit})
    # Ours takes 5.5, 11 and 22 s for 100 photos: 7.27, 3.64 and 36.4 times plain.
    assert lines[0].startswith("3 epochs: 7.27 x plain")
    assert lines[1].startswith("first epoch: 0.40 x limit; the goal is 0.75")
    assert lines[2].startswith("epochs after it: 4.0 x limit")
    assert lines[3].startswith("data wait: 0.0%")
    assert len(lines) == 4


def test_on_a_gpu_the_goals_are_others():
    ours, limit = [epoch(100, 1.0), epoch(100, 0.1)], [epoch(100, 0.8)]
    its = {"ours": [Measured(ours, gpu=97.0)], "limit": [Measured(limit, gpu=99.0)]}
    lines = training.comparisons(its)
    assert lines[0] == "first epoch: 0.80 x limit; the goal is 0.9"
    assert lines[-1] == "GPU utilisation: 97 %; the goal is 90 %"


def test_a_table_has_a_line_for_each_variant(capsys):
    its = {"plain": [Measured([epoch(100, 10.0, 2.0)], peak=321.0)]}
    training.show(its)
    head, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["plain", "10.0", "10.0", "-", "20.0%", "321", "0"]
    assert len(head) == len(line)


def test_memory_is_the_process_and_not_its_parents():
    held = np.ones(400 * 2**20, dtype=np.uint8)  # MiB that ru_maxrss of a child would begin with
    code = "import time; b = b'x' * (150 * 2**20); del b; print('done', flush=True); time.sleep(1)"
    seen = training.watched([sys.executable, "-c", code])
    assert held.any() and 150 < seen.peak < 250 and seen.loaders == 0
    assert [line for _, line in seen.lines] == ["done\n"]


def test_memory_of_children_is_told_apart():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])".format(
        "import time; b = b'x' * (100 * 2**20); time.sleep(1)"
    )
    seen = training.watched([sys.executable, "-c", code])
    assert seen.loaders > 100 > seen.peak


def test_what_fails_is_an_error():
    with pytest.raises(subprocess.CalledProcessError):
        training.watched([sys.executable, "-c", "raise SystemExit(3)"])


def test_photos_are_as_costly_as_a_cameras(tmp_path):
    training.make_photos(tmp_path, 2, 1)
    files = sorted(tmp_path.rglob("*.jpg"))
    assert [file.relative_to(tmp_path).parts[0] for file in files] == ["train", "train", "valid"]
    for file in files:
        with Image.open(file) as photo:
            assert photo.size == (1000, 750)
        assert 150_000 < file.stat().st_size < 250_000


@pytest.fixture
def small(monkeypatch):
    for name, value in {"SIDE": 32, "BATCH": 4, "LIMIT_STEPS": 2, "WARM_UP_STEPS": 1}.items():
        monkeypatch.setattr(training, name, value)


def test_the_plain_loop_sees_every_photo(small, tmp_path):
    photos = write_channels(tmp_path, photos=5, channels=["train"])
    (its,) = training.plain(photos)
    assert its["images"] == 10
    assert 0 < its["waited"] < its["seconds"]


def test_the_limit_waits_for_nothing(small):
    (its,) = training.limit()
    assert its["images"] % 4 == 0 and its["seconds"] > 0 == its["waited"]


@pytest.mark.slow
def test_ours_is_train_py_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "OURS", training.OURS.replace("resnet50", "resnet18"))
    monkeypatch.setattr(training, "OURS", training.OURS.replace("224", "32"))
    photos = write_channels(tmp_path / "photos", photos=5, channels=["train", "valid"])
    its = training.run("ours", photos, tmp_path / "run")
    assert [e["images"] for e in its.epochs] == [10, 10, 10]
    assert its.reading > 0 and its.peak > 100
    assert all(0 <= e["waited"] < e["seconds"] for e in its.epochs)
