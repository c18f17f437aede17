"""`entry_points/checkpoints.py`: what is kept comes back, and only what is whole."""

import contextlib
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

from checkpoints import CheckpointError, Checkpoints, Interruption
from tests.support.forking import fork, write_to

RUN = {"lr": 0.01, "classes": ["Boxer", "Pug"], "photos": {"train": 8, "valid": 4}, "layers": None}


def state(epoch: int, step: int = 0, **more) -> dict:
    return {"epoch": epoch, "step": step, "weight": torch.full((100,), float(epoch)), **more}


def two_saved(folder: Path) -> Checkpoints:
    checkpoints = Checkpoints(folder, RUN)
    checkpoints.save(state(1))
    checkpoints.save(state(2))
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
    """Everything that a run may keep, from a network that has learnt."""
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


def test_all_that_a_run_keeps_comes_back(tmp_path):
    kept = trained()
    Checkpoints(tmp_path, RUN).save(kept)
    back = Checkpoints(tmp_path, RUN).newest()
    assert same(back, kept)
    assert back["random"]["torch"].dtype == torch.uint8


def test_a_restored_optimiser_goes_on_alike(tmp_path):
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
    Checkpoints(tmp_path, RUN).save(state(1, random=torch.get_rng_state(), **parts))
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
        checkpoints.save(state(epoch, step))
    assert names(tmp_path) == ["epoch-00009-step-00000999", "epoch-00010-step-00000005"]
    assert checkpoints.newest()["epoch"] == 10


def test_the_name_ends_in_the_digest(tmp_path):
    Checkpoints(tmp_path, RUN).save(state(1))
    (file,) = tmp_path.iterdir()
    assert file.stem.rpartition("-")[2] == sha256(file.read_bytes()).hexdigest()[:16]


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(None, RUN)
    checkpoints.save(state(1))
    assert checkpoints.newest() is None
    assert list(tmp_path.iterdir()) == []


def test_an_empty_or_new_folder_has_none(tmp_path):
    assert Checkpoints(tmp_path / "a" / "b", RUN).newest() is None
    assert (tmp_path / "a" / "b").is_dir()


def test_what_a_killed_save_left_goes_once_another_is_in_place(tmp_path, monkeypatch):
    checkpoints = two_saved(tmp_path)
    (tmp_path / "epoch-00003-step-00000007.partial").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert checkpoints.newest()["epoch"] == 2
    checkpoints.save(state(4))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pt", ".pt", ".txt"]


# Damage


def damaged(tmp_path: Path, content: bytes, capsys) -> tuple[dict | None, str]:
    """What is found, and said, after the newest of two has got other content."""
    file = newest_file(tmp_path)
    file.write_bytes(content)
    capsys.readouterr()
    return Checkpoints(tmp_path, RUN).newest(), capsys.readouterr().out


def expect_the_one_before(tmp_path: Path, content: bytes, capsys) -> None:
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


def test_cut_anywhere_the_one_before_it_is_taken(tmp_path, whole, capsys):
    points = sorted({*range(0, 64), *range(0, len(whole), 37), *range(len(whole) - 64, len(whole))})
    for end in points:
        expect_the_one_before(tmp_path, whole[:end], capsys)


def test_with_any_byte_flipped_the_one_before_it_is_taken(tmp_path, whole, capsys):
    weights = whole.index(torch.full((100,), 2.0).numpy().tobytes())
    for position in [*range(0, len(whole), 41), *range(weights, weights + 8), len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        expect_the_one_before(tmp_path, bytes(flipped), capsys)


@pytest.mark.parametrize("content", [b"", b"PK", b"\0" * 5000, b"not a checkpoint\n" * 99])
def test_in_place_of_junk_the_one_before_it_is_taken(tmp_path, whole, capsys, content):
    expect_the_one_before(tmp_path, content, capsys)


def test_bytes_added_are_damage(tmp_path, whole, capsys):
    expect_the_one_before(tmp_path, whole + b"\0", capsys)


def test_a_wrong_digest_in_the_name_is_damage(tmp_path, whole, capsys):
    file = newest_file(tmp_path)
    file.rename(tmp_path / f"{file.name[: -len('0123456789abcdef.pt')]}0123456789abcdef.pt")
    assert Checkpoints(tmp_path, RUN).newest()["epoch"] == 1
    assert "0123456789abcdef.pt: its SHA-256 begins with" in capsys.readouterr().out


def test_both_damaged_leave_nothing_but_two_lines(tmp_path, capsys):
    checkpoints = two_saved(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(b"junk")
    assert checkpoints.newest() is None
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len("checkpoint=damaged: epoch-0000x")] for line in lines] == [
        "checkpoint=damaged: epoch-00002",
        "checkpoint=damaged: epoch-00001",
    ]


def test_the_damaged_are_gone_once_a_resumed_run_has_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path, RUN)
    for epoch in (1, 2):
        checkpoints.save(state(epoch))
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    checkpoints.save(state(3))
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    for file in sorted(tmp_path.iterdir())[1:]:
        file.write_bytes(b"junk")
    assert checkpoints.newest()["epoch"] == 1
    checkpoints.save(state(2, 7))
    assert names(tmp_path) == ["epoch-00001-step-00000000", "epoch-00002-step-00000007"]
    assert checkpoints.newest()["step"] == 7


