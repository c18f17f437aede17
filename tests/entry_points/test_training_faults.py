"""Kills, SIGTERM and damage during training: what goes on ends as what was never interrupted.

`KILL_POINTS` says at how many moments a run is killed (5 unless set; `make faults` takes 20),
`KILL_SEED` at which.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.forking import fork, free_port, torchrun, train_alone
from tests.support.tiny_photos import write_channels

POINTS = int(os.environ.get("KILL_POINTS", "5"))
SEED = int(os.environ.get("KILL_SEED", "20261121"))
PACE = 0.02  # seconds: a run is to be interrupted, and no network is to be heated
TIMES = ("seconds", "images_per_second")
# All that could make a resumed run another one: batch statistics, colours, moments, a schedule.
RECIPE = "--model resnet18 --weights random --image-size 32 --precision fp32 --batch-size 4 "
RECIPE += "--epochs 3 --optimizer adamw --lr 0.003 --augmentation colour --batch-norm train "
RECIPE += "--label-smoothing 0.1 --seed 3"
PAIR = ["--epochs", "2"]
VIEWS = ["--train-layers", "head", "--feature-views", "2", "--epochs", "5", "--head-layers", "2"]

Moment = Callable[["Training"], bool]


class Training:
    """A run in a folder of its own, in one process or more, to be started again and again."""

    def __init__(self, photos: Path, folder: Path, *more: str, processes: int = 1):
        folder.mkdir()
        self.folder, self.log, self.checkpoints = folder, folder / "log", folder / "checkpoints"
        self.count, self.processes, self.before = processes, [], 0
        self.arguments = RECIPE.split()
        for channel in ("train", "valid", "test"):
            self.arguments += [f"--{channel}-dir", str(photos / channel)]
        self.arguments += ["--model-dir", str(folder / "model"), "--output-data-dir"]
        self.arguments += [str(folder / "output"), "--checkpoint-dir", str(self.checkpoints), *more]

    def start(self) -> None:
        """Start it as torchrun would."""
        port = str(free_port())
        self.before, self.processes = len(self.said()), []
        for rank in range(self.count):
            variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_PORT": port}
            variables |= {"WORLD_SIZE": str(self.count), "LOCAL_WORLD_SIZE": str(self.count)}
            variables |= {"MASTER_ADDR": "127.0.0.1"}
            arguments = (self.arguments, self.log, variables, PACE)
            self.processes.append(fork(train_alone, *arguments, daemon=False))

    def ended(self) -> list[int]:
        """Wait for the end, and return the exit codes."""
        for process in self.processes:
            process.join(120)
            assert process.exitcode is not None, f"no end after 120 s: {self.said()}"
        return [process.exitcode for process in self.processes]

    def completed(self) -> "Training":
        """Run to the end."""
        self.start()
        assert self.ended() == [0] * self.count, self.said()
        return self

    def wait(self, moment: Moment) -> bool:
        """Wait for a moment; return whether it came before the end."""
        while all(process.is_alive() for process in self.processes):
            if moment(self):
                return True
            time.sleep(0.0005)
        return False

    def killed(self, moment: Moment) -> bool:
        """Run until the moment, and kill; return whether the run had not ended before."""
        self.start()
        self.wait(moment)
        self.kill()
        return -signal.SIGKILL in self.ended()

    def kill(self) -> None:
        for process in self.processes:
            process.kill()

    def asked_to_stop(self, moment: Moment) -> list[int]:
        """Run until the moment, send the last process SIGTERM, and return the exit codes."""
        self.start()
        assert self.wait(moment), self.said()
        self.processes[-1].terminate()
        return self.ended()

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def kept(self) -> list[str]:
        """The names of the checkpoints, without digests; a half-written one ends in .partial."""
        if not self.checkpoints.exists():
            return []
        names = sorted(file.name for file in self.checkpoints.iterdir())
        return [n if n.endswith(".partial") else n[: -len("-0123456789abcdef.pt")] for n in names]

    def result(self) -> dict:
        """What must not depend on interruptions: weights, each epoch's metrics, the test."""
        history = (self.folder / "output" / "history.jsonl").read_text().splitlines()
        epochs = [json.loads(line) for line in history]
        return {
            "weights": (self.folder / "model" / "model.safetensors").read_bytes(),
            "history": [{n: v for n, v in epoch.items() if n not in TIMES} for epoch in epochs],
            "test": next(n for n in self.said().splitlines() if n.startswith("test_loss=")),
        }


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """16 photos to learn from, 8 to validate with and 8 to test with: four steps an epoch."""
    return write_channels(tmp_path_factory.mktemp("photos"), photos=8)


