"""`course/step_times.py`: two runs beside each other, from what was recorded."""

import numpy as np
import pandas as pd
import pytest
import recordings

from course import step_times
from open_debugger.profiler.recording import STEP_COLUMNS, Recording


def recording(**parts):
    """Two training steps of 100 ms and 32 photos, and one of validation that must not count."""
    row = dict.fromkeys(STEP_COLUMNS, np.nan) | {"phase": "train", "seconds": 0.1, "images": 32}
    valid = row | {"phase": "valid", "seconds": 9.0, "data": 9.0}
    return Recording("made", steps=pd.DataFrame([row | parts, row | parts, valid]))


def test_parts_are_milliseconds_of_a_training_step_and_add_up():
    one = recording(data=0.06, forward=0.01, backward=0.02)
    table = step_times.parts({"one": one, "two": recording(data=0.0, optimizer=0.1)})
    assert list(table.index) == ["one", "two"]
    expected = {"waiting for data": 60, "forward": 10, "backward": 20, "other": 10}
    for name, value in table.loc["one"].items():
        assert value == pytest.approx(expected.get(name, 0), abs=1e-9), name
    assert table.loc["two", "other"] == 0


def test_more_parts_than_time_leave_nothing_over():
    assert step_times.parts({"x": recording(data=0.2)}).loc["x", "other"] == 0


def test_speed_and_what_follows_from_it():
    runs = {"slow": recording(data=0.05), "unknown": recording()}
    table = step_times.compared(runs, "ml.m5.xlarge", epochs=2, photos=3200)
    assert table.loc["slow"].to_dict() == pytest.approx(
        {"photos/s": 320, "waiting": 0.5, "minutes": 20 / 60, "dollars": 20 / 3600 * 0.23}
    )
    assert table.loc["unknown", "waiting"] == 0


def test_made_up_runs_come_out_as_they_were_made():
    table = step_times.parts({n: recordings.make(n, seconds=60) for n in ("starved", "healthy")})
    shares = table["waiting for data"] / table.sum(axis=1)
    assert shares["starved"] == pytest.approx(0.78, abs=0.03)
    assert shares["healthy"] == pytest.approx(0.02, abs=0.01)


def test_a_run_without_training_steps_is_named():
    for function in (step_times.parts, lambda runs: step_times.compared(runs, "ml.m5.xlarge")):
        with pytest.raises(ValueError, match="'empty' has no training steps"):
            function({"empty": Recording("nowhere")})
