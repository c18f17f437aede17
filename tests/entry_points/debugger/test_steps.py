"""`entry_points/debugger/steps.py`: where a step's time goes, readable when a job is killed."""

import json
import subprocess
import sys
import time
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import distributed
import train
from checkpoint import Progress, Stop
from debugger import JobExtras
from debugger import steps as recorder
from debugger.hook import Debugger
from debugger.steps import Steps
from debugger_support.processes import wait_until
from distributed import World
from preprocess import Preprocessing

CPU = World()
OPTIONS = Namespace(
    model="linear",
    train_layers="all",
    head_epochs=0,
    batch_norm="train",
    label_smoothing=0.0,
    clip_norm=0.0,
    nan_loss="stop",
    seed=0,
)
PAUSE = 0.05
PARTS = ("Data", "HostToDevice", "Forward", "Backward", "Optimizer")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for one another make the smallest sum slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def files(folder):
    return sorted(folder.glob("framework/steps/*/*.json"))


def rows(folder, kind=None):
    found = [json.loads(line) for file in files(folder) for line in file.read_text().splitlines()]
    return [row for row in found if kind in (None, row["Type"])]


def batches(count=3, size=2):
    return [(torch.zeros(size, 8, 8, 3, dtype=torch.uint8), torch.zeros(size).long())] * count


class Slow:
    """Waits at what a test names: a loader, a network, and what its gradients pass through."""

    def __init__(self, *parts):
        self.parts = parts

    def at(self, part):
        if part in self.parts:
            time.sleep(PAUSE)

    def loader(self, count):
        slow = self

        class Loader(list):
            def __iter__(self):
                for batch in batches(count):
                    slow.at("Data")
                    yield batch

        return Loader(batches(count))

    def network(self):
        slow = self

        class Network(torch.nn.Linear):
            def forward(self, photos):
                slow.at("Forward")
                logits = super().forward(photos.flatten(1))
                if logits.requires_grad:
                    logits.register_hook(lambda gradient: slow.at("Backward"))
                return logits

        return Network(8 * 8 * 3, 2)

    def optimizer(self, network):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(lambda *_: self.at("Optimizer"))
        return optimizer


def fit(steps, slow, epochs=1, count=3):
    """Train and validate with train.py's loop, slowly; return each epoch's metrics."""
    extras = JobExtras(OPTIONS)
    extras.steps, extras.hook = steps, Debugger()
    network, criterion = slow.network(), torch.nn.CrossEntropyLoss()
    optimizer = slow.optimizer(network)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    learning = (criterion, optimizer, scheduler, torch.amp.GradScaler("cpu", enabled=False))
    progress, watched = Progress(CPU), train.Run(OPTIONS, Preprocessing(8), CPU, extras, Stop(CPU))

    def feed(channel, epoch, step=0):
        return network, slow.loader(count if channel == "train" else 2)

    for _ in range(epochs):
        train.train_one_epoch(network, feed, *learning, progress, watched, lambda: None)
        valid = train.evaluate(network, feed, criterion, progress.epoch, watched)
        progress.end_epoch(*valid, network, keep_best=False)
    return progress.history


def run(folder, slow, epochs=1, count=3, **members):
    """Record a run; return the recorder's rows."""
    steps = Steps(folder, **members)
    fit(steps, slow, epochs, count)
    steps.close()
    return rows(folder)


@pytest.mark.parametrize("part", ["Data", "Forward", "Backward", "Optimizer"])
def test_what_is_slow_is_told_by_its_part(tmp_path, part):
    run(tmp_path, Slow(part), count=4)
    trained = [row for row in rows(tmp_path, "step") if row["Phase"] == "train"]
    for row in trained:
        assert PAUSE <= row[part] <= row["Seconds"]
    for other in set(PARTS) - {part}:  # some step was not held up by a busy machine
        assert min(row[other] for row in trained) < PAUSE


def test_the_parts_are_no_more_than_the_whole(tmp_path):
    run(tmp_path, Slow(*PARTS))
    for row in rows(tmp_path, "step"):
        parts = [row[part] for part in PARTS if part in row]
        assert min(parts) >= 0
        assert sum(parts) <= row["Seconds"] + 1e-6
        if row["Phase"] == "train":
            assert sum(parts) >= 4 * PAUSE


