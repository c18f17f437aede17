"""Long series made short: nothing that stands out is lost, and no line crosses a gap."""

import numpy as np
import pytest

from open_debugger.profiler.report.envelope import BUCKETS, EVERY, buckets, stretches, thin


def test_each_sample_of_a_short_series_is_kept():
    times = 0.5 * np.arange(EVERY)
    values = np.sin(times)
    line = thin(times, values)
    assert np.array_equal(line.x, times)
    assert np.array_equal(line.y, values)
    assert line.low is line.high is None


def test_a_single_spike_and_a_single_drop_survive_in_six_hours():
    times = 0.5 * np.arange(43_200)
    values = np.full(43_200, 40.0)
    values[12_345], values[30_001] = 99.0, 1.0
    line = thin(times, values)
    assert len(line.x) == BUCKETS
    assert (line.high.max(), line.low.min()) == (99.0, 1.0)
    spike = int(line.high.argmax())
    assert line.x[spike] == pytest.approx(times[12_345], abs=21_600 / BUCKETS)
    assert np.sum(line.high > 40) == np.sum(line.low < 40) == 1


def test_the_means_of_the_stretches_are_the_means_of_their_samples():
    values = np.random.default_rng(0).random(20_000)
    line = thin(np.arange(20_000.0), values)
    assert line.y == pytest.approx(values.reshape(BUCKETS, 20).mean(1), abs=0.06)
    assert line.y.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert (line.low <= line.y).all() and (line.y <= line.high).all()
    assert len(thin(np.arange(EVERY + 1.0), np.ones(EVERY + 1)).x) == BUCKETS


@pytest.mark.parametrize("count", [100, 40_000])
def test_a_gap_breaks_the_line(count):
    times = np.arange(float(count))
    times[count // 2 :] += 50 + count / 10
    line = thin(times, np.ones(count))
    broken = np.flatnonzero(np.isnan(line.y))
    assert len(broken) == 1
    assert times[count // 2 - 1] < line.x[broken[0]] < times[count // 2]
    assert np.nanmax(np.diff(line.x)) > 25 and (np.diff(line.x) > 0).all()
    if line.low is not None:
        assert np.isnan(line.low[broken]).all() and np.isnan(line.high[broken]).all()


def test_three_usual_intervals_are_no_gap_yet():
    assert stretches(np.array([0, 1, 2, 5, 6.0])).tolist() == [0, 0, 0, 0, 0]
    assert stretches(np.array([0, 1, 2, 5.1, 6])).tolist() == [0, 0, 0, 1, 1]


def test_a_long_step_is_no_gap_but_the_pause_after_it_is():
    starts, lasting = np.array([0, 1, 2, 10, 11.0, 12]), np.array([1, 1, 8, 1, 1, 1.0])
    assert stretches(starts, lasting).tolist() == [0] * 6
    assert stretches(starts, np.ones(6)).tolist() == [0, 0, 0, 1, 1, 1]
    assert len(thin(starts, lasting, lasting).x) == 6


def test_what_was_not_measured_stays_unknown():
    line = thin(np.arange(4.0), np.array([1, np.nan, np.inf, 4]))
    assert np.isnan(line.y[[1, 2]]).all() and line.y[[0, 3]].tolist() == [1, 4]
    values = np.ones(4000)
    values[:8] = np.nan
    long = thin(np.arange(4000.0), values)
    assert np.isnan(long.y[:2]).all() and not np.isnan(long.y[2:]).any()


@pytest.mark.parametrize("count", [0, 1])
def test_nearly_nothing(count):
    line = thin(np.zeros(count), np.ones(count))
    assert len(line.x) == len(line.y) == count


def test_the_last_sample_lies_in_the_last_stretch_of_time():
    assert buckets(np.array([0, 5, 9.9, 10]), 10).tolist() == [0, 5, 9, 9]
    assert buckets(np.array([3.0, 3.0]), 10).tolist() == [0, 0]