def test_one_written_anew_after_damage_is_as_good_as_any(tmp_path):
    checkpoints = two_saved(tmp_path)
    newest_file(tmp_path).write_bytes(b"junk")
    assert checkpoints.newest()["epoch"] == 1
    for epoch in (2, 3):
        checkpoints.save(state(epoch))
    assert names(tmp_path) == ["epoch-00002-step-00000000", "epoch-00003-step-00000000"]


def with_its_digest(folder: Path, write) -> Path:
    """A file that `write` makes, as a checkpoint's name would have it."""
    draft = folder / "draft"
    write(draft)
    digest = sha256(draft.read_bytes()).hexdigest()[:16]
    return draft.rename(folder / f"epoch-00009-step-00000000-{digest}.pt")


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_never_runs(tmp_path, capsys, legacy):
    two_saved(tmp_path)
    trap = Trap(tmp_path / "sprung")
    content = (RUN, state(9, trap=trap))
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


def test_a_file_of_something_else_is_damage(tmp_path, capsys):
    with_its_digest(tmp_path, lambda draft: torch.save(torch.zeros(3), draft))
    assert Checkpoints(tmp_path, RUN).newest() is None
    assert "checkpoint=damaged" in capsys.readouterr().out


# Whose they are


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


def test_the_same_run_is_known_by_its_values(tmp_path):
    """Tuples come back as lists, which makes no other run."""
    Checkpoints(tmp_path, {"sizes": (1, 2), "lr": 1e-3}).save(state(1))
    assert Checkpoints(tmp_path, {"lr": 0.001, "sizes": [1, 2]}).newest()["epoch"] == 1


def test_what_identifies_a_run_must_be_plain():
    with pytest.raises(TypeError):
        Checkpoints(None, {"folder": Path()})


# Disks


def test_a_file_for_a_folder_is_refused(tmp_path):
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


def test_a_folder_that_is_not_ours_to_write_in_is_refused_at_once(tmp_path):
    with tempfile.TemporaryDirectory() as folder:  # not below tmp_path, where only we may look
        Path(folder).chmod(0o555)
        process = fork(refuse_as_nobody, Path(folder), tmp_path / "told")
        process.join(60)
        assert process.exitcode == 0
        way_out = f"{folder} must be readable and writable: name another --checkpoint-dir"
        assert (tmp_path / "told").read_text() == way_out


def save_on_a_full_disk(folder: Path, told: Path) -> None:
    """In a fork, whose own limit it is: a file that may not grow fails as on a full disk."""
    write_to(told)
    checkpoints = Checkpoints(folder, {})
    checkpoints.save({"epoch": 1, "step": 0, "weight": torch.ones(10)})
    _, most = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (50_000, most))
    for size in (50, 12_300, 13_000, 1_000_000):
        checkpoints.save({"epoch": 2, "step": size, "weight": torch.ones(size)})
    print("half-written:", len(list(folder.glob("*.partial"))))
    setrlimit(RLIMIT_FSIZE, (most, most))
    print("goes on from", checkpoints.newest()["step"])
    checkpoints.save({"epoch": 3, "step": 0, "weight": torch.ones(13_000)})
    print("and to", checkpoints.newest()["epoch"])


def test_a_full_disk_costs_a_line_and_not_the_run(tmp_path):
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


def test_a_folder_lost_meanwhile_costs_a_line(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path / "kept", RUN)
    shutil.rmtree(tmp_path / "kept")
    checkpoints.save(state(1))
    assert "checkpoint=failed: epoch-00001-step-00000000: " in capsys.readouterr().out


# Kills


def save_on(folder: Path, size: int, acknowledged: Path) -> None:
    """Save until killed, and note the step of each save that has returned."""
    checkpoints = Checkpoints(folder, RUN)
    begin = (checkpoints.newest() or {"step": 0})["step"]
    note = os.open(acknowledged, os.O_WRONLY | os.O_CREAT)
    for step in range(begin + 1, begin + 100_000):
        data = bytearray(str(step % 10).encode() * size)
        kept = {"epoch": 1, "step": step, "data": torch.frombuffer(data, dtype=torch.uint8)}
        checkpoints.save(kept)
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


# SIGTERM


def test_sigterm_is_noted_and_the_handler_restored():
    calls = []
    before = signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
    try:
        with Interruption() as interruption:
            assert not interruption.asked
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.asked
        assert calls == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert calls == [1]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_handler_is_restored_after_an_error_too():
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(KeyError), Interruption():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_interruption_is_not_the_next_one():
    with Interruption() as first:
        os.kill(os.getpid(), signal.SIGTERM)
    with Interruption() as second:
        pass
    assert (first.asked, second.asked) == (True, False)


def terminate_twice(noted: Path) -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGTERM)
        noted.write_text(str(interruption.asked))
        os.kill(os.getpid(), signal.SIGTERM)
        noted.write_text("still there")


def test_a_second_sigterm_ends_the_process(tmp_path):
    process = fork(terminate_twice, tmp_path / "noted")
    process.join(60)
    assert process.exitcode == -signal.SIGTERM
    assert (tmp_path / "noted").read_text() == "True"
