"""A sampler beside a training script: it ends with it, and what fails is one line."""

import inspect
import subprocess
import sys

import psutil
import pytest

from debugger_support.processes import processes_with, wait_until
from debugger_support.samples import at_least, rows, values
from open_debugger.profiler import sampler, sampling

# A training with a loader process, which inherits the pipe to the sampler.
TRAINING = f"""
import os, sys, time
sys.path.insert(0, {str(sampling.PROGRAM.parent)!r})
from pathlib import Path
import sampling
with sampling.running(Path(sys.argv[1]), 100, "algo-1"):
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)
"""


def test_beside_a_training_it_samples_its_tree_and_ends_with_it(tmp_path, capsys):
    with sampling.running(tmp_path, 100, "algo-3"):
        at_least(tmp_path, 2)
        assert processes_with(str(tmp_path))
    assert not processes_with(str(tmp_path))
    found = rows(tmp_path)
    assert {r["NodeId"] for r in found} == {"algo-3"}
    assert min(values(found, "Processes", "process")) >= 1
    assert capsys.readouterr().out == f"monitor=on metrics={tmp_path} interval=100ms\n"


def test_a_training_that_is_killed_leaves_no_sampler(tmp_path):
    training = subprocess.Popen([sys.executable, "-c", TRAINING, tmp_path], stdout=-3)
    at_least(tmp_path, 2)
    (program,) = processes_with(str(sampling.PROGRAM) + " " + str(tmp_path))
    (loader,) = [p for p in psutil.Process(training.pid).children() if p != program]
    training.kill()  # nobody asks after it: it is a zombie, and its loader holds the pipe
    try:
        program.wait(timeout=30)
        assert loader.is_running()
    finally:
        loader.kill()
        training.wait()


def test_a_training_whose_loader_lives_on_ends_its_sampler_cleanly(tmp_path):
    briefly, _, _ = TRAINING.rpartition("    time.sleep(600)")
    training = subprocess.Popen(
        [sys.executable, "-c", briefly, tmp_path],
        stdout=(tmp_path / "said").open("w"),
    )
    try:
        assert training.wait(timeout=60) == 0
        assert len((tmp_path / "said").read_text().splitlines()) == 1  # it need not be killed
    finally:
        for process in processes_with(str(tmp_path)):
            process.kill()


def test_a_training_that_fails_fails_by_itself(tmp_path):
    with pytest.raises(ZeroDivisionError), sampling.running(tmp_path, 100):
        raise ZeroDivisionError
    assert not processes_with(str(tmp_path))


def test_a_sampler_that_fails_is_one_line(tmp_path, capsys):
    (tmp_path / "system").write_text("")
    before = set(psutil.Process().children())
    with sampling.running(tmp_path, 100):
        (program,) = set(psutil.Process().children()) - before
        wait_until(lambda: program.status() == psutil.STATUS_ZOMBIE)
    on, off = capsys.readouterr().out.splitlines()
    assert on.startswith("monitor=on")
    assert off.startswith("monitor=off: it ended before the training: monitor: ")


def test_a_sampler_that_is_killed_is_one_line(tmp_path, capsys):
    with sampling.running(tmp_path, 100):
        at_least(tmp_path, 1)
        (process,) = processes_with(str(tmp_path))
        process.kill()
        wait_until(lambda: not processes_with(str(tmp_path)))
    assert capsys.readouterr().out.splitlines()[1:] == [
        "monitor=off: it ended before the training: exit code -9"
    ]


def test_without_psutil_there_is_one_line_and_no_sampler(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "find_spec", lambda name: None)
    with sampling.running(tmp_path, 100):
        assert not processes_with(str(tmp_path))
    assert capsys.readouterr().out == (
        "monitor=off: psutil is missing: name requirements-debugger.txt as the job's requirements\n"
    )


def test_where_no_process_can_be_started_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with sampling.running(tmp_path, 100):
        pass
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("monitor=off: ") and "nowhere" in line


def test_a_gpu_without_its_library_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "NVIDIA", tmp_path)
    spec = sampling.find_spec

    def without_pynvml(name):
        return None if name == "pynvml" else spec(name)

    monkeypatch.setattr(sampling, "find_spec", without_pynvml)
    with sampling.running(tmp_path / "out", 100):
        pass
    assert "(without GPUs: nvidia-ml-py is missing)" in capsys.readouterr().out


def test_both_have_the_same_interval_by_default():
    default = inspect.signature(sampling.running).parameters["interval_ms"].default
    assert default == sampler.DEFAULT_INTERVAL_MS
