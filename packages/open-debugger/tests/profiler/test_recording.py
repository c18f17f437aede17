"""`profiler/recording.py`: what a recording says of itself."""

import numpy as np
import pandas as pd

from debugger_support.recordings import START, make
from open_debugger.profiler.recording import Metric, Recording, Series


def series(*times: float) -> Series:
    return Series(np.array(times), np.ones(len(times)))


def recorded(**named) -> Recording:
    """Series of node_type_name keys."""
    metrics = {Metric(*key.split("_"), "X"): value for key, value in named.items()}
    return Recording("here", metrics)


def test_an_empty_recording_knows_nothing_and_says_so():
    empty = Recording("here")
    assert (empty.start, empty.end, empty.interval, empty.gpus) == (None, None, None, [])
    assert len(empty.steps) == len(empty.spans) == len(empty.operators) == 0


def test_series_are_selected_by_what_they_measure_in_the_order_of_their_numbers():
    names = [f"cpu{number}" for number in range(12)]
    recording = recorded(**{f"a_cpu_{name}": series(number) for number, name in enumerate(names)})
    recording.system[Metric("a", "gpu", "gpu0", "X")] = series(1)
    recording.system[Metric("a", "cpu", "cpu0", "Y")] = series(1)
    assert list(recording.select("cpu", "X")) == names
    assert recording.select("cpu", "X")["cpu7"].times.tolist() == [7]
    assert recording.select("cpu", "Z") == {}


def test_several_nodes_are_told_apart_and_can_be_asked_alone():
    nodes = {f"algo-{n}_cpu_cpu0": series(n) for n in (10, 2, 1)}
    recording = recorded(**nodes)
    assert list(recording.select("cpu", "X")) == ["algo-1/cpu0", "algo-2/cpu0", "algo-10/cpu0"]
    assert list(recording.select("cpu", "X", "algo-2")) == ["algo-2/cpu0"]


def test_gpus_are_those_whose_use_was_sampled():
    assert make("unbalanced", seconds=5.0).gpus == ["gpu0", "gpu1", "gpu2", "gpu3"]
    assert make("cpu_data", seconds=5.0).gpus == []


def test_the_interval_is_the_usual_time_between_two_samples():
    assert recorded(a_cpu_cpu0=series(0, 1, 2, 3, 60), a_cpu_cpu1=series(0, 5)).interval == 1
    assert recorded(a_cpu_cpu0=series(0)).interval is None
    assert abs(make(seconds=20.0, interval=0.1).interval - 0.1) < 0.01


def test_it_lasts_from_the_first_to_the_end_of_the_last_thing():
    columns = {"node": "a", "rank": 0}
    recording = recorded(a_cpu_cpu0=series(10, 20), a_cpu_cpu1=series())
    assert (recording.start, recording.end) == (10, 20)
    recording.spans = pd.DataFrame([{**columns, "name": "x", "start": 5.0, "seconds": 2.0}])
    assert (recording.start, recording.end) == (5, 20)
    rows = [{"start": 12.0, "seconds": 30.0}, {"start": 15.0, "seconds": 1.0}]
    recording.steps = pd.DataFrame([{**columns, **row} for row in rows])
    assert (recording.start, recording.end) == (5, 42)
    assert make(seconds=20.0).start == START
