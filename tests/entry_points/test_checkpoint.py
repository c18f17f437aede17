"""`entry_points/checkpoint.py`: checkpoints on the disk, a run's progress, and when it stops."""

import contextlib
import math
import os
import pickle
import random
import shutil
import signal
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import pytest
import torch
from torch import nn

import checkpoint
from checkpoint import CheckpointError, Checkpoints, Progress, Stop, accuracy
from distributed import World
from tests.support.forking import fork, write_to

RUN = {"lr": 0.01, "classes": ["Boxer", "Pug"], "photos": {"train": 8, "valid": 4}, "layers": None}


def save(checkpoints: Checkpoints, epoch: int, step: int = 0, **more) -> None:
    """Save a small state that tells its epoch and step."""
    weight = torch.full((100,), float(epoch))
    state = {"epoch": epoch, "step": step, "weight": weight, **more}
    checkpoints.save(state, epoch, step)


def two_saved(folder: Path) -> Checkpoints:
    checkpoints = Checkpoints(folder, RUN)
    save(checkpoints, 1)
    save(checkpoints, 2)
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name[: len("epoch-00001-step-00000000")] for path in folder.iterdir())


def newest_file(folder: Path) -> Path:
    return max(folder.glob("*.pt"))


def same(one, other) -> bool:
    """Whether two states are equal, types and bits included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def trained() -> dict:
    """Return the state of a trained network, with every kind of value that a run may save."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    for _ in range(3):
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        schedule.step()
    return {
        "epoch": 3,
        "step": 12,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": {"torch": torch.get_rng_state(), "python": random.getstate()},
        "history": [{"epoch": 1, "loss": float("inf")}, {"epoch": 2, "loss": 0.1}],
        "features": {"views": [torch.zeros(2, 0), torch.ones(2, 3, dtype=torch.bfloat16)]},
        "done": False,
        "scaler": None,
        "name": "Löwchen",
    }


def test_a_state_is_restored_to_the_bit(tmp_path):
    saved = trained()
    Checkpoints(tmp_path, RUN).save(saved, 3, 12)
    back = Checkpoints(tmp_path, RUN).newest()
    assert same(back, saved)
    assert back["random"]["torch"].dtype == torch.uint8


def test_a_restored_optimiser_takes_the_same_steps(tmp_path):
    def network():
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        return model, torch.optim.Adam(model.parameters(), lr=0.1)

    def learn(model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 3)).square().sum().backward()
            optimizer.step()

    model, optimizer = network()
    learn(model, optimizer)
    parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    save(Checkpoints(tmp_path, RUN), 1, random=torch.get_rng_state(), **parts)
    learn(model, optimizer)

    other, other_optimizer = network()
    back = Checkpoints(tmp_path, RUN).newest()
    other.load_state_dict(back["model"])
    other_optimizer.load_state_dict(back["optimizer"])
    torch.set_rng_state(back["random"])
    learn(other, other_optimizer)
    assert same(other.state_dict(), model.state_dict())


def test_the_last_two_are_kept_in_the_order_of_epoch_and_step(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN)
    for epoch, step in [(1, 9), (1, 10), (2, 0), (9, 999), (10, 5)]:
        save(checkpoints, epoch, step)
    assert names(tmp_path) == ["epoch-00009-step-00000999", "epoch-00010-step-00000005"]
    assert checkpoints.newest()["epoch"] == 10


def test_the_name_ends_in_the_digest(tmp_path):
    save(Checkpoints(tmp_path, RUN), 1)
    (file,) = tmp_path.iterdir()
    assert file.stem.rpartition("-")[2] == sha256(file.read_bytes()).hexdigest()[:16]


def test_without_a_folder_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(None, RUN)
    save(checkpoints, 1)
    assert checkpoints.newest() is None
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_has_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "a" / "b", RUN).newest() is None
    assert (tmp_path / "a" / "b").is_dir()


def test_the_next_save_removes_what_a_killed_one_left(tmp_path):
    checkpoints = two_saved(tmp_path)
    (tmp_path / "epoch-00003-step-00000007.partial").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert checkpoints.newest()["epoch"] == 2
    save(checkpoints, 4)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pt", ".pt", ".txt"]


