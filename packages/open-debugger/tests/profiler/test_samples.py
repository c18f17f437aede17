"""`profiler/samples.py`: common times, windows, boxes, a steady rise."""

import numpy as np
import pytest

from debugger_support import minimal
from open_debugger.profiler import samples
from open_debugger.profiler.recording import Metric, Recording, Series


def test_a_nodes_series_are_its_own_in_the_order_of_their_numbers():
    made = minimal.recording(cores=[[index] * 3 for index in range(12)])
    made.system[Metric("algo-2", "cpu", "cpu0", "CPUUtilization")] = minimal.series([7])
    found = samples.series(made, "algo-1", "cpu", "CPUUtilization")
    assert list(found) == [f"cpu{index}" for index in range(12)]
    assert [each.values[0] for each in found.values()] == list(range(12))
    assert samples.nodes(made) == ["algo-1", "algo-2"]


def test_values_that_are_no_numbers_are_left_out_and_a_series_without_any():
    made = minimal.recording(cores=[[1, np.nan, 3, np.inf], [np.nan]])
    found = samples.series(made, "algo-1", "cpu", "CPUUtilization")
    assert list(found) == ["cpu0"]
    assert found["cpu0"].values.tolist() == [1, 3]
    assert found["cpu0"].times.tolist() == [minimal.START, minimal.START + 1]


@pytest.mark.parametrize(
    ("late", "value"),
    [(0.0, 1.0), (0.24, 1.0), (0.26, 2.0), (1.2, 3.0), (1.74, 3.0), (1.76, None), (-0.76, None)],
)
def test_the_nearest_sample_counts_if_it_is_near(late, value):
    times = minimal.START + late + np.array([0, 0.5])
    found = samples.at(times, minimal.series([1, 2, 3]))
    assert (None if np.isnan(found[0]) else found[0]) == value


def test_near_goes_by_the_coarser_of_two_intervals():
    minutes = minimal.START + 60 * np.arange(3.0)
    assert samples.at(minutes + 29, Series(minutes, np.arange(3.0))).tolist() == [0, 1, 2]
    fine = Series(minutes[:1] + 0.5 * np.arange(2.0), np.arange(2.0))
    assert np.isnan(samples.at(minutes[2:], fine)).all()
    assert np.isnan(samples.at(minutes, Series(np.array([]), np.array([])))).all()


@pytest.mark.parametrize(
    ("times", "wanted"), [([], 1), ([5], 1), ([5, 5.5], 0.5), ([0, 1, 2, 3, 60], 1)]
)
def test_the_interval_is_the_usual_one(times, wanted):
    assert samples.interval(np.array(times)) == wanted


def test_means_of_columns_pass_over_what_is_not_there():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    assert np.array_equal(samples.mean(values), [2, 5, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("patience", "window", "wanted"),
    [
        (0, 4, [[2, 3, 4, 5], [6, 7, 8, 9]]),
        (2, 4, [[2, 3, 4, 5], [6, 7, 8, 9]]),
        (3, 4, [[6, 7, 8, 9]]),
        (6, 4, [[6, 7, 8, 9]]),
        (7, 4, []),
        (12, 4, []),
        (0, 5, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]),
    ],
)
def test_windows_end_with_the_last_value_and_begin_after_patience(patience, window, wanted):
    assert samples.windows(np.arange(10), patience, window).tolist() == wanted


def test_a_box_has_quartiles_and_whiskers_that_leave_out_what_is_far():
    figures = samples.box(np.array([0, *range(40, 61), 100.0]))
    assert (figures["p25"], figures["p50"], figures["p75"]) == (44.5, 50, 55.5)
    assert (figures["lower"], figures["upper"]) == (40, 60)
    assert samples.box(np.array([5.0])) == dict.fromkeys(figures, 5.0)


@pytest.mark.parametrize(
    ("values", "rise"),
    [
        (np.linspace(20, 90, 200), 63),
        (np.linspace(20, 90, 10), 62.2),  # five parts of two
        (np.linspace(20, 90, 9), 0),
        (np.linspace(90, 20, 200), 0),
        (np.repeat([20, 90], 100), 0),  # a jump
        (np.repeat([20, 50, 90], 100), 0),
        (np.full(200, 50), 0),
        (np.tile([20, 90], 100), 0),
        (np.linspace(20, 26, 200).round(), 6),
    ],
)
def test_only_what_rises_all_the_time_rises_steadily(values, rise):
    assert samples.steady_rise(values) == pytest.approx(rise, abs=0.5)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_steady_rise(seed):
    random = np.random.default_rng(seed)
    assert samples.steady_rise(random.normal(50, 10, 300)) == 0
    assert samples.steady_rise(np.linspace(20, 60, 300) + random.normal(0, 1, 300)) > 30


def test_training_lasts_from_the_first_step_to_the_end_of_the_last():
    assert samples.training(Recording("")) is None
    made = Recording("", steps=minimal.steps([1, 2, 3], start=10))
    assert samples.training(made) == (10, 16)
    assert samples.training(Recording("", steps=minimal.steps([1], phase="valid"))) is None
