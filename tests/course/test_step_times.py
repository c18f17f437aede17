"""`course/step_times.py`: two runs beside each other, from what was recorded."""

import tarfile

import numpy as np
import pandas as pd
import pytest

from course import step_times
from debugger_support import recordings
from open_debugger.profiler import Profile
from open_debugger.profiler.recording import STEP_COLUMNS, Recording


def profile(recording):
    return Profile(recording, None, None)


def run(**parts):
    """Two training steps of 100 ms and 32 photos, and one of validation that must not count."""
    row = dict.fromkeys(STEP_COLUMNS, np.nan) | {"phase": "train", "seconds": 0.1, "images": 32}
    valid = row | {"phase": "valid", "seconds": 9.0, "data": 9.0}
    return profile(Recording("made", steps=pd.DataFrame([row | parts, row | parts, valid])))


def test_parts_are_milliseconds_of_a_training_step_and_add_up():
    one = run(data=0.06, forward=0.01, backward=0.02)
    table = step_times.parts({"one": one, "two": run(data=0.0, optimizer=0.1)})
    assert list(table.index) == ["one", "two"]
    expected = {"waiting for data": 60, "forward": 10, "backward": 20, "other": 10}
    for name, value in table.loc["one"].items():
        assert value == pytest.approx(expected.get(name, 0), abs=1e-9), name
    assert table.loc["two", "other"] == 0


def test_more_parts_than_time_leave_nothing_over():
    assert step_times.parts({"x": run(data=0.2)}).loc["x", "other"] == 0


def test_speed_and_what_follows_from_it():
    runs = {"slow": run(data=0.05), "unknown": run()}
    table = step_times.compared(runs, "ml.m5.xlarge", epochs=2, photos=3200)
    assert table.loc["slow"].to_dict() == pytest.approx(
        {"photos/s": 320, "waiting": 0.5, "minutes": 20 / 60, "dollars": 20 / 3600 * 0.23}
    )
    assert table.loc["unknown", "waiting"] == 0


def test_made_up_runs_come_out_as_they_were_made():
    table = step_times.parts(
        {n: profile(recordings.make(n, seconds=60)) for n in ("starved", "healthy")}
    )
    shares = table["waiting for data"] / table.sum(axis=1)
    assert shares["starved"] == pytest.approx(0.78, abs=0.03)
    assert shares["healthy"] == pytest.approx(0.02, abs=0.01)


def test_a_run_without_training_steps_is_named():
    for function in (step_times.parts, lambda runs: step_times.compared(runs, "ml.m5.xlarge")):
        with pytest.raises(ValueError, match="'empty' has no training steps"):
            function({"empty": profile(Recording("nowhere"))})


def test_recordings_of_a_gpu_are_analysed_once_they_are_there(tmp_path):
    assert step_times.recorded_on_gpu(tmp_path) == {}
    for name in ("fed", "starved"):
        root = recordings.write(recordings.make("starved", seconds=60), tmp_path / name)
        with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(root, "profiler-output")
    found = step_times.recorded_on_gpu(tmp_path)
    assert list(found) == ["starved", "fed"]
    assert found["starved"].diagnosis.limit == "data" and found["starved"].recording.gpus
