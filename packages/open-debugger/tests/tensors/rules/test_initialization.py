"""`PoorWeightInitialization` of `tensors/rules/weights.py`: networks that cannot begin."""

import numpy as np
import pytest

from debugger_support.saved_tensors import LOSS, SavedTensors

GRADIENT = "gradient/Net_fc.weight"
SPREAD = np.linspace(-1, 1, 101)  # its 5th and 95th percentiles are 1.8 apart


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial", relus="relu_input")


def layers(*deviations):
    """Inputs of ReLUs with these standard deviations."""
    return {
        f"layer{number}.relu_input_0": np.float64([-deviation, deviation])
        for number, deviation in enumerate(deviations)
    }


@pytest.mark.parametrize(
    ("deviations", "status"),
    [
        ((1, 1, 1), "NoIssuesFound"),
        ((1, 3.1), "NoIssuesFound"),
        ((1, 3.2), "IssuesFound"),  # a ratio of 10.24
        ((4, 2, 1), "IssuesFound"),
        ((1, 0), "IssuesFound"),
        ((0, 0), "IssuesFound"),
        ((1,), "NoIssuesFound"),  # nothing to compare with
        ((1, np.nan, 1), "NoIssuesFound"),  # exploded
        ((1, np.inf), "NoIssuesFound"),
        ((np.nan, 1, 4), "IssuesFound"),  # the others are compared
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_layers_get_inputs_of_like_variance(saved, deviations, status):
    assert saved.save(layers(*deviations)).judged("PoorWeightInitialization").status == status


def test_the_threshold_itself_is_allowed(saved):
    saved.save(layers(1, 2))
    rule = "PoorWeightInitialization"
    assert saved.judged(rule, threshold=4).status == "NoIssuesFound"
    [verdict] = saved.judged(rule, threshold=3.9).verdicts
    assert (verdict.tensor, verdict.value) == ("layer0.relu_input_0", 4)


@pytest.mark.parametrize(
    ("gradient", "status"),
    [
        (SPREAD, "NoIssuesFound"),
        (SPREAD * 0.001 / 1.8 * 1.001, "NoIssuesFound"),
        (SPREAD * 0.001 / 1.8 * 0.999, "IssuesFound"),
        (np.zeros(9), "IssuesFound"),
        ([0.0], "NoIssuesFound"),  # a single number has no distribution
        ([np.nan, 0, 0, 0], "NoIssuesFound"),
    ],
)
def test_gradients_have_a_distribution(saved, gradient, status):
    result = saved.save({GRADIENT: gradient}).judged("PoorWeightInitialization")
    assert result.status == status
    assert all(verdict.tensor == GRADIENT for verdict in result.verdicts)


@pytest.mark.parametrize(
    ("losses", "status"),
    [
        ([1, 1, 1, 1, 1, 1], "IssuesFound"),
        ([1, 1, 1, 1, 1], "NoIssuesFound"),
        ([1, 2, 2, 2, 2, 0.9, 2, 2], "NoIssuesFound"),
        ([np.nan] * 5, "IssuesFound"),
        ([np.nan] * 4 + [1], "NoIssuesFound"),
    ],
)
def test_the_loss_falls_within_patience(saved, losses, status):
    assert saved.losses(*losses).judged("PoorWeightInitialization").status == status


def test_only_the_first_training_steps_count(saved):
    saved.save(layers(1, 9), "EVAL").save({"Net_fc.weight": [1]})
    for _ in range(3):
        saved.save({GRADIENT: SPREAD})
    saved.save({GRADIENT: np.zeros(9)})
    assert saved.judged("PoorWeightInitialization", steps="3.0").status == "NoIssuesFound"
    assert saved.judged("PoorWeightInitialization", steps=4).status == "IssuesFound"


def test_nothing_to_look_at_is_an_error(saved):
    result = saved.save({"Net_fc.weight": [1]}).judged("PoorWeightInitialization")
    assert result.status == "Error" and "'.*relu_input'" in result.details


def test_other_activations_are_named_by_regex(saved):
    inputs = {"features.1_input_0": np.float32([-1, 1]), "features.4_input_0": np.float32([-9, 9])}
    rule = "PoorWeightInitialization"
    assert saved.save({**inputs, LOSS: 1}).judged(rule).status == "NoIssuesFound"
    regex = r"features\.\d+_input"
    assert saved.judged(rule, activation_inputs_regex=regex).status == "IssuesFound"


@pytest.mark.parametrize("name", ["steps", "patience"])
def test_counts_are_at_least_one(saved, name):
    result = saved.losses(1).judged("PoorWeightInitialization", **{name: 0})
    assert result.status == "Error" and f"{name} 0" in result.details
