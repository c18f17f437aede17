"""`benchmarks/record_gpu.py`: what it records, and what it refuses. (Here the network is tiny.)"""

import json
import os
import tarfile
from types import SimpleNamespace

import pytest

from benchmarks import record_gpu
from open_debugger.profiler import analyse
from tests.support.forking import run_in_fork
from tests.support.tiny_photos import write_channels

# The sampler, a process of its own, takes a second to begin: the run must last longer.
EPOCHS = 40
TINY = {
    "model": "resnet18",
    "weights": "random",
    "image-size": 64,
    "batch-size": 8,
    "epochs": EPOCHS,
}


@pytest.fixture(autouse=True)
def forks(monkeypatch):
    monkeypatch.setattr(record_gpu, "subprocess", SimpleNamespace(run=run_in_fork))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_channels(tmp_path_factory.mktemp("photos"), channels=["train", "valid"])


def test_a_recording_has_steps_samples_and_its_machine(photos, tmp_path):
    archive = record_gpu.record("starved", photos, tmp_path, TINY)
    recording = analyse(archive).recording
    assert archive.name == "starved.tar.gz" and archive.stat().st_size < record_gpu.MAX_BYTES
    assert len(recording.steps[recording.steps["phase"] == "train"]) == 2 * EPOCHS
    assert {loader["Workers"] for loader in recording.loaders} == {0}
    assert recording.select("cpu", "CPUUtilization")
    with tarfile.open(archive) as tar:
        machine = json.load(tar.extractfile("profiler-output/machine.json"))
    assert machine["Cores"] == os.cpu_count() and len(machine["Date"]) == 10


def test_what_is_too_large_to_be_committed_is_not_kept(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(record_gpu, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"fed\.tar\.gz would take \d+ bytes: record fewer"):
        record_gpu.record("fed", photos, tmp_path, TINY)
    assert not list(tmp_path.iterdir())


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["record_gpu.py"])
    with pytest.raises(SystemExit, match="there is no GPU here"):
        record_gpu.main()


def test_photos_are_enlarged(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(record_gpu, "SIZE", (400, 300))
    made = record_gpu.make_photos(tmp_path / "made", 1)
    files = list(made.rglob("*.jpg"))
    assert len(files) == 12 * 3
    assert {Image.open(file).size for file in files} == {(400, 300)}