# Damage


def damaged(tmp_path: Path, content: bytes, capsys) -> tuple[dict | None, str]:
    """Replace the content of the newest file; return what `newest` finds, and what it prints."""
    file = newest_file(tmp_path)
    file.write_bytes(content)
    capsys.readouterr()
    return Checkpoints(tmp_path, RUN).newest(), capsys.readouterr().out


def expect_the_previous_one(tmp_path: Path, content: bytes, capsys) -> None:
    found, said = damaged(tmp_path, content, capsys)
    assert found is not None
    assert found["epoch"] == 1
    assert f"checkpoint=damaged: {newest_file(tmp_path).name}: " in said
    assert said.count("\n") == 1


@pytest.fixture
def whole(tmp_path) -> bytes:
    """The bytes of the newest of two checkpoints."""
    two_saved(tmp_path)
    return newest_file(tmp_path).read_bytes()


def test_a_file_cut_anywhere_is_damaged(tmp_path, whole, capsys):
    points = sorted({*range(0, 64), *range(0, len(whole), 37), *range(len(whole) - 64, len(whole))})
    for end in points:
        expect_the_previous_one(tmp_path, whole[:end], capsys)


def test_a_file_with_any_bit_flipped_is_damaged(tmp_path, whole, capsys):
    weights = whole.index(torch.full((100,), 2.0).numpy().tobytes())
    for position in [*range(0, len(whole), 41), *range(weights, weights + 8), len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        expect_the_previous_one(tmp_path, bytes(flipped), capsys)


@pytest.mark.parametrize("content", [b"", b"PK", b"\0" * 5000, b"not a checkpoint\n" * 99])
def test_a_file_of_junk_is_damaged(tmp_path, whole, capsys, content):
    expect_the_previous_one(tmp_path, content, capsys)


def test_a_file_with_a_byte_added_is_damaged(tmp_path, whole, capsys):
    expect_the_previous_one(tmp_path, whole + b"\0", capsys)


def test_a_file_with_another_digest_in_its_name_is_damaged(tmp_path, whole, capsys):
    file = newest_file(tmp_path)
    file.rename(tmp_path / f"{file.name[: -len('0123456789abcdef.pt')]}0123456789abcdef.pt")
    assert Checkpoints(tmp_path, RUN).newest()["epoch"] == 1
    assert "0123456789abcdef.pt: its SHA-256 begins with" in capsys.readouterr().out


def test_if_both_are_damaged_there_is_no_state(tmp_path, capsys):
    checkpoints = two_saved(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(b"junk")
    assert checkpoints.newest() is None
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len("checkpoint=damaged: epoch-0000x")] for line in lines] == [
        "checkpoint=damaged: epoch-00002",
        "checkpoint=damaged: epoch-00001",
    ]


def test_the_next_save_removes_damaged_files(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN)
    for epoch in (1, 2):
        save(checkpoints, epoch)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    save(checkpoints, 3)
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    for file in sorted(tmp_path.iterdir())[1:]:
        file.write_bytes(b"junk")
    assert checkpoints.newest()["epoch"] == 1
    save(checkpoints, 2, 7)
    assert names(tmp_path) == ["epoch-00001-step-00000000", "epoch-00002-step-00000007"]
    assert checkpoints.newest()["step"] == 7


def test_a_file_that_replaces_a_damaged_one_is_kept(tmp_path):
    checkpoints = two_saved(tmp_path)
    newest_file(tmp_path).write_bytes(b"junk")
    assert checkpoints.newest()["epoch"] == 1
    for epoch in (2, 3):
        save(checkpoints, epoch)
    assert names(tmp_path) == ["epoch-00002-step-00000000", "epoch-00003-step-00000000"]