@pytest.fixture
def training(tmp_path, photos) -> Iterator[Callable[..., Training]]:
    """What makes trainings, with more options, none of which outlives the test."""
    trainings: list[Training] = []

    def make(*more: str, **settings) -> Training:
        trainings.append(Training(photos, tmp_path / f"run-{len(trainings)}", *more, **settings))
        return trainings[-1]

    yield make
    for made in trainings:
        made.kill()
        made.ended()
        shutil.rmtree(made.folder)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory) -> tuple[dict, float]:
    """What the uninterrupted run ends with, and the seconds that it takes."""
    fork(time.sleep, 0).join()  # the server's own start does not count
    begin = time.monotonic()
    training = Training(photos, tmp_path_factory.mktemp("whole") / "run").completed()
    seconds = time.monotonic() - begin
    result = training.result()
    shutil.rmtree(training.folder)
    return result, seconds


def assert_same(training: Training, expected: dict) -> None:
    found = training.result()
    assert found["history"] == expected["history"], training.said()
    assert found["test"] == expected["test"]
    equal = found["weights"] == expected["weights"]  # they are no use in a message
    assert equal, training.said()


# Moments


def at_once(training: Training) -> bool:
    return True


def said(text: str) -> Moment:
    """Once this start has said something."""
    return lambda training: text in training.said()[training.before :]


def writing(epoch: int) -> Moment:
    """While the checkpoint at an epoch's end is half written."""
    return lambda training: f"epoch-{epoch + 1:05}-step-00000000.partial" in training.kept()


def written(epoch: int) -> Moment:
    """Once it is in place."""
    return lambda training: f"epoch-{epoch + 1:05}-step-00000000" in training.kept()


def later(moment: Moment, seconds: float) -> Moment:
    came: list[float] = []

    def late(training: Training) -> bool:
        if not came and moment(training):
            came.append(time.monotonic())
        return bool(came) and time.monotonic() - came[0] >= seconds

    return late


def moments(seconds: float) -> Iterator[Moment]:
    """POINTS moments of a run of so many seconds.

    They are anywhere in it (counted from what happens, since machines are not always as fast),
    while a checkpoint is written, and between an epoch's metrics and the next one's first steps.
    """
    chance = random.Random(SEED)
    for number in range(POINTS):
        epoch = chance.choice([1, 2])
        event = chance.choice([at_once, said(f"epoch={epoch} "), written(epoch)])
        anywhere = later(event, chance.uniform(0, seconds / 5))
        at_end = later(said(f"epoch={epoch} "), chance.uniform(0, seconds / 20))
        yield [anywhere, writing(epoch), anywhere, at_end, anywhere][number % 5]


# Kills


@pytest.mark.timeout(120 + 30 * POINTS)
def test_a_killed_run_goes_on_to_the_same_end(training, whole):
    expected, seconds = whole
    killed, resumed = 0, []
    for moment in moments(seconds):
        victim = training()
        killed += victim.killed(moment)
        assert_same(victim.completed(), expected)
        resumed += [line for line in victim.said().splitlines() if line.startswith("resumed=")]
        shutil.rmtree(victim.checkpoints)
    print(f"\nseed {SEED}: {killed} of {POINTS} runs killed, {len(resumed)} of them resumed")
    assert killed >= 0.6 * POINTS  # some may have been faster than their kill
    assert len(resumed) >= 0.25 * POINTS, "too few had got as far as a checkpoint"


def test_killed_again_and_again_it_gets_there(training, whole):
    victim = training()
    for epoch in (1, 2, 3):  # after the third, there is only to test and to save
        victim.killed(written(epoch))
    assert_same(victim.completed(), whole[0])
    steps = [f"resumed=epoch {epoch}, step 0" for epoch in (2, 3, 4)]
    assert [n for n in victim.said().splitlines() if n.startswith("resumed=")] == steps


def test_a_damaged_checkpoint_costs_an_epoch_and_nothing_else(training, whole):
    victim = training()
    assert victim.killed(written(2))
    newest = max(victim.checkpoints.glob("*.pt"))
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    assert_same(victim.completed(), whole[0])
    assert f"checkpoint=damaged: {newest.name}: " in victim.said()
    assert "resumed=epoch 2, step 0" in victim.said()


