"""Where the time goes: shares that add up, and nothing where nothing was measured."""

import numpy as np
import pytest

from debugger_support import recordings
from open_debugger.profiler.recording import PARTS, Recording
from open_debugger.profiler.report import shares


def by_name(parts):
    return {part.name: part for part in parts}


def test_the_parts_of_a_step_are_those_recorded_and_add_up():
    recording = recordings.make("starved", seconds=120)
    train = shares.phase_steps(recording, "train")
    parts = by_name(shares.parts(train))
    assert list(parts) == [*("data", "host to device", "forward", "backward", "optimizer"), "other"]
    assert parts["data"].seconds == pytest.approx(train["data"].sum())
    assert parts["data"].share == pytest.approx(0.78, abs=0.02)
    recorded = train[list(PARTS)].sum().sum()
    assert parts["other"].seconds == pytest.approx(max(0, train["seconds"].sum() - recorded))


def test_what_is_left_of_a_step_is_other():
    recording = recordings.make("healthy", seconds=60)
    train = shares.phase_steps(recording, "train").copy()
    train[list(PARTS)] = np.outer(train["seconds"], [0.1, 0.1, 0.2, 0.2, 0.1])
    assert by_name(shares.parts(train))["other"].share == pytest.approx(0.3)


def test_a_part_that_was_not_measured_is_not_zero():
    recording = recordings.make("healthy", seconds=60)
    valid = by_name(shares.parts(shares.phase_steps(recording, "valid")))
    assert valid["backward"].seconds is valid["backward"].share is None
    assert valid["forward"].seconds > 0
    recording.steps[list(PARTS)] = np.nan
    assert not shares.measured(recording.steps)
    assert by_name(shares.parts(recording.steps))["other"].share == 1


def test_measured_wants_one_known_part():
    steps = recordings.make("cpu_compute", seconds=60).steps
    assert steps["host_to_device"].isna().all()
    assert shares.measured(steps)
    assert not shares.measured(steps.head(0))


def test_the_activities_of_a_run_add_up_to_its_length():
    recording = recordings.make("healthy", seconds=600)
    parts = by_name(shares.activity(recording))
    assert list(parts)[:4] == ["initialization", "training", "evaluation", "checkpoint"]
    assert parts["initialization"].seconds == pytest.approx(8)
    assert parts["evaluation"].share == pytest.approx(0.09, abs=0.01)
    whole = recording.end - recording.start
    assert sum(part.seconds for part in parts.values()) == pytest.approx(whole, rel=0.002)


def test_time_that_nothing_covers_is_other():
    recording = recordings.make("healthy", seconds=600)
    recording.spans = recording.spans[recording.spans["name"] != "initialization"]
    parts = by_name(shares.activity(recording))
    assert parts["other"].seconds == pytest.approx(8, abs=0.5)
    whole = recording.end - recording.start
    assert sum(part.seconds for part in parts.values()) == pytest.approx(whole)
    assert "other" not in by_name(shares.activity(recordings.make("healthy", seconds=6000)))


def test_without_its_span_evaluation_is_that_of_the_evaluation_steps():
    recording = recordings.make("healthy", seconds=600)
    spans = recording.spans["name"] == "evaluation"
    before = recording.spans.loc[spans, "seconds"].sum()
    recording.spans = recording.spans[~spans]
    assert by_name(shares.activity(recording))["evaluation"].seconds == pytest.approx(before)


def test_processes_that_run_at_once_are_not_added_up():
    recording = recordings.make("unbalanced", seconds=300, nodes=2)
    first = shares.lead(recording.steps)
    assert set(zip(first["node"], first["rank"], strict=True)) == {("algo-1", 0)}
    assert by_name(shares.activity(recording))["training"].share < 1


def test_epochs_are_told_apart_where_there_are_several():
    recording = recordings.make("healthy", seconds=60)
    named = shares.epochs(recording)
    assert [name for name, _ in named] == ["1", "2", "3"]
    assert sum(len(steps) for _, steps in named) == len(shares.phase_steps(recording, "train"))
    assert shares.epochs(recordings.make("three_seconds")) == []


def test_an_outlier_is_three_standard_deviations_above_the_mean():
    taken = np.array([1.0, 1.0, 1.0, 5.0])
    assert shares.outlier_limit(taken, 3) == pytest.approx(2 + 3 * np.sqrt(3))


def test_nothing_recorded_is_nothing_to_share():
    empty = Recording("nowhere")
    assert shares.activity(empty) == shares.parts(empty.steps) == shares.epochs(empty) == []