def with_its_digest(folder: Path, write) -> Path:
    """Have `write` make a file, and give it the name of a checkpoint, with its digest."""
    draft = folder / "draft"
    write(draft)
    digest = sha256(draft.read_bytes()).hexdigest()[:16]
    return draft.rename(folder / f"epoch-00009-step-00000000-{digest}.pt")


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_never_runs(tmp_path, capsys, legacy):
    two_saved(tmp_path)
    trap = Trap(tmp_path / "sprung")
    content = (RUN, {"epoch": 9, "trap": trap})
    form = {"_use_new_zipfile_serialization": not legacy}
    file = with_its_digest(tmp_path, lambda draft: torch.save(content, draft, **form))
    assert Checkpoints(tmp_path, RUN).newest()["epoch"] == 2
    assert f"checkpoint=damaged: {file.name}" in capsys.readouterr().out
    assert not trap.file.exists()


def test_a_bare_pickle_never_runs(tmp_path):
    trap = Trap(tmp_path / "sprung")
    with_its_digest(tmp_path, lambda draft: draft.write_bytes(pickle.dumps(trap, protocol=2)))
    assert Checkpoints(tmp_path, RUN).newest() is None
    assert not trap.file.exists()


def test_a_file_of_something_else_is_damaged(tmp_path, capsys):
    with_its_digest(tmp_path, lambda draft: torch.save(torch.zeros(3), draft))
    assert Checkpoints(tmp_path, RUN).newest() is None
    assert "checkpoint=damaged" in capsys.readouterr().out


# The run that they belong to


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"lr": 0.1}, "(lr: 0.01 there, 0.1 here)"),
        ({"photos": {"train": 9, "valid": 4}}, "(photos.train: 8 there, 9 here)"),
        ({"photos": {"train": 8}}, "(photos.valid: 4 there, None here)"),
        ({"classes": ["Boxer"]}, "(classes: ['Boxer', 'Pug'] there, ['Boxer'] here)"),
        ({"layers": 2, "lr": 1}, "(lr: 0.01 there, 1 here; layers: None there, 2 here)"),
    ],
)
def test_another_run_is_refused_with_each_difference(tmp_path, change, found):
    two_saved(tmp_path)
    with pytest.raises(CheckpointError) as refusal:
        Checkpoints(tmp_path, {**RUN, **change}).newest()
    assert found in str(refusal.value)
    assert newest_file(tmp_path).name in str(refusal.value)
    assert "name another --checkpoint-dir, or remove this one" in str(refusal.value)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_same_run_is_recognised_by_its_values(tmp_path):
    """JSON turns tuples into lists; that does not make it another run."""
    save(Checkpoints(tmp_path, {"sizes": (1, 2), "lr": 1e-3}), 1)
    assert Checkpoints(tmp_path, {"lr": 0.001, "sizes": [1, 2]}).newest()["epoch"] == 1


def test_a_run_is_identified_by_plain_values_only():
    with pytest.raises(TypeError):
        Checkpoints(None, {"folder": Path()})


# Disks


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file.*: name another --checkpoint-dir"):
        Checkpoints(tmp_path / "file", RUN)


def test_a_folder_that_cannot_be_made_is_refused():
    with pytest.raises(CheckpointError, match="name another --checkpoint-dir"):
        Checkpoints(Path("/proc/none/checkpoints"), RUN)


def refuse_as_nobody(folder: Path, told: Path) -> None:
    note = told.open("w")
    if os.getuid() == 0:  # who may write anywhere
        os.setuid(65534)
    with pytest.raises(CheckpointError) as refusal:
        Checkpoints(folder, RUN)
    note.write(str(refusal.value))
    note.close()


def test_a_folder_without_write_permission_is_refused(tmp_path):
    with tempfile.TemporaryDirectory() as folder:  # not below tmp_path, where only we may look
        Path(folder).chmod(0o555)
        process = fork(refuse_as_nobody, Path(folder), tmp_path / "told")
        process.join(60)
        assert process.exitcode == 0
        way_out = f"{folder} must be readable and writable: name another --checkpoint-dir"
        assert (tmp_path / "told").read_text() == way_out


