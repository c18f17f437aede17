"""`tensors/rules/weights.py`: how tensors change, and how they are distributed.

Its PoorWeightInitialization is in `test_initialization.py`.
"""

from functools import partial

import numpy as np
import pytest

from debugger_support.saved_tensors import LOSS, SavedTensors

WEIGHT = "Net_fc.weight"
ONES = np.ones(4, np.float64)


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


def weights(saved, *values, mode="TRAIN"):
    for value in values:
        saved.save({WEIGHT: np.asarray(value, np.float64)}, mode)
    return saved


# UnchangedTensor


@pytest.mark.parametrize(
    ("values", "parameters", "steps"),
    [
        ([ONES, ONES, ONES], {}, [2]),
        ([ONES, ONES], {}, []),
        ([ONES, ONES], {"num_steps": "2"}, [1]),
        ([ONES, ONES, ONES * 2, ONES * 2, ONES * 2, ONES * 2], {}, [4, 5]),
        ([ONES, ONES * 1.0000099, ONES * 1.0000198], {}, [2]),  # within rtol, step by step
        ([ONES, ONES * 1.0000101, ONES * 1.0000202], {}, []),
        ([ONES, ONES * 1.05, ONES * 1.1], {"rtol": 0.06}, [2]),
        ([ONES * 0, ONES * 9e-9, ONES * 0], {}, [2]),
        ([ONES * 0, ONES * 1.1e-8, ONES * 0], {}, []),
        ([ONES * 0, ONES, ONES * 0], {"atol": 1}, [2]),
        ([ONES * np.nan] * 3, {}, []),
        ([ONES * np.nan] * 3, {"equal_nan": "true"}, [2]),
        ([ONES * np.inf] * 3, {}, [2]),
        ([ONES, np.ones(3), ONES], {}, []),  # another shape is another value
        ([ONES, np.ones((1, 4)), ONES], {}, []),
    ],
)
def test_a_tensor_is_unchanged_for_num_steps(saved, values, parameters, steps):
    result = weights(saved, *values).judged("UnchangedTensor", **parameters)
    assert [verdict.step for verdict in result.verdicts] == steps


def test_each_tensor_and_each_mode_is_followed_by_itself(saved):
    for step in range(3):
        saved.save({"a": ONES, "b": ONES * step})
    assert {verdict.tensor for verdict in saved.judged("UnchangedTensor").verdicts} == {"a"}
    saved.save({"c": ONES}).save({"c": ONES}, "EVAL").save({"c": ONES})
    named = saved.judged("UnchangedTensor", tensor_regex="^c$")
    assert (named.status, named.datapoints) == ("NoIssuesFound", 3)
    assert saved.judged("UnchangedTensor", tensor_regex="^c$", num_steps=2).violations == 1


def test_steps_at_which_a_tensor_is_not_saved_do_not_count(saved):
    for name in ("a", "b", "a", "b", "a"):
        saved.save({name: ONES})
    [verdict] = saved.judged("UnchangedTensor").verdicts
    assert (verdict.tensor, verdict.step, verdict.value, verdict.threshold) == ("a", 4, 3, 3)


# WeightUpdateRatio