def test_steps_count_over_the_run_in_each_phase(tmp_path):
    run(tmp_path, Slow(), epochs=2)
    found = rows(tmp_path, "step")
    train, valid = ([r for r in found if r["Phase"] == phase] for phase in ("train", "valid"))
    assert [(r["Epoch"], r["Step"]) for r in train] == [
        (1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 5)
    ]  # fmt: skip
    assert [(r["Epoch"], r["Step"]) for r in valid] == [(1, 0), (1, 1), (2, 2), (2, 3)]
    assert {r["Images"] for r in found} == {2}
    assert all(set(PARTS) <= set(row) for row in train)
    # What a step does not have is absent, not zero.
    assert not any({"Backward", "Optimizer"} & set(row) for row in valid)
    assert not any("Traced" in row for row in found)


def test_a_step_has_the_time_at_which_it_began(tmp_path):
    begin = time.time()
    run(tmp_path, Slow("Forward"))
    end = time.time()
    found = rows(tmp_path, "step")
    for before, after in pairwise(found):
        # One follows the other; they do not overlap.
        assert before["Timestamp"] + before["Seconds"] <= after["Timestamp"] + 1e-3
    assert begin <= found[0]["Timestamp"] <= begin + 1
    assert found[-1]["Timestamp"] + found[-1]["Seconds"] <= end + 1e-3


def test_rows_lie_in_the_files_of_their_minutes_by_node_and_rank(tmp_path):
    run(tmp_path, Slow(), node="algo-2", rank=3)
    for file in files(tmp_path):
        minute, names, _ = file.name.split(".")
        assert names == "algo-2-3"
        assert file.parent.name == time.strftime("%Y%m%d%H", time.gmtime(int(minute)))
        for row in map(json.loads, file.read_text().splitlines()):
            assert 0 <= row["Timestamp"] - int(minute) < 60
            assert (row["NodeId"], row["Rank"]) == ("algo-2", 3)


def test_spans_are_the_initialization_and_each_evaluation(tmp_path):
    run(tmp_path, Slow("Data"), epochs=2)
    first, *others = rows(tmp_path, "span")
    assert first["Name"] == "initialization"
    begin = rows(tmp_path, "step")[0]["Timestamp"]
    assert first["Timestamp"] + first["Seconds"] == pytest.approx(begin, abs=0.1)
    assert [span["Name"] for span in others] == ["evaluation"] * 2
    for epoch, span in enumerate(others, start=1):
        of = [r for r in rows(tmp_path, "step") if (r["Phase"], r["Epoch"]) == ("valid", epoch)]
        assert span["Timestamp"] <= of[0]["Timestamp"]
        assert sum(row["Seconds"] for row in of) <= span["Seconds"] + 1e-6


def test_initialization_begins_with_the_process():
    script = (
        f"import sys, time; sys.path.insert(0, {str(Path(recorder.__file__).parents[1])!r}); "
        "time.sleep(1); import distributed; print(distributed.process_began())"
    )
    before = time.time()
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        after = time.time()
        began = float(process.stdout.read())
    tick = 0.05
    assert before - tick <= began <= after + tick


def test_where_the_system_does_not_say_when_it_began_importing_counts(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: (_ for _ in ()).throw(OSError("macOS")))
    assert distributed.process_began() == distributed.STARTED


def test_a_named_span_lasts_as_long_as_its_context(tmp_path):
    steps = Steps(tmp_path)
    before = time.time()
    with steps.span("checkpoint"):
        time.sleep(PAUSE)
    steps.close()
    (span,) = rows(tmp_path)
    assert span["Name"] == "checkpoint"
    assert before <= span["Timestamp"] <= time.time() - PAUSE
    assert PAUSE <= span["Seconds"] <= time.time() - before


def test_without_a_folder_nothing_is_recorded_and_nothing_differs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = []
    for folder in (None, tmp_path / "recording"):
        torch.manual_seed(0)
        steps = Steps(folder)
        results.append(fit(steps, Slow(), epochs=2))
        steps.about("run", Model="x")
        with steps.span("checkpoint"):
            pass
        steps.close()
    for name in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy"):
        assert [epoch[name] for epoch in results[0]] == [epoch[name] for epoch in results[1]]
    assert [file.name for file in tmp_path.iterdir()] == ["recording"]


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "framework").write_text("")
    steps = Steps(tmp_path)
    for epoch in (1, 2):
        steps.begin("valid", epoch)
        photos = 0
        for _, labels in steps.over(Slow("Data").loader(12), CPU.device):
            steps.mark("Forward")
            photos += len(labels)
        assert photos == 24
        steps._flush()
    steps.close()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("steps=off: ") and str(tmp_path) in line