def save_on_a_full_disk(folder: Path, told: Path) -> None:
    """In a fork, which gets a limit on the size of files: beyond it, writing fails."""
    write_to(told)
    checkpoints = Checkpoints(folder, {})
    save(checkpoints, 1)
    _, most = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (50_000, most))
    for size in (50, 12_300, 13_000, 1_000_000):
        save(checkpoints, 2, size, weight=torch.ones(size))
    print("half-written:", len(list(folder.glob("*.partial"))))
    setrlimit(RLIMIT_FSIZE, (most, most))
    print("goes on from", checkpoints.newest()["step"])
    save(checkpoints, 3, weight=torch.ones(13_000))
    print("and to", checkpoints.newest()["epoch"])


def test_on_a_full_disk_the_run_prints_a_line_and_continues(tmp_path):
    folder, told = tmp_path / "kept", tmp_path / "told"
    process = fork(save_on_a_full_disk, folder, told)
    process.join(60)
    assert process.exitcode == 0, told.read_text()
    *failed, half, on, to = told.read_text().splitlines()
    assert [line[:46] for line in failed] == [
        f"checkpoint=failed: epoch-00002-step-{size:08}: " for size in (12_300, 13_000, 1_000_000)
    ]
    assert all("File too large" in line for line in failed)
    assert (half, on, to) == ("half-written: 0", "goes on from 50", "and to 3")
    assert names(folder) == ["epoch-00002-step-00000050", "epoch-00003-step-00000000"]


def test_a_run_continues_if_its_folder_has_been_removed(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path / "kept", RUN)
    shutil.rmtree(tmp_path / "kept")
    save(checkpoints, 1)
    assert "checkpoint=failed: epoch-00001-step-00000000: " in capsys.readouterr().out


# Kills


def save_on(folder: Path, size: int, acknowledged: Path) -> None:
    """Save until killed, and note the step of each save that has returned."""
    checkpoints = Checkpoints(folder, RUN)
    begin = (checkpoints.newest() or {"step": 0})["step"]
    note = os.open(acknowledged, os.O_WRONLY | os.O_CREAT)
    for step in range(begin + 1, begin + 100_000):
        data = bytearray(str(step % 10).encode() * size)
        save(checkpoints, 1, step, data=torch.frombuffer(data, dtype=torch.uint8))
        os.pwrite(note, f"{step:9}".encode(), 0)


