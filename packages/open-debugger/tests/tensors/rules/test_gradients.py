"""`tensors/rules/gradients.py`: gradients that vanish."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from debugger_support.saved_tensors import SavedTensors

GRADIENT = "gradient/Net_fc.weight"


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


@pytest.mark.parametrize(
    ("gradient", "status"),
    [
        (np.zeros((3, 4)), "IssuesFound"),
        (np.full((3, 4), 1e-7 * (1 - 1e-6), np.float64), "IssuesFound"),
        (np.full((3, 4), 1e-7, np.float64), "NoIssuesFound"),
        ([-1.0, 1.0], "NoIssuesFound"),  # the mean is of absolute values
        (np.float16([6e-8] * 4), "IssuesFound"),  # half precision's smallest number
        ([np.nan, 0], "NoIssuesFound"),  # exploded, not vanished
        ([np.inf, 0], "NoIssuesFound"),
    ],
)
def test_a_gradient_vanishes_below_the_threshold(saved, gradient, status):
    assert saved.save({GRADIENT: gradient}).judged("VanishingGradient").status == status


def test_the_verdict_says_where_how_far_and_what_to_do(saved):
    saved.save({GRADIENT: np.ones(3), "gradient/Net_conv.weight": np.ones(3)})
    saved.save({GRADIENT: np.ones(3), "gradient/Net_conv.weight": np.full(3, 0.5)}, step=40)
    result = saved.judged("VanishingGradient", threshold="0.75")
    [verdict] = result.verdicts
    assert (verdict.rule, verdict.step, verdict.mode) == ("VanishingGradient", 40, "TRAIN")
    assert (verdict.tensor, verdict.value, verdict.threshold) == (
        "gradient/Net_conv.weight",
        0.5,
        0.75,
    )
    assert "normalisation" in verdict.advice
    assert result.details.startswith(
        "gradient/Net_conv.weight at TRAIN step 40: 0.5, threshold 0.75. Use"
    )
    assert (result.violations, result.datapoints) == (1, 4)


def test_weights_are_no_gradients(saved):
    result = saved.save({"Net_fc.weight": np.zeros(3)}).judged("VanishingGradient")
    assert result.status == "Error"
    assert result.details == (
        "no tensor of the collection 'gradients' was saved; there are: weights (1)"
    )


def test_an_empty_gradient_does_not_vanish_and_is_nothing_to_look_at(saved):
    result = saved.save({GRADIENT: np.zeros((0, 3))}).judged("VanishingGradient")
    assert result.status == "Error" and "gradients (1)" in result.details


def test_gradients_saved_only_as_reductions_are_an_error_that_says_so(saved):
    saved.save({f"smdebug/reductions/abs_mean/{GRADIENT}": 1e-9})
    result = saved.judged("VanishingGradient")
    assert result.status == "Error"
    assert result.details == f"of {GRADIENT} only reductions were saved: save it whole"


def test_a_threshold_that_no_mean_can_fall_below_is_refused(saved):
    result = saved.save({GRADIENT: [1]}).judged("VanishingGradient", threshold=0)
    assert result.status == "Error" and "threshold 0.0" in result.details


@settings(max_examples=30, deadline=None)
@given(
    arrays.arrays(
        np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=st.floats(-1, 1, width=32)
    ),
    st.floats(1e-6, 1),
)
def test_the_condition_is_the_formula(gradient, threshold):
    with TemporaryDirectory() as folder:
        saved = SavedTensors(Path(folder)).save({GRADIENT: gradient})
        result = saved.judged("VanishingGradient", threshold=threshold)
    mean = np.abs(gradient.astype(np.float64)).mean()
    assert result.status == ("IssuesFound" if mean < threshold else "NoIssuesFound")
    assert [verdict.value for verdict in result.verdicts] == [mean] * (mean < threshold)


# ExplodingTensor


@pytest.mark.parametrize(
    ("value", "only_nan", "lost"),
    [
        ([1, 2], False, 0),
        (np.float32([3.4e38, -3.4e38]), False, 0),
        ([1, np.nan, np.nan], False, 2),
        ([np.inf, -np.inf, np.nan], False, 3),
        ([np.inf, -np.inf, np.nan], "True", 1),
        ([np.inf], "True", 0),
        (np.int64([1, 2]), False, 0),
        (np.array([True, False]), False, 0),
        (np.nan, False, 1),
    ],
)
def test_a_tensor_explodes_with_its_first_value_that_is_no_number(saved, value, only_nan, lost):
    result = saved.save({"Net_fc.weight": value}).judged("ExplodingTensor", only_nan=only_nan)
    assert [verdict.value for verdict in result.verdicts] == [lost] * (lost > 0)
    assert result.status == ("IssuesFound" if lost else "NoIssuesFound")


def test_all_tensors_may_explode_or_those_that_are_named(saved):
    saved.save({"any": [np.nan], GRADIENT: [np.nan], "Net_fc.weight": [1]})
    every = saved.judged("ExplodingTensor")
    assert [verdict.tensor for verdict in every.verdicts] == ["any", GRADIENT]
    gradients = saved.judged("ExplodingTensor", collection_names="gradients,weights")
    assert [verdict.tensor for verdict in gradients.verdicts] == [GRADIENT]
    both = saved.judged("ExplodingTensor", collection_names=["weights"], tensor_regex=["^an"])
    assert ([verdict.tensor for verdict in both.verdicts], both.datapoints) == (["any"], 2)
