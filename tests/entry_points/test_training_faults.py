"""Kills, SIGTERM and damage during training: a resumed run ends as if never interrupted.

`KILL_POINTS` sets at how many moments a run is killed (default 5; `make faults` takes 20), and
`KILL_SEED` draws the moments.
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
from tests.support.narrow import resnet18
from tests.support.tiny_photos import write_channels

POINTS = int(os.environ.get("KILL_POINTS", "5"))
SEED = int(os.environ.get("KILL_SEED", "20261121"))
PACE = 0.02  # seconds a step: leaves time to interrupt a run
TIMES = ("seconds", "images_per_second")
# Everything that a restart could lose: batch statistics, random colours, moments, a schedule.
RECIPE = "--model resnet18 --weights random --image-size 32 --precision fp32 --batch-size 4 "
RECIPE += "--epochs 3 --optimizer adamw --lr 0.003 --augmentation colour --batch-norm train "
RECIPE += "--label-smoothing 0.1 --seed 3"
PAIR = ["--epochs", "2"]
VIEWS = ["--train-layers", "head", "--feature-views", "2", "--epochs", "5", "--head-layers", "2"]

Moment = Callable[["Training"], bool]


class Training:
    """A run in a folder of its own, in one process or more, which can be started repeatedly.

    `variables` are added to the environment; `target` runs in each process.
    """

    def __init__(self, photos: Path, folder: Path, *more: str, processes: int = 1):
        folder.mkdir()
        self.folder, self.log, self.checkpoints = folder, folder / "log", folder / "checkpoints"
        self.count, self.processes, self.before = processes, [], 0
        self.arguments = RECIPE.split()
        for channel in ("train", "valid", "test"):
            self.arguments += [f"--{channel}-dir", str(photos / channel)]
        self.arguments += ["--model-dir", str(folder / "model"), "--output-data-dir"]
        self.arguments += [str(folder / "output"), "--checkpoint-dir", str(self.checkpoints), *more]
        self.variables: dict[str, str] = {}
        self.target: Callable = train_alone

    def start(self) -> None:
        """Start it as torchrun would."""
        port = str(free_port())
        self.before, self.processes = len(self.said()), []
        for rank in range(self.count):
            variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_PORT": port}
            variables |= {"WORLD_SIZE": str(self.count), "LOCAL_WORLD_SIZE": str(self.count)}
            variables |= {"MASTER_ADDR": "127.0.0.1"} | self.variables
            arguments = (self.arguments, self.log, variables, PACE)
            self.processes.append(fork(self.target, *arguments, daemon=False))

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

    def set_options(self, *words: str) -> None:
        """Set options, or change them, for the next start."""
        self.arguments += words  # argparse takes the last value

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def kept(self) -> list[str]:
        """Return the checkpoints' names without digests; a half-written one ends in .partial."""
        if not self.checkpoints.exists():
            return []
        names = sorted(file.name for file in self.checkpoints.iterdir())
        return [n if n.endswith(".partial") else n[: -len("-0123456789abcdef.pt")] for n in names]

    def result(self) -> dict:
        """Return what must not depend on interruptions: weights, metrics of each epoch, test."""
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
    """Return a function that makes trainings, given more options; none outlives the test."""
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
    """Return the result of an uninterrupted run, and the seconds that it takes."""
    fork(time.sleep, 0).join()  # starts the server, which takes seconds of its own
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
    equal = found["weights"] == expected["weights"]  # pytest must not print the bytes
    assert equal, training.said()


# Moments


def at_once(training: Training) -> bool:
    return True


def said(text: str) -> Moment:
    """Once the present start has printed a text."""
    return lambda training: text in training.said()[training.before :]


