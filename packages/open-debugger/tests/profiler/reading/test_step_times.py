"""`profiler/reading/step_times.py`: what the script recorded, row by row."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_debugger.profiler.reading.lines import LeftOut
from open_debugger.profiler.reading.step_times import collect
from open_debugger.profiler.recording import SPAN_COLUMNS, STEP_COLUMNS

FRAME = {"NodeId": "algo-1", "Rank": 0, "Timestamp": 1790000000.5}
PARTS = {
    "Data": 0.02,
    "HostToDevice": 0.001,
    "Forward": 0.1,
    "Backward": 0.2,
    "Optimizer": 0.05,
}
STEP = {
    **FRAME,
    "Type": "step",
    "Phase": "train",
    "Epoch": 1,
    "Step": 12,
    "Seconds": 0.41,
    **PARTS,
    "Images": 32,
}
SPAN = {**FRAME, "Type": "span", "Name": "checkpoint", "Seconds": 3.2}
LOADER = {**FRAME, "Type": "loader", "Name": "train", "Workers": 0, "Photos": 192}
RUN = {**FRAME, "Type": "run", "Model": "resnet50", "Epochs": 3}


def collected(*rows: dict):
    left = LeftOut()
    found = collect([("f", "\n".join(map(json.dumps, rows)).encode())], left)
    return found, found.notes + left.notes()


def test_a_step_is_a_row():
    found, notes = collected(STEP)
    values = ["algo-1", 0, "train", 1.0, 12, 1790000000.5, 0.41, *PARTS.values(), 32.0]
    assert found.steps.values.tolist() == [values]
    assert (found.steps.columns.tolist(), notes) == (list(STEP_COLUMNS), [])


@pytest.mark.parametrize("key", [*PARTS, "Epoch", "Images"])
def test_what_was_not_measured_is_nan_and_never_zero(key):
    for row in (
        {name: value for name, value in STEP.items() if name != key},
        {**STEP, key: None},
        {**STEP, key: float("nan")},
    ):
        found, notes = collected(row)
        assert found.steps.isna().sum().sum() == 1
        assert notes == []
    assert not collected({**STEP, key: 0})[0].steps.isna().any().any()


@pytest.mark.parametrize("row", [STEP, SPAN])
def test_rows_are_in_the_order_of_their_start_and_without_doubles(row):
    later = {**row, "Timestamp": FRAME["Timestamp"] + 1}
    other = {**row, "Rank": 1}
    found, notes = collected(later, row, other, {**row, "Seconds": 99.0})
    frame = found.steps if row is STEP else found.spans
    assert frame["start"].tolist() == [1790000000.5, 1790000000.5, 1790000001.5]
    assert frame["rank"].tolist() == [0, 1, 0]
    assert frame["seconds"].max() < 99
    assert notes == ["1 steps and spans were there twice; one of each was taken."]


def test_steps_that_differ_in_what_identifies_them_are_all_there():
    rows = [{**STEP, key: value} for key, value in (("Phase", "valid"), ("Step", 13),
            ("NodeId", "algo-2"), ("Timestamp", 1790000009.0), ("Rank", 3))]  # fmt: skip
    assert len(collected(STEP, *rows)[0].steps) == 6
    other = [{**SPAN, key: value} for key, value in (("Name", "evaluation"), ("Rank", 1),
             ("NodeId", "algo-2"), ("Timestamp", 1790000009.0))]  # fmt: skip
    assert len(collected(SPAN, *other)[0].spans) == 5


def test_a_span_is_a_row():
    found, notes = collected(SPAN)
    assert found.spans.values.tolist() == [["algo-1", 0, "checkpoint", 1790000000.5, 3.2]]
    assert (found.spans.columns.tolist(), notes) == (list(SPAN_COLUMNS), [])


def test_a_loader_is_told_once_a_rank_however_often_it_is_made():
    again = {**LOADER, "Timestamp": 1790000007.0}
    found, _ = collected(LOADER, again, {**LOADER, "Rank": 1})
    kept = {"NodeId": "algo-1", "Name": "train", "Workers": 0, "Photos": 192}
    assert found.loaders == [{**kept, "Rank": 0}, {**kept, "Rank": 1}]


def test_of_several_ranks_the_first_tells_of_the_run_and_its_first_line():
    first = {**RUN, "Timestamp": 1789999999.0, "Model": "vgg16"}
    found, _ = collected(RUN, {**first, "Rank": 1, "Timestamp": 5}, first)
    assert found.run == {"Model": "vgg16", "Epochs": 3}


def test_without_lines_there_are_empty_tables_of_numbers():
    found = collect([], LeftOut())
    assert (found.loaders, found.run, found.notes) == ([], {}, [])
    assert found.steps["seconds"].dtype == found.spans["start"].dtype == np.float64
    assert found.steps["rank"].dtype == np.int64


@pytest.mark.parametrize(
    ("row", "change", "reason"),
    [
        (STEP, {"Type": "stap"}, "of unknown Type"),
        (STEP, {"Type": ["step"]}, "wrong"),
        (STEP, {"Seconds": "0.4"}, "with a wrong Seconds"),
        (STEP, {"Seconds": -0.4}, "with a wrong Seconds"),
        (STEP, {"Seconds": float("nan")}, "with a wrong Seconds"),
        (STEP, {"Seconds": True}, "with a wrong Seconds"),
        (STEP, {"Timestamp": 1.79e12}, "with a wrong Timestamp"),
        (STEP, {"Timestamp": None}, "with a wrong Timestamp"),
        (STEP, {"Step": 1.5}, "with a wrong Step"),
        (STEP, {"Step": -1}, "with a wrong Step"),
        (STEP, {"Step": 2**63}, "with a wrong Step"),
        (STEP, {"Rank": True}, "with a wrong Rank"),
        (STEP, {"Phase": 3}, "with a wrong Phase"),
        (STEP, {"NodeId": ""}, "with a wrong NodeId"),
        (STEP, {"Data": "much"}, "with a wrong Data"),
        (STEP, {"Data": float("inf")}, "with a wrong Data"),
        (STEP, {"Epoch": [1]}, "with a wrong Epoch"),
        (STEP, {"Images": 10**400}, "with a wrong Images"),
        (SPAN, {"Name": None}, "with a wrong Name"),
        (SPAN, {"Seconds": -1}, "with a wrong Seconds"),
        (SPAN, {"Timestamp": "x"}, "with a wrong Timestamp"),
        (LOADER, {"Name": 1}, "with a wrong Name"),
        (LOADER, {"Rank": -1}, "with a wrong Rank"),
        (LOADER, {"NodeId": 1}, "with a wrong NodeId"),
        (RUN, {"Rank": "0"}, "with a wrong Rank"),
        (RUN, {"Timestamp": "x"}, "with a wrong Timestamp"),
    ],
)
def test_what_is_wrong_is_left_out_and_said(row, change, reason):
    found, notes = collected(STEP, {**row, **change})
    assert len(found.steps) + len(found.spans) + len(found.loaders) + len(found.run) == 1
    assert notes == [f"f: 1 of 2 lines were left out (1 {reason})."]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        *((STEP, key) for key in ("Type", "NodeId", "Rank", "Phase", "Step", "Seconds")),
        *((SPAN, key) for key in ("Name", "Timestamp", "Seconds")),
        (LOADER, "Name"),
        (RUN, "Rank"),
    ],
)
def test_what_lacks_a_member_is_left_out_and_said(row, key):
    lacking = {name: value for name, value in row.items() if name != key}
    assert collected(lacking)[1] == [f"f: 1 of 1 lines were left out (1 without {key})."]


keys = st.sampled_from([*STEP, "Name"])
values = st.floats() | st.integers() | st.sampled_from(["step", "span", "run", ""]) | st.none()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(keys, values | st.lists(values, max_size=1))))
def test_no_json_raises_and_what_is_whole_survives(changes):
    rows = [{**STEP, **change} for change in changes]
    found, _ = collected(*rows, {**STEP, "NodeId": "good"})
    assert (found.steps["node"] == "good").sum() == 1
    assert (found.steps["seconds"] >= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_no_bytes_raise(data):
    collect([("f", data)], LeftOut())