def test_kept_features_are_made_again_alike(training):
    expected = training(*VIEWS).completed().result()
    victim = training(*VIEWS)
    victim.killed(written(1))  # one view has been made
    assert victim.asked_to_stop(said("resumed=")) == [0], victim.said()  # in the epoch of the other
    assert not victim.kept()[-1].endswith("step-00000000")
    victim.killed(written(4))  # both have been gone round
    assert_same(victim.completed(), expected)
    assert victim.said().count("resumed=") == 3


# Being asked to stop


def test_sigterm_ends_a_run_after_its_step_and_the_next_one_goes_on(training, whole):
    """It comes before the first step of each start: in the middle of the first epoch."""
    victim, steps = training(), [0]
    for begin in ("photos=", "resumed="):
        assert victim.asked_to_stop(said(begin)) == [0], victim.said()
        assert victim.said().splitlines()[-1].startswith("stopped=")
        assert "epoch=1 " not in victim.said()
        steps.append(int(victim.kept()[-1].removeprefix("epoch-00001-step-")))
        assert steps[-1] > steps[-2]
    assert_same(victim.completed(), whole[0])


def test_sigterm_at_an_epochs_end_is_obeyed_too(training, whole):
    victim = training()
    assert victim.asked_to_stop(writing(1)) == [0], victim.said()
    assert "stopped=" in victim.said()
    assert "epoch=2 " not in victim.said()
    assert_same(victim.completed(), whole[0])


def loaders_at_work(run: int) -> list[int]:
    """The loader processes of a run that have begun, and so know what SIGTERM is to them."""
    found = []
    for child in psutil.Process(run).children():
        with contextlib.suppress(OSError, psutil.Error):  # those of an epoch end with it
            ignored = re.search(r"SigIgn:\s+(\w+)", Path(f"/proc/{child.pid}/status").read_text())
            found += [child.pid] if int(ignored[1], 16) >> (signal.SIGTERM - 1) & 1 else []
    return found


def test_loader_processes_leave_sigterm_to_the_run(training):
    """Where a whole process group gets it, too, the run still gets the batches of its step."""
    victim = training("--num-workers", "1", "--epochs", "100")
    victim.start()
    (run,) = victim.processes
    assert victim.wait(lambda _: loaders_at_work(run.pid)), victim.said()
    for number in loaders_at_work(run.pid):
        os.kill(number, signal.SIGTERM)
    epochs = victim.said().count("epoch=")
    assert victim.wait(lambda _: victim.said().count("epoch=") >= epochs + 2), victim.said()
    run.terminate()
    assert victim.ended() == [0], victim.said()
    assert "stopped=" in victim.said()
    assert victim.kept()


# Several processes


@pytest.fixture(scope="module")
def pair(photos, tmp_path_factory) -> dict:
    """What an uninterrupted run in two processes ends with."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    training = Training(photos, folder, *PAIR, processes=2).completed()
    result = training.result()
    shutil.rmtree(folder)
    return result


def test_two_processes_stop_together_when_one_is_asked_to(training, pair):
    victim = training(*PAIR, processes=2)
    assert victim.asked_to_stop(said("photos=")) == [0, 0], victim.said()
    assert len(victim.kept()) == 1
    assert_same(victim.completed(), pair)
    assert "resumed=epoch 1, step " in victim.said()


def train_known(arguments: list[str], log: Path) -> None:
    """In a process of torchrun's: note its number, and train."""
    log.with_name(f"rank-{os.environ['RANK']}").write_text(str(os.getpid()))
    train_alone(arguments, log, {}, PACE)


def test_torchrun_restarts_both_when_one_is_killed(training, pair):
    """The one that writes dies once there is a checkpoint; torchrun itself starts both anew."""
    victim = training(*PAIR)
    with torchrun(victim.log, train_known, victim.arguments, victim.log, restarts=1) as agent:
        victim.processes = [agent]
        assert victim.wait(written(1)), victim.said()
        os.kill(int((victim.folder / "rank-0").read_text()), signal.SIGKILL)
        assert victim.ended() == [0], victim.said()
    assert_same(victim, pair)
    assert victim.said().count("resumed=epoch ") == 1