def writing(epoch: int) -> Moment:
    """While the checkpoint at the end of an epoch is half written."""
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
    """Yield POINTS moments in a run of so many seconds.

    They are anywhere in the run (some time after an event, because machines differ in speed), while
    a checkpoint is written, and between the metrics of an epoch and the first steps of the next.
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
def test_a_killed_run_ends_as_if_never_interrupted(training, whole):
    expected, seconds = whole
    killed, resumed = 0, []
    for moment in moments(seconds):
        victim = training()
        killed += victim.killed(moment)
        assert_same(victim.completed(), expected)
        resumed += [line for line in victim.said().splitlines() if line.startswith("resumed=")]
        shutil.rmtree(victim.checkpoints)
    print(f"\nseed {SEED}: {killed} of {POINTS} runs killed, {len(resumed)} of them resumed")
    assert killed >= 0.6 * POINTS  # some may have ended before the kill
    assert len(resumed) >= 0.25 * POINTS, "too few were killed after their first checkpoint"


def test_a_run_may_be_killed_repeatedly(training, whole):
    victim = training()
    for epoch in (1, 2, 3):  # after the third one, only the test remains
        victim.killed(written(epoch))
    assert_same(victim.completed(), whole[0])
    steps = [f"resumed=epoch {epoch}, step 0" for epoch in (2, 3, 4)]
    assert [n for n in victim.said().splitlines() if n.startswith("resumed=")] == steps


def test_after_a_damaged_checkpoint_the_run_resumes_from_the_one_before(training, whole):
    victim = training()
    assert victim.killed(written(2))
    newest = max(victim.checkpoints.glob("*.pt"))
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    assert_same(victim.completed(), whole[0])
    assert f"checkpoint=damaged: {newest.name}: " in victim.said()
    assert "resumed=epoch 2, step 0" in victim.said()


def test_features_that_were_kept_are_computed_again(training):
    expected = training(*VIEWS).completed().result()
    victim = training(*VIEWS)
    victim.killed(written(1))  # features of one view have been computed
    assert victim.asked_to_stop(said("resumed=")) == [0], (
        victim.said()
    )  # in the epoch of the other view
    assert not victim.kept()[-1].endswith("step-00000000")
    victim.killed(written(4))  # both views have been used twice
    assert_same(victim.completed(), expected)
    assert victim.said().count("resumed=") == 3


# SIGTERM


def test_sigterm_ends_a_run_after_its_step_and_a_restart_continues(training, whole):
    """The signal comes before the first step of each start, so both stop in the first epoch."""
    victim, steps = training(), [0]
    for begin in ("photos=", "resumed="):
        assert victim.asked_to_stop(said(begin)) == [0], victim.said()
        assert victim.said().splitlines()[-1].startswith("stopped=")
        assert "epoch=1 " not in victim.said()
        steps.append(int(victim.kept()[-1].removeprefix("epoch-00001-step-")))
        assert steps[-1] > steps[-2]
    assert_same(victim.completed(), whole[0])


def test_sigterm_at_the_end_of_an_epoch_ends_the_run_too(training, whole):
    victim = training()
    assert victim.asked_to_stop(writing(1)) == [0], victim.said()
    assert "stopped=" in victim.said()
    assert "epoch=2 " not in victim.said()
    assert_same(victim.completed(), whole[0])


def loaders_at_work(run: int) -> list[int]:
    """Return the loader processes of a run that have started, and so block SIGTERM already."""
    found = []
    for child in psutil.Process(run).children():
        with contextlib.suppress(OSError, psutil.Error):  # it may just have ended
            blocked = re.search(r"SigBlk:\s+(\w+)", Path(f"/proc/{child.pid}/status").read_text())
            found += [child.pid] if int(blocked[1], 16) >> (signal.SIGTERM - 1) & 1 else []
    return found


def test_loader_processes_leave_sigterm_to_the_run(training):
    """The whole process group may get the signal; the run still needs the batch of its step."""
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


def train_keeping_loaders(*arguments) -> None:
    """In a fork: run train.py, and keep its loaders alive, as the traceback of an error would."""
    import train

    make_loaders = train.make_loaders

    def make_and_keep(*arguments):
        train.loaders = make_loaders(*arguments)
        return train.loaders

    train.make_loaders = make_and_keep
    train_alone(*arguments)


def test_loader_processes_end_with_the_run(training):
    """Python sends SIGTERM to those that remain at its exit, and waits for them."""
    victim = training("--num-workers", "1", "--epochs", "1")
    victim.target = train_keeping_loaders
    victim.completed()


# Without a signal


def test_a_run_killed_within_an_epoch_resumes_from_its_last_checkpoint(training, whole):
    """SDK v3's driver forwards no SIGTERM, so the steps since the last checkpoint are lost."""
    victim = training("--checkpoint-seconds", "0.01")
    steps = re.compile(r"epoch-00001-step-0000000[1-9]$")
    assert victim.killed(lambda run: any(steps.match(name) for name in run.kept())), victim.said()
    assert_same(victim.completed(), whole[0])
    resumed = re.search(r"resumed=epoch (\d+), step (\d+)", victim.said())
    assert int(resumed[1]) > 1 or int(resumed[2]) > 0