def read_number(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0


@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_a_kill_at_any_moment_of_a_save_leaves_a_whole_one(tmp_path, capsys, size):
    chance, folder, acknowledged = random.Random(size), tmp_path / "kept", tmp_path / "step"
    partials = 0
    for _ in range(12):
        known = read_number(acknowledged)
        process = fork(save_on, folder, size, acknowledged)
        while read_number(acknowledged) == known:
            assert process.is_alive()
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        partials += any(folder.glob("*.partial"))
        back = Checkpoints(folder, RUN).newest()
        assert back["step"] - read_number(acknowledged) in (0, 1)
        assert bytes(back["data"].numpy()) == str(back["step"] % 10).encode() * size
    assert "damaged" not in capsys.readouterr().out
    assert partials, "no kill came during a save"


# Progress


def logits_for(labels: torch.Tensor, right: int) -> torch.Tensor:
    """Return logits (N, 2) of which the first `right` are highest at their label."""
    answers = labels.clone()
    answers[right:] = 1 - answers[right:]
    return nn.functional.one_hot(answers, 2).float()


def train(progress: Progress, *steps: tuple[float, int, int]) -> None:
    """Count training steps, each given by its loss, photos, and photos that were recognised."""
    for loss, photos, right in steps:
        labels = torch.arange(photos) % 2
        progress.update(torch.tensor(loss), logits_for(labels, right), labels)


def validated(losses: list[float], keep_best: bool = True) -> tuple[Progress, nn.Module]:
    """Return the progress after epochs with these validation losses, and the network.

    The weights of the network are the number of the epoch.
    """
    progress, model = Progress(World()), nn.Linear(1, 1)
    for epoch, loss in enumerate(losses, 1):
        train(progress, (1.0, 2, 1))
        with torch.no_grad():
            model.weight.fill_(epoch)
        progress.end_epoch(loss, 0.5, model, keep_best)
    return progress, model


def without_times(history: list[dict]) -> list[dict]:
    times = ("seconds", "images_per_second")
    return [{n: v for n, v in epoch.items() if n not in times} for epoch in history]


def test_the_metrics_of_an_epoch_are_means_over_its_photos():
    progress = Progress(World())
    train(progress, (1.0, 6, 3), (4.0, 2, 2))
    assert (progress.epoch, progress.step) == (1, 2)
    metrics = progress.end_epoch(0.7, 0.25, nn.Linear(1, 1), keep_best=False)
    assert progress.history == [metrics]
    assert without_times([metrics]) == [
        {
            "epoch": 1,
            "train_loss": pytest.approx(14 / 8),
            "train_accuracy": pytest.approx(5 / 8),
            "valid_loss": 0.7,
            "valid_accuracy": 0.25,
        }
    ]
    assert 0 < 8 / metrics["images_per_second"] <= metrics["seconds"]
    assert (progress.epoch, progress.step, progress.loss.count()) == (2, 0, 0)


def test_progress_continues_from_its_state_as_if_never_interrupted(tmp_path):
    first, rest = [(0.9, 4, 1), (0.8, 4, 2)], [(0.7, 3, 3), (0.1, 1, 0)]
    whole, model = validated([0.6, 0.5])
    train(whole, *first, *rest)
    interrupted, _ = validated([0.6, 0.5])
    train(interrupted, *first)
    interrupted.train_seconds = 100.0
    state = {"progress": interrupted.state_dict()}
    Checkpoints(tmp_path, RUN).save(state, interrupted.epoch, interrupted.step)

    resumed = Progress(World())
    resumed.load_state_dict(Checkpoints(tmp_path, RUN).newest()["progress"])
    assert (resumed.epoch, resumed.step) == (3, 2)
    assert without_times(resumed.history) == without_times(whole.history)
    assert resumed.best == resumed.history[1]
    assert same(resumed.best_weights, interrupted.best_weights)
    resumed.start_clock()
    train(resumed, *rest)
    for progress in (whole, resumed):
        progress.end_epoch(0.4, 0.5, model, keep_best=True)
    assert without_times(resumed.history) == without_times(whole.history)
    assert 100 < resumed.history[-1]["seconds"] < 130  # those before the interruption included


def test_a_state_does_not_change_with_the_run():
    progress, _ = validated([0.6])
    train(progress, (1.0, 2, 1))
    sums = progress.state_dict()["loss"]["sums"]
    train(progress, (1.0, 2, 1))
    assert sums.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([0.6, 0.5, 0.7], 2),
        ([0.5, 0.5], 1),  # of equal ones, the first
        ([math.nan, 0.9, math.nan], 2),
        ([0.9, math.nan], 1),
        ([math.inf, 0.9], 2),
    ],
)
def test_the_epoch_with_the_lowest_validation_loss_is_kept(losses, best):
    progress, model = validated(losses)
    assert progress.kept() == progress.history[best - 1]
    assert progress.best_weights["weight"].item() == best
    assert model.weight.item() == len(losses)


def test_unless_the_best_epoch_is_asked_for_the_last_one_is_kept():
    progress, _ = validated([0.5, 0.6], keep_best=False)
    assert progress.best_weights is None
    assert progress.best["epoch"] == 1  # from which --patience counts
    assert progress.kept() == progress.history[-1]


def test_if_no_validation_loss_is_finite_the_last_epoch_is_kept():
    progress, _ = validated([math.nan, math.inf])
    assert progress.best is progress.best_weights is None
    assert progress.kept()["epoch"] == 2


def test_before_an_epoch_has_ended_none_is_kept():
    assert Progress(World()).kept() == {}


