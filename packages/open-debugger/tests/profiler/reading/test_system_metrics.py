"""`profiler/reading/system_metrics.py`: samples become series, and odd times are told."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debugger_support.recordings import START, line
from open_debugger.profiler.reading.lines import LeftOut
from open_debugger.profiler.reading.system_metrics import collect
from open_debugger.profiler.recording import Metric

CPU = Metric("algo-1", "cpu", "cpu0", "CPUUtilization")
EVENT = json.loads(line("cpu", "cpu0", "CPUUtilization", 4.5, START))


def collected(*files: list[str]):
    """Series by metric, as pairs, and all notes."""
    left = LeftOut()
    named = [(f"f{i}", "".join(f"{x}\n" for x in file).encode()) for i, file in enumerate(files)]
    series, notes = collect(named, left)
    pairs = {m: list(zip(s.times.tolist(), s.values.tolist(), strict=True))
             for m, s in series.items()}  # fmt: skip
    return pairs, notes + left.notes()


def samples(moments, value=1.0, **changes) -> list[str]:
    whole = [{**EVENT, "Timestamp": START + at, "Value": value, **changes} for at in moments]
    return [json.dumps(event) for event in whole]


@pytest.mark.parametrize(
    ("type_", "name", "dimension", "metric"),
    [
        ("cpu", "cpu3", "I/OWaitPercentage", ("cpu", "cpu3", "I/OWaitPercentage")),
        ("gpu", "gpu0", "GPUUtilization", ("gpu", "gpu0", "GPUUtilization")),
        ("memory", "MemoryUsedPercent", "", ("memory", "memory", "MemoryUsedPercent")),
        ("memory", "memory", "MemoryUsedPercent", ("memory", "memory", "MemoryUsedPercent")),
        (
            "memory",
            "MemoryUsedPercent",
            "MemoryUsedPercent",
            ("memory", "memory", "MemoryUsedPercent"),
        ),
        ("memory", None, "MemoryUsedPercent", ("memory", "memory", "MemoryUsedPercent")),
        ("i/o", "IOPS", None, ("i/o", "i/o", "IOPS")),
        (
            "network",
            "ReceiveBytesPerSecond",
            "Platform",
            ("network", "Platform", "ReceiveBytesPerSecond"),
        ),
        (
            "network",
            "TransmitBytesPerSecond",
            "Algorithm",
            ("network", "Algorithm", "TransmitBytesPerSecond"),
        ),
        ("quantum", "q0", "Spin", ("quantum", "q0", "Spin")),
    ],
)
def test_what_was_measured_is_the_dimension_wherever_aws_writes_it(type_, name, dimension, metric):
    changes = {"Type": type_, "Name": name, "Dimension": dimension}
    absent = {key: value for key, value in {**EVENT, **changes}.items() if value is not None}
    expected = {Metric("algo-1", *metric): [(START, 4.5)]}
    assert collected([json.dumps({**EVENT, **changes})]) == (expected, [])
    assert collected([json.dumps(absent)]) == (expected, [])


def test_one_metric_written_in_two_ways_is_one_series():
    ours = samples([1], 2, Type="memory", Name="memory", Dimension="MemoryUsedPercent")
    both = [*ours, *samples([0], Type="memory", Name="MemoryUsedPercent", Dimension="")]
    memory = Metric("algo-1", "memory", "memory", "MemoryUsedPercent")
    assert collected(both)[0] == {memory: [(START, 1.0), (START + 1, 2.0)]}


def test_whole_numbers_are_numbers():
    assert collected(samples([0], value=7)) == ({CPU: [(START, 7.0)]}, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Value": "4.5"}, "with a Value that is no number"),
        ({"Value": True}, "with a Value that is no number"),
        ({"Value": None}, "with a Value that is no number"),
        ({"Value": float("nan")}, "with a Value that is no number"),
        ({"Value": float("inf")}, "with a Value that is no number"),
        ({"Value": 10**400}, "with a Value that is no number"),
        ({"Timestamp": "now"}, "with a Timestamp that is no time in seconds"),
        ({"Timestamp": False}, "with a Timestamp that is no time in seconds"),
        ({"Timestamp": -1}, "with a Timestamp that is no time in seconds"),
        ({"Timestamp": START * 1000}, "with a Timestamp that is no time in seconds"),
        ({"Timestamp": float("nan")}, "with a Timestamp that is no time in seconds"),
        ({"NodeId": 1}, "of no metric"),
        ({"NodeId": ""}, "of no metric"),
        ({"NodeId": ["algo-1"]}, "of no metric"),
        ({"Type": ""}, "of no metric"),
        ({"Dimension": ""}, "of no metric"),
        ({"Type": "i/o", "Name": "", "Dimension": ""}, "of no metric"),
        ({"Name": 0}, "of no metric"),
    ],
)
def test_what_is_no_sample_is_left_out_and_said(change, reason):
    pairs, notes = collected([*samples([0, 0.5]), json.dumps({**EVENT, **change})])
    assert pairs == {CPU: [(START, 1.0), (START + 0.5, 1.0)]}
    assert notes == [f"f0: 1 of 3 lines were left out (1 {reason})."]


@pytest.mark.parametrize("key", ["Type", "Value", "NodeId", "Timestamp"])
def test_what_lacks_a_member_is_left_out_and_said(key):
    lacking = {name: value for name, value in EVENT.items() if name != key}
    notes = [f"f0: 1 of 1 lines were left out (1 without {key})."]
    assert collected([json.dumps(lacking)]) == ({}, notes)


def test_a_bad_member_does_not_spoil_those_after_it():
    """Not even of the same file and metric."""
    mixed = [*samples([0]), *samples([1], value="x"), *samples([2])]
    assert collected(mixed)[0] == {CPU: [(START, 1.0), (START + 2, 1.0)]}


def test_a_file_that_is_there_twice_counts_once():
    pairs, notes = collected(samples([0, 1, 2]), samples([0, 1, 2], value=9.0), samples([3]))
    assert pairs == {CPU: [(START + at, 1.0) for at in range(4)]}
    assert notes == ["3 samples were there twice; of each the first was taken."]


def test_a_gap_is_told_with_its_start_and_length(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    gap = "algo-1: no samples for 6.0 s from 2026-09-21 14:14:04 UTC."
    assert collected(samples([0, 1, 2, 3, 4, 10, 11]))[1] == [gap]
    assert collected(samples([0, 1, 2, 3, 4, 9, 10]))[1] == []  # no longer than 5 s
    assert collected(samples([0, 2, 4, 14, 16]))[1] == []  # no longer than five intervals
    assert len(collected(samples([0, 2, 4, 14.1, 16]))[1]) == 1
    assert collected(samples([0, 0.5, 1, 5.5, 6]))[1] == []
    seldom = samples([0, 60], Dimension="X")
    assert len(collected(samples([0, 1, 2, 3, 4, 10, 11]), seldom)[1]) == 2


@pytest.fixture(autouse=True)
def same_zone():
    yield
    time.tzset()  # after the environment was put back


def test_one_metric_may_pause_while_others_are_sampled():
    other = {"Dimension": "I/OWaitPercentage"}
    assert collected(samples([0, 1, 2, 30]), samples(range(31), **other))[1] == []
    assert collected(samples([0, 15, 30]), samples(range(31), **other))[1] == []  # or be seldom


def test_many_gaps_are_summed_up():
    times = np.concatenate([[100 * i, 100 * i + 1, 100 * i + 2] for i in range(6)]).tolist()
    notes = collected(samples(times))[1]
    assert len(notes) == 4
    assert notes[3] == "algo-1: no samples in 2 further gaps, 196.0 s in all."


def test_a_clock_that_went_back_is_told_and_the_samples_are_sorted():
    pairs, notes = collected(samples([10, 11, 12]), samples([9.5, 10.5, 11.5, 12.5]))
    assert [at - START for at, _ in pairs[CPU]] == [9.5, 10, 10.5, 11, 11.5, 12, 12.5]
    assert notes == [
        "algo-1: the clock went back by 2.5 s at 2026-09-21 14:14:12 UTC; "
        "the samples were sorted by time."
    ]


def test_of_all_metrics_of_a_node_the_one_that_went_back_farthest_tells():
    back = {"Dimension": "A"}, {"Dimension": "B"}, {"Dimension": "C"}
    files = [samples([0, 1, 2, 3, 4, 1.5, 5], **back[1])]
    files += [samples([0, 1, 2, 3, 4, 5], **other) for other in (back[0], back[2])]
    assert [note.partition("; ")[0] for note in collected(*files)[1]] == [
        "algo-1: the clock went back by 2.5 s at 2026-09-21 14:14:04 UTC"
    ]


def test_lines_that_are_out_of_turn_by_an_interval_are_sorted_without_a_word():
    pairs, notes = collected(samples([0, 1, 3, 2, 4]))
    assert ([at - START for at, _ in pairs[CPU]], notes) == ([0, 1, 2, 3, 4], [])


def test_a_clock_that_jumped_ahead_leaves_a_gap():
    assert collected(samples([0, 1, 2, 3600, 3601]))[1] == [
        "algo-1: no samples for 3598.0 s from 2026-09-21 14:14:02 UTC."
    ]


def test_each_node_has_its_own_clock():
    two = samples([0, 1, 2, 50, 51], NodeId="algo-2")
    pairs, notes = collected(samples([0, 1, 5, 2, 3, 4]), two)
    assert list(pairs) == [CPU, CPU._replace(node="algo-2")]
    assert notes == [
        "algo-1: the clock went back by 3.0 s at 2026-09-21 14:14:05 UTC; "
        "the samples were sorted by time.",
        "algo-2: no samples for 48.0 s from 2026-09-21 14:14:02 UTC.",
    ]


@settings(deadline=None)
@given(st.lists(st.binary() | st.just(line("cpu", "cpu0", "X", 1, START).encode() + b"\n")))
def test_no_bytes_raise(blocks):
    collect([("f", b"".join(blocks))], LeftOut())


values = st.floats() | st.integers() | st.text(max_size=2) | st.none() | st.booleans()
keys = st.sampled_from(["Type", "Name", "Dimension", "Value", "NodeId", "Timestamp"])


@settings(deadline=None)
@given(st.lists(st.dictionaries(keys, values | st.lists(values, max_size=1))))
def test_no_json_raises_and_what_is_whole_survives(rows):
    good = {**EVENT, "NodeId": "good"}
    data = "\n".join(json.dumps(row) for row in [*rows, good]).encode()
    series, _ = collect([("f", data)], LeftOut())
    assert series[CPU._replace(node="good")].values.tolist() == [4.5]
    for each in series.values():
        assert np.isfinite(each.values).all()
        assert (np.diff(each.times) > 0).all()


def test_the_empty_file_by_which_a_sampler_ends_is_none_that_is_damaged():
    left = LeftOut()
    (text,) = samples([0])
    files = [("h/60.algo-1.json", text), ("h/60.algo-2.json", text), ("i/120.algo-1.json", "")]
    series, notes = collect([(name, data.encode()) for name, data in files], left)
    assert (len(series), len(notes)) == (1, 1) and "were there twice" in notes[0]
    assert left.notes() == []
    collect([("h/60.algo-1.json", text.encode()), ("h/180.algo-1.json", b"")], left)
    assert left.notes() == ["h/180.algo-1.json: nothing was read (empty)."]