def test_a_run_ends_at_its_deadline_with_a_checkpoint(training, whole):
    victim = training("--stop-after", "0.01")
    victim.start()
    assert victim.ended() == [0], victim.said()
    assert victim.said().splitlines()[-1].startswith("stopped=--stop-after after 0 complete epochs")
    assert victim.kept() == ["epoch-00001-step-00000001"]
    at = victim.arguments.index("--stop-after")
    del victim.arguments[at : at + 2]
    assert_same(victim.completed(), whole[0])
    assert "resumed=epoch 1, step 1" in victim.said()


# Which runs may resume


def interrupted(training: Training) -> Training:
    """Run until the first steps of the first epoch, and stop with a checkpoint."""
    assert training.asked_to_stop(said("photos=")) == [0], training.said()
    assert training.kept()[0].startswith("epoch-00001-step-")
    return training


def assert_refused(training: Training, difference: str) -> None:
    kept = training.kept()
    training.start()
    assert training.ended() == [1], training.said()
    assert f"is of another run ({difference}): name another --checkpoint-dir" in training.said()
    assert "resumed=" not in training.said()
    assert training.kept() == kept


def test_a_run_resumes_whatever_the_reason_for_which_weights_are_not_available(
    training, whole, tmp_path
):
    """`--weights auto` then means random weights, whether a folder or a server is missing."""
    victim = training("--weights", "auto", "--weights-dir", str(tmp_path / "none"))
    victim.variables = {"TORCH_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:1"}
    interrupted(victim)
    assert "weights: no folder" in victim.said()
    (tmp_path / "none").mkdir()
    assert_same(victim.completed(), whole[0])
    assert "weights: torchvision's server cannot be reached: " in victim.said()
    assert "resumed=epoch 1, step " in victim.said()


def train_with_weights(*arguments) -> None:
    """In a fork: run train.py where ImageNet's weights are available."""
    import pretrained

    state = resnet18().state_dict()
    pretrained.load_imagenet = lambda *_: (state, "resnet18.pth")
    train_alone(*arguments)


@pytest.mark.parametrize("available_first", [False, True])
def test_a_run_does_not_resume_from_other_weights(training, tmp_path, available_first):
    victim = training("--weights", "auto", "--weights-dir", str(tmp_path / "none"))
    targets = {True: train_with_weights, False: train_alone}
    names = {True: "imagenet (resnet18.pth)", False: "random (none available)"}
    victim.target = targets[available_first]
    interrupted(victim)
    victim.target = targets[not available_first]
    there, here = names[available_first], names[not available_first]
    assert_refused(victim, f"weights: {there} there, {here} here")


def test_a_run_resumes_with_other_limits_but_no_other_hyperparameters(training, whole):
    victim = interrupted(training())
    victim.set_options("--lr", "0.004")
    assert_refused(victim, "hyperparameters.lr: 0.003 there, 0.004 here")
    victim.set_options("--lr", "0.003", "--max-damaged", "3", "--nan-loss", "continue")
    victim.set_options("--checkpoint-seconds", "1000", "--num-workers", "1", "--stop-after", "1000")
    assert_same(victim.completed(), whole[0])
    assert "resumed=epoch 1, step " in victim.said()


# Several processes


@pytest.fixture(scope="module")
def pair(photos, tmp_path_factory) -> dict:
    """Return the result of an uninterrupted run in two processes."""
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
    """In a process that torchrun starts: note its id, and train."""
    log.with_name(f"rank-{os.environ['RANK']}").write_text(str(os.getpid()))
    train_alone(arguments, log, {}, PACE)


def test_torchrun_restarts_both_when_one_is_killed(training, pair):
    """The first process is killed after a checkpoint; torchrun itself restarts both."""
    victim = training(*PAIR)
    with torchrun(victim.log, train_known, victim.arguments, victim.log, restarts=1) as agent:
        victim.processes = [agent]
        assert victim.wait(written(1)), victim.said()
        os.kill(int((victim.folder / "rank-0").read_text()), signal.SIGKILL)
        assert victim.ended() == [0], victim.said()
    assert_same(victim, pair)
    assert victim.said().count("resumed=epoch ") == 1