@pytest.mark.parametrize(
    ("values", "ratio"),
    [
        ([1, 1.5], None),
        ([1, 11], None),  # a ratio of nearly 10, epsilon being there
        ([1, 11.1], 10.1),
        ([-1, 10], 11),
        ([1, 1 + 1.1e-8], None),
        ([1, 1 + 0.9e-8], 0.9e-8),
        ([1, 1], 0),  # frozen
        ([0, 1], 1e9),
        ([0, 0], 0),
        ([1, np.nan], None),
        ([1, np.inf], np.inf),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_the_update_is_set_against_the_weights(saved, values, ratio):
    result = weights(saved, *values).judged("WeightUpdateRatio")
    assert result.status == ("NoIssuesFound" if ratio is None else "IssuesFound")
    found = [verdict.value for verdict in result.verdicts]
    assert found == pytest.approx([] if ratio is None else [ratio], rel=1e-6)


def test_the_ratio_is_of_means_of_absolute_values(saved):
    weights(saved, [1, -3], [2, -5])
    ratio = partial(saved.judged, "WeightUpdateRatio", epsilon=4)  # 1.5 / (2 + 4)
    assert ratio(large_threshold=0.2499).verdicts[0].value == 0.25
    assert ratio(large_threshold=0.25).violations == 0
    assert ratio(small_threshold=0.25).violations == 0
    assert ratio(small_threshold=0.2501).verdicts[0].threshold == 0.2501


@pytest.mark.parametrize(
    ("parameters", "ratios"),
    [
        ({}, [1 / 1, 1 / 2, 2 / 3, 1 / 5]),  # with the step before
        ({"num_steps": "10"}, [1 / 5]),
        ({"num_steps": 40}, [1 / 1, 2 / 1, 3 / 2, 3 / 3]),
    ],
)
def test_weights_are_compared_with_the_first_within_num_steps(saved, parameters, ratios):
    for step, value in [(0, 1), (20, 2), (40, 3), (60, 5), (70, 6)]:
        saved.save({WEIGHT: [value]}, step=step)
    found = saved.judged("WeightUpdateRatio", large_threshold=0, **parameters).verdicts
    assert [verdict.value for verdict in found] == pytest.approx(ratios)


def test_only_weights_of_training_steps_are_compared(saved):
    weights(saved, 1)
    weights(saved, 1, mode="EVAL")
    weights(saved, 1, mode="PREDICT")
    result = saved.save({"Net_fc.bias": [1]}).judged("WeightUpdateRatio")
    assert (result.status, result.datapoints) == ("NoIssuesFound", 1)
    assert result.details == "nothing was compared: no weights were saved twice"
    far = weights(saved, 1).judged("WeightUpdateRatio", num_steps=1)
    assert far.details == "nothing was compared: no weights were saved twice within 1 steps"


# TensorVariance


@pytest.mark.parametrize(
    ("value", "parameters", "status"),
    [
        ([-2.0, 2.0], {"max_threshold": 4}, "NoIssuesFound"),
        ([-2.0, 2.0], {"max_threshold": 3.99}, "IssuesFound"),
        ([-2.0, 2.0], {"min_threshold": 4}, "NoIssuesFound"),
        ([-2.0, 2.0], {"min_threshold": "4.01"}, "IssuesFound"),
        ([5.0, 5.0], {"min_threshold": 0}, "NoIssuesFound"),
        ([5.0, 5.0], {"min_threshold": 1e-9}, "IssuesFound"),
        ([5.0], {"min_threshold": 1e-9}, "NoIssuesFound"),
        ([np.nan, 1], {"min_threshold": 1, "max_threshold": 2}, "NoIssuesFound"),
    ],
)
def test_a_variance_stays_between_its_thresholds(saved, value, parameters, status):
    result = saved.save({WEIGHT: np.asarray(value)}).judged("TensorVariance", **parameters)
    assert result.status == status


def test_a_variance_is_beyond_half_precision(saved):
    saved.save({WEIGHT: np.float16([-300, 300])})
    assert saved.judged("TensorVariance", max_threshold=6e4).verdicts[0].value == 9e4


def test_a_variance_needs_a_threshold_and_more_than_one_value(saved):
    saved.losses(1)
    result = saved.judged("TensorVariance")
    assert (
        result.status == "Error" and "give max_threshold, min_threshold or both" in result.details
    )
    alone = saved.judged("TensorVariance", max_threshold=1)
    assert alone.details == "single numbers have no variance, and nothing else came"


# AllZero


@pytest.mark.parametrize(
    ("value", "threshold", "status"),
    [
        ([0, 0, 0, 0], 100, "IssuesFound"),
        ([0, 0, 0, 1e-30], 100, "NoIssuesFound"),
        ([0, 0, 0, 1], 75, "IssuesFound"),
        ([0, 0, 0, 1], "75.1", "NoIssuesFound"),
        ([-0.0], 100, "IssuesFound"),
        ([0, np.nan], 100, "NoIssuesFound"),
        (np.array([False, False]), 100, "IssuesFound"),
    ],
)
def test_a_percentage_of_the_values_is_zero(saved, value, threshold, status):
    result = saved.save({WEIGHT: value}).judged("AllZero", threshold=threshold)
    assert result.status == status


def test_all_tensors_are_looked_at_or_those_of_a_collection(saved):
    saved.save({WEIGHT: [1], "Net_fc.bias": [0], LOSS: 0})
    found = saved.judged("AllZero").verdicts
    assert [verdict.tensor for verdict in found] == [LOSS, "Net_fc.bias"]
    assert saved.judged("AllZero", collection_names="weights").status == "NoIssuesFound"


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        ("AllZero", "threshold", 0),
        ("AllZero", "threshold", 101),
        ("UnchangedTensor", "num_steps", 1),
        ("WeightUpdateRatio", "num_steps", 0),
        ("WeightUpdateRatio", "epsilon", 0),
    ],
)
def test_values_that_mean_nothing_are_refused(saved, rule, name, value):
    result = weights(saved, 1).judged(rule, **{name: value})
    assert result.status == "Error" and f"{name} {value}" in result.details


def test_a_single_step_is_compared_with_none(saved):
    result = weights(saved, 1).judged("UnchangedTensor", num_steps=2)
    assert result.status == "NoIssuesFound"
    assert result.details == "nothing was compared: no tensor was saved twice"