def test_an_earlier_attempt_is_removed_and_another_rank_kept(tmp_path):
    for rank in (0, 1):
        run(tmp_path, Slow(), rank=rank)
    before = len(rows(tmp_path))
    run(tmp_path, Slow(), rank=0)
    assert len(rows(tmp_path)) == before
    assert {row["Rank"] for row in rows(tmp_path)} == {0, 1}


KILLED = f"""
import sys, time
sys.path.insert(0, {str(Path(recorder.__file__).parents[1])!r})
from pathlib import Path
from types import SimpleNamespace
from debugger.steps import Steps
steps = Steps(Path(sys.argv[1]))
for photos, labels in steps.over([(0, [0, 0])] * 100000, SimpleNamespace(type="cpu")):
    time.sleep(0.02)
    steps.mark("Forward")
    print(flush=True)
"""


def test_a_killed_job_loses_about_a_second(tmp_path):
    job = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
    wait_until(lambda: len(rows(tmp_path, "step")) > 10)
    at = time.time()
    job.kill()
    done, _ = job.communicate()
    found = rows(tmp_path, "step")  # every line can be read
    assert [row["Step"] for row in found] == list(range(len(found)))
    assert done.count(b"\n") - len(found) <= 2 / 0.02
    assert at - found[-1]["Timestamp"] < 30


def test_writing_waits_until_there_is_something_to_write(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(recorder.time, "monotonic", lambda: clock[0])
    steps = Steps(tmp_path)
    seen = []
    for moment in (0.2, 0.9, 1.1, 1.2, 2.05, 2.2):
        clock[0] = moment
        steps.about("run", At=moment)
        seen.append(len(rows(tmp_path)))
    assert seen == [0, 0, 3, 3, 3, 6]
    steps.about("run")
    steps.close()
    assert len(rows(tmp_path)) == 7


class Behind(recorder.HostClock):
    """Moments that pass only when `now` reaches them, as a GPU's events do."""

    now = 0

    def __init__(self):
        self.count, self.epoch, self.start, self.waited = 0, 100.0, 0, []

    def mark(self):
        self.count += 1
        return self.count

    def has_passed(self, mark):
        return mark <= self.now

    def wait(self, mark):
        self.waited.append(mark)
        self.now = max(self.now, mark)


def test_moments_that_have_not_passed_are_read_later(tmp_path, monkeypatch):
    clock = Behind()
    monkeypatch.setattr(recorder, "DeviceClock", lambda: clock)
    monkeypatch.setattr(recorder, "FLUSH_S", 0)
    steps = Steps(tmp_path)
    seen = []
    over = steps.over(batches(4), Namespace(type="cuda"))
    for number, _ in enumerate(over):
        clock.now = [0, 3, 9, 9][number]  # each step has four moments
        steps.mark("Forward")
        seen.append([row["Step"] for row in rows(tmp_path, "step")])
    # A step is looked at when one has ended: the second is over at 8, and known in the third.
    assert seen == [[], [], [], [0, 1]]
    assert clock.waited == []
    steps.close()
    found = rows(tmp_path, "step")
    assert [row["Step"] for row in found] == [0, 1, 2, 3]
    assert [row["Timestamp"] for row in found] == [101, 105, 109, 113]
    assert all((row["Data"], row["Forward"], row["Seconds"]) == (1, 1, 3) for row in found)
    assert clock.waited == [12, 16]


def test_an_evaluation_lasts_until_its_moments_have_passed(tmp_path, monkeypatch):
    clock = Behind()
    monkeypatch.setattr(recorder, "DeviceClock", lambda: clock)
    steps = Steps(tmp_path)
    steps.begin("test", 1)
    for _ in steps.over(batches(2), Namespace(type="cuda")):
        pass
    assert not steps.pending
    steps.close()
    found = [row for row in rows(tmp_path) if row.get("Name") != "initialization"]
    assert [row["Type"] for row in found] == ["step", "step", "span"]
