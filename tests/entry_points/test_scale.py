"""`train.py` under torchrun: two processes do what one does, and only the first one writes."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision.models._api import BUILTIN_MODELS

from checkpoint import Stop
from data import Photos, list_photos, make_loader
from distributed import AverageMeter, World, joined
from models import load_model
from preprocess import Preprocessing, normalise
from tests.support.forking import fork, free_port, torchrun, train_alone
from tests.support.narrow import resnet18
from tests.support.tiny_photos import COLOURS, write_channels

LOSSES = ("train_loss", "valid_loss")
# Plain SGD: the adaptive optimisers divide by what may be no more than a rounding error.
RECIPE = "--model resnet18 --weights random --image-size 32 --precision fp32 --batch-size 8 "
RECIPE += "--optimizer sgd --lr 0.01 --augmentation colour --batch-norm frozen --dropout 0 --seed 3"
# For each run, the photos and the options. Two classes of 8 photos make two whole batches. Of 21
# and 9 photos, 5 and 1 are left over; the second process gets 2 and none of them.
RUNS = {
    "whole batches": ("even", "--epochs 2"),
    "a rest": ("odd", "--epochs 2"),
    "kept features": ("odd", "--epochs 3 --train-layers head --feature-views 2"),
    "head first": ("odd", "--epochs 2 --train-layers last-stage --head-epochs 1 --body-lr 0.3"),
    "damaged photos": ("damaged", "--epochs 2"),
    "no photo of the second process's": ("scarce", "--epochs 2"),
}
# Each process normalises by its own photos, so two processes learn something else than one does.
ADAPTING = {"trained batch norm": ("odd", "--epochs 2 --batch-norm train")}
REFUSED = {
    "small batches": ("even", "--epochs 1 --batch-size 1"),
    "too much damage": ("twice", "--epochs 1 --max-damaged 1"),
}


def arguments(root: Path, name: str, folder: Path) -> list[str]:
    """Return the command line of a run that writes into a folder."""
    photos, options = {**RUNS, **ADAPTING, **REFUSED}[name]
    words = [*RECIPE.split(), *options.split(), "--model-dir", str(folder / "model")]
    words += ["--output-data-dir", str(folder / "output")]
    words += ["--checkpoint-dir", str(folder / "checkpoints")]
    for channel in ("train", "valid", "test"):
        words += [f"--{channel}-dir", str(root / photos / channel)]
    return words


def trainings(root: Path, *ports: int) -> None:
    """In each process that torchrun starts: do every run, each into a folder of its own."""
    import train

    BUILTIN_MODELS["resnet18"] = resnet18
    rank = os.environ["RANK"]
    # The processes find each other by keys in a store: each run needs a store of its own.
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"
    for name, port in zip([*RUNS, *ADAPTING, *REFUSED], ports, strict=True):
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
    """Return a folder with the photos, and with the results of one process and of two."""
    root = tmp_path_factory.mktemp("scale")
    write_channels(root / "even", photos=8)
    for photos in ("odd", "damaged"):
        write_channels(root / photos, photos=11)
        for channel in ("train", "valid", "test"):
            (root / photos / channel / min(COLOURS) / "000.jpg").unlink()
    write_channels(root / "twice", photos=8)
    for n in (0, 1):  # the first process reads one of them, the second process the other
        (root / "twice" / "valid" / min(COLOURS) / f"00{n}.jpg").write_bytes(b"no photo")
    write_channels(root / "scarce", photos=8)
    for channel in ("valid", "test"):
        for name in COLOURS:
            for n in (1, 2, 3):
                (root / "scarce" / channel / name / f"00{n}.jpg").unlink()
        (root / "scarce" / channel / max(COLOURS) / "000.jpg").write_bytes(b"no photo")
    for channel in ("train", "valid", "test"):
        (root / "damaged" / channel / max(COLOURS) / "001.jpg").write_bytes(b"no photo")

    ports = [free_port() for _ in [*RUNS, *ADAPTING, *REFUSED]]
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
def test_two_processes_have_the_losses_of_one(root, name):
    one, two = history(root / "one" / name), history(root / "two" / name / "0")
    assert [epoch["epoch"] for epoch in two] == [epoch["epoch"] for epoch in one]
    for alone, together in zip(one, two, strict=True):
        for loss in LOSSES:
            assert together[loss] == pytest.approx(alone[loss], rel=0, abs=1e-5), (name, alone)
        assert together["train_accuracy"] == alone["train_accuracy"]
    assert one[0]["train_loss"] != one[-1]["train_loss"], "it learnt nothing"


@pytest.mark.parametrize("name", [*ADAPTING, "a rest"])
def test_the_loss_that_is_logged_is_the_saved_models(root, name):
    """With batch normalisation that adapts, the statistics of the processes must be averaged."""
    photos, _ = {**RUNS, **ADAPTING}[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BUILTIN_MODELS, "resnet18", resnet18)
        model, card = load_model(root / "two" / name / "0" / "model")
    folder = list_photos(root / photos / "valid")
    preprocessing = Preprocessing.from_card(card)
    loader = make_loader(Photos(folder, preprocessing, augment=None), 64, shuffle=False, seed=0)
    images, labels, *_ = next(iter(loader))
    with torch.no_grad():
        logits = model(normalise(images, preprocessing))
        loss = torch.nn.functional.cross_entropy(logits, labels).item()
    logged = history(root / "two" / name / "0")[-1]["valid_loss"]
    assert logged == pytest.approx(loss, rel=0, abs=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_have_the_test_result_of_one(root, name):
    folders = (root / "one" / name, root / "two" / name / "0")
    one, two = (json.loads((folder / "output" / "test.json").read_text()) for folder in folders)
    assert one["top1"] == two["top1"]


@pytest.mark.parametrize("name", RUNS)
def test_only_the_first_process_writes(root, name):
    one, first, second = root / "one" / name, root / "two" / name / "0", root / "two" / name / "1"
    profiled = {file for file in files(second) if "/profiler-output/" in file}
    assert files(second) - profiled == set()  # each process records its own step times
    kinds = [{Path(file).parts[0] for file in files(folder)} for folder in (one, first)]
    assert kinds[0] == kinds[1] == {"model", "output", "checkpoints"}


def test_each_line_is_printed_once(root):
    said = (root / "two.log").read_text().splitlines()
    epochs = [line for line in said if line.startswith("epoch=")]
    everything = [*RUNS, *ADAPTING]
    assert len(epochs) == sum(len(history(root / "two" / name / "0")) for name in everything)
    assert sum(line.startswith("test_loss=") for line in said) == len(everything)


def test_a_batch_must_have_a_photo_for_each_process(root):
    for rank in ("0", "1"):
        stopped = (root / "two" / "small batches" / rank / "stopped").read_text()
        assert "--batch-size 1 " in stopped
        assert "2 processes" in stopped


def test_damaged_photos_are_counted_over_all_processes(root):
    for rank in ("0", "1"):
        stopped = (root / "two" / "too much damage" / rank / "stopped").read_text()
        assert "2 photos cannot be decoded, and --max-damaged allows 1" in stopped


def act_in_world(rank: int, port: int, act: Callable[[World, Path], None], file: Path) -> None:
    """In a fork: join the other of two processes, act, and exit with 3 if there is no file then."""
    about = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in about.items()})
    with joined("fp32") as world:
        act(world, file)
    sys.exit(0 if file.exists() else 3)


def in_two_processes(act: Callable[[World, Path], None], file: Path) -> list[int]:
    """Let two processes act, and return their exit codes."""
    port = free_port()
    processes = [fork(act_in_world, rank, port, act, file) for rank in (0, 1)]
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def write_late(world: World, file: Path) -> None:
    """Have the first process write a file at its end."""
    if world.rank == 0:
        time.sleep(1)
        file.write_text("written")


def test_no_process_leaves_while_the_first_one_writes(tmp_path):
    assert in_two_processes(write_late, tmp_path / "file") == [0, 0]


def measure(world: World, file: Path) -> None:
    """Average in both processes, then continue from the state, and write the means and counts."""
    meter = AverageMeter(world)
    photos, loss = ((3, 1.0), (1, 5.0))[world.rank]
    meter.update(torch.tensor(loss), photos)
    before = [meter.mean(), meter.count()]
    state = meter.state_dict()
    resumed = AverageMeter(world)
    resumed.load_state_dict(world.broadcast(state))  # the first process has read a checkpoint
    after = [resumed.mean(), resumed.count()]
    resumed.update(torch.tensor(2.0), 2)
    after += [resumed.mean(), resumed.count()]
    each = world.gather({"state": state["sums"].tolist(), "before": before, "after": after})
    if world.rank == 0:
        file.write_text(json.dumps(each))


def test_an_average_and_its_state_are_those_of_all_processes(tmp_path):
    assert in_two_processes(measure, tmp_path / "file") == [0, 0]
    # 3 photos of 1.0 and 1 of 5.0; then 2 of 2.0 more in each process.
    expected = {"state": [8.0, 4.0], "before": [2.0, 4], "after": [2.0, 4, 2.0, 8]}
    assert json.loads((tmp_path / "file").read_text()) == [expected, expected]


def stop_by_the_second(world: World, file: Path) -> None:
    """Have only the second process save at every step, and get SIGTERM at the second one."""
    found = []
    with Stop(world, checkpoint_every=1e-9 if world.rank else None) as stop:
        for step in (1, 2, 3):
            if step == 2 and world.rank:
                os.kill(os.getpid(), signal.SIGTERM)
            stop.check()
            found.append([stop.reason, stop.save_due])
    each = world.gather(found)
    if world.rank == 0:
        file.write_text(json.dumps(each))


def test_all_processes_stop_and_save_at_the_step_at_which_one_wants_to(tmp_path):
    assert in_two_processes(stop_by_the_second, tmp_path / "file") == [0, 0]
    expected = [["", True], ["SIGTERM", True], ["SIGTERM", True]]
    assert json.loads((tmp_path / "file").read_text()) == [expected, expected]
