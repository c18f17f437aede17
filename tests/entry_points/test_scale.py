"""`train.py` under torchrun: two processes do what one does, and only the first one writes."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.support.forking import fork, free_port, torchrun, train_alone
from tests.support.tiny_photos import COLOURS, write_channels

LOSSES = ("train_loss", "valid_loss")
# Plain SGD: the adaptive optimisers divide by what may be no more than a rounding error.
RECIPE = "--model resnet18 --weights random --image-size 32 --precision fp32 --batch-size 8 "
RECIPE += "--optimizer sgd --lr 0.01 --augmentation colour --batch-norm frozen --dropout 0 --seed 3"
# What is trained: photos, and options. Two classes of 8 photos make two whole batches; of 21
# and 9 photos, five and one are left over, and the second process gets two and none of them.
RUNS = {
    "whole batches": ("even", "--epochs 2"),
    "a rest": ("odd", "--epochs 2"),
    "kept features": ("odd", "--epochs 3 --train-layers head --feature-views 2"),
    "head first": ("odd", "--epochs 2 --train-layers last-stage --head-epochs 1 --body-lr 0.3"),
    "damaged photos": ("damaged", "--epochs 2"),
    "no photo of the second process's": ("scarce", "--epochs 2"),
}
REFUSED = {"small batches": ("even", "--epochs 1 --batch-size 1")}


def arguments(root: Path, name: str, folder: Path) -> list[str]:
    """The command line of a run that writes into a folder."""
    photos, options = {**RUNS, **REFUSED}[name]
    words = [*RECIPE.split(), *options.split(), "--model-dir", str(folder / "model")]
    words += ["--output-data-dir", str(folder / "output")]
    words += ["--checkpoint-dir", str(folder / "checkpoints")]
    for channel in ("train", "valid", "test"):
        words += [f"--{channel}-dir", str(root / photos / channel)]
    return words


def trainings(root: Path, *ports: int) -> None:
    """In each process of torchrun's: run each of the trainings, into folders of its own."""
    from torchvision.models import resnet

    import train
    from tests.support.narrow import resnet18

    resnet.resnet18 = resnet18
    rank = os.environ["RANK"]
    # The processes find each other by keys that no other training may have used.
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"
    for name, port in zip([*RUNS, *REFUSED], ports, strict=True):
        folder = root / "two" / name / rank
        folder.mkdir(parents=True)
        os.environ["MASTER_PORT"] = str(port)
        try:
            train.main(arguments(root, name, folder))
        except SystemExit as stopped:
            (folder / "stopped").write_text(str(stopped.code))


def history(folder: Path) -> list[dict]:
    lines = (folder / "output" / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder of photos, and of what one process and two made of them."""
    root = tmp_path_factory.mktemp("scale")
    write_channels(root / "even", photos=8)
    for photos in ("odd", "damaged"):
        write_channels(root / photos, photos=11)
        for channel in ("train", "valid", "test"):
            (root / photos / channel / min(COLOURS) / "000.jpg").unlink()
    write_channels(root / "scarce", photos=8)
    for channel in ("valid", "test"):
        for name in COLOURS:
            for n in (1, 2, 3):
                (root / "scarce" / channel / name / f"00{n}.jpg").unlink()
        (root / "scarce" / channel / max(COLOURS) / "000.jpg").write_bytes(b"no photo")
    for channel in ("train", "valid", "test"):
        (root / "damaged" / channel / max(COLOURS) / "001.jpg").write_bytes(b"no photo")

    ports = [free_port() for _ in [*RUNS, *REFUSED]]
    with torchrun(root / "two.log", trainings, root, *ports) as agent:
        agent.join(200)
        assert agent.exitcode == 0, (root / "two.log").read_text()
    for name in RUNS:
        (root / "one" / name).mkdir(parents=True)
        words = arguments(root, name, root / "one" / name)
        process = fork(train_alone, words, root / f"one {name}.log", {})
        process.join(120)
        assert process.exitcode == 0, (root / f"one {name}.log").read_text()
    return root


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_losses_equal_ones(root, name):
    one, two = history(root / "one" / name), history(root / "two" / name / "0")
    assert [epoch["epoch"] for epoch in two] == [epoch["epoch"] for epoch in one]
    for alone, together in zip(one, two, strict=True):
        for loss in LOSSES:
            assert together[loss] == pytest.approx(alone[loss], rel=0, abs=1e-5), (name, alone)
        assert together["train_accuracy"] == alone["train_accuracy"]
    assert one[0]["train_loss"] != one[-1]["train_loss"], "it learnt nothing"


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_test_alike(root, name):
    folders = (root / "one" / name, root / "two" / name / "0")
    one, two = (json.loads((folder / "output" / "test.json").read_text()) for folder in folders)
    assert one["top1"] == two["top1"]


@pytest.mark.parametrize("name", RUNS)
def test_only_the_first_process_writes(root, name):
    one, first, second = root / "one" / name, root / "two" / name / "0", root / "two" / name / "1"
    profiled = {file for file in files(second) if "/profiler-output/" in file}
    assert files(second) - profiled == set()  # each process's step times are its own
    kinds = [{Path(file).parts[0] for file in files(folder)} for folder in (one, first)]
    assert kinds[0] == kinds[1] == {"model", "output", "checkpoints"}


def test_each_line_is_printed_once(root):
    said = (root / "two.log").read_text().splitlines()
    epochs = [line for line in said if line.startswith("epoch=")]
    assert len(epochs) == sum(len(history(root / "one" / name)) for name in RUNS)
    assert sum(line.startswith("test_loss=") for line in said) == len(RUNS)


def test_a_batch_must_have_a_photo_for_each_process(root):
    for rank in ("0", "1"):
        stopped = (root / "two" / "small batches" / rank / "stopped").read_text()
        assert "--batch-size 1 " in stopped
        assert "2 processes" in stopped


def write_late(rank: int, port: int, file: Path) -> None:
    """In a fork: one of two processes, of which the first one writes a file at its end."""
    about = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in about.items()})
    from learning import Machine, joined

    with joined(Machine()) as machine:
        if machine.rank == 0:
            time.sleep(1)
            file.write_text("written")
    sys.exit(0 if file.exists() else 3)


def test_no_process_leaves_while_the_first_one_writes(tmp_path):
    port = free_port()
    processes = [fork(write_late, rank, port, tmp_path / "file") for rank in (0, 1)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