@pytest.mark.parametrize(
    ("losses", "epochs", "patience", "over"),
    [
        ([], 1, 1, False),
        ([0.6], 2, 0, False),
        ([0.6, 0.7], 2, 0, True),
        ([0.6, 0.7, 0.8, 0.9], 9, 0, False),
        ([0.6, 0.7], 9, 2, False),
        ([0.6, 0.7, 0.6], 9, 2, True),  # as good is not better
        ([0.6, 0.7, 0.5], 9, 2, False),
        ([0.6, math.nan, math.nan], 9, 2, True),
        ([math.nan, math.nan], 9, 2, True),
        ([math.nan, 0.6, 0.7], 9, 2, False),
    ],
)
@pytest.mark.parametrize("keep_best", [False, True])
def test_a_run_is_over_after_its_epochs_or_when_it_no_longer_improves(
    losses, epochs, patience, over, keep_best
):
    progress, _ = validated(losses, keep_best)
    assert progress.is_over(epochs, patience) is over


def test_accuracy_is_the_share_of_right_answers():
    labels = torch.tensor([0, 1, 0, 1])
    assert accuracy(logits_for(labels, 3), labels).item() == 0.75


# When a run stops


def test_sigterm_stops_the_run_after_its_step_and_the_handler_is_restored():
    calls = []
    before = signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
    try:
        with Stop(World()) as stop:
            stop.check()
            assert stop.reason == ""
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.reason == ""
            stop.check()
            assert stop.reason == "SIGTERM"
        assert calls == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert calls == [1]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_handler_is_restored_after_an_error_too():
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(KeyError), Stop(World()):
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_stops_one_run_and_not_the_next():
    with Stop(World()) as first:
        os.kill(os.getpid(), signal.SIGTERM)
        first.check()
    with Stop(World()) as second:
        second.check()
    assert (first.reason, second.reason) == ("SIGTERM", "")


def terminate_twice(noted: Path) -> None:
    with Stop(World()) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.check()
        noted.write_text(stop.reason)
        os.kill(os.getpid(), signal.SIGTERM)
        noted.write_text("still there")


def test_a_second_sigterm_ends_the_process(tmp_path):
    process = fork(terminate_twice, tmp_path / "noted")
    process.join(60)
    assert process.exitcode == -signal.SIGTERM
    assert (tmp_path / "noted").read_text() == "SIGTERM"


def test_a_run_stops_at_its_deadline_which_counts_from_the_start_of_the_process(monkeypatch):
    monkeypatch.setattr(checkpoint, "process_began", lambda: time.time() - 61)
    early, late = Stop(World(), stop_after=120), Stop(World(), stop_after=60)
    for stop in (early, late):
        stop.check()
    assert (early.reason, late.reason) == ("", "--stop-after")


def test_the_first_reason_remains():
    with Stop(World(), stop_after=1e-9) as stop:
        stop.check()
        os.kill(os.getpid(), signal.SIGTERM)
        stop.check()
    assert stop.reason == "--stop-after"


def test_a_checkpoint_is_due_once_in_its_interval(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    stop, never = Stop(World(), checkpoint_every=30), Stop(World())
    due = []
    for seconds in (10, 19, 2, 1, 30):
        now[0] += seconds
        for one in (stop, never):
            one.check()
        due.append(stop.save_due)
        assert not stop.reason
        assert not never.save_due
    assert due == [False, False, True, False, True]


class TwoGPUs(World):
    """Two processes on GPUs, of which the other one wishes nothing."""

    looks = 0

    def all_reduce(self, *tensors):
        type(self).looks += 1


def test_several_gpus_wait_for_each_other_in_few_steps_only(monkeypatch):
    """All processes must look in the same steps: what one of them wants does not matter."""
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)  # there may be no GPU
    monkeypatch.setattr(TwoGPUs, "looks", 0)
    world, steps = TwoGPUs(torch.device("cuda"), world_size=2), 2 * checkpoint.LOOK_EVERY
    with Stop(world, checkpoint_every=1e-9) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        due = []
        for step in range(1, steps + 1):
            stop.check()
            assert bool(stop.reason) == (step >= checkpoint.LOOK_EVERY)
            due += [step] if stop.save_due else []
    assert due == [checkpoint.LOOK_EVERY, steps]
    assert TwoGPUs.looks == 2
