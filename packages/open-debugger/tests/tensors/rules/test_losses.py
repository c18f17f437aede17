"""`tensors/rules/losses.py`: do losses fall, and does validation follow training?"""

import itertools
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debugger_support.saved_tensors import LOSS, SavedTensors

NAN, INF = math.nan, math.inf


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


def alternating(saved, passes):
    """Save passes, each the losses of some training steps and then those of an evaluation."""
    for train, validation in passes:
        saved.losses(*train).losses(*validation, mode="EVAL")
    return saved


# Overfit


@pytest.mark.parametrize(
    ("train", "validation", "status"),
    [
        ([1.0], [1.1015625], "IssuesFound"),
        ([1.0], [1.0999], "NoIssuesFound"),
        ([8.0], [8.75], "NoIssuesFound"),
        ([1.0], [0.2], "NoIssuesFound"),
        ([1.5, 0.5], [1.0], "NoIssuesFound"),  # means, not the last step
        ([1.0], [3.0, 0.0, 0.0], "NoIssuesFound"),
        ([0.0], [1.0], "NoIssuesFound"),  # nothing to compare with
        ([1.0], [NAN], "NoIssuesFound"),
        ([NAN], [1.0], "NoIssuesFound"),
        ([1.0], [INF], "IssuesFound"),
        ([INF, -INF], [1.0], "NoIssuesFound"),
    ],
)
def test_overfit_compares_the_means(saved, train, validation, status):
    result = alternating(saved, [(train, validation)]).judged("Overfit")
    assert result.status == status


@pytest.mark.parametrize(
    ("threshold", "status"), [(0.25, "NoIssuesFound"), (0.2499, "IssuesFound")]
)
def test_overfit_fires_beyond_its_threshold_and_not_at_it(saved, threshold, status):
    alternating(saved, [([1.0], [1.25])])
    assert saved.judged("Overfit", ratio_threshold=threshold).status == status


def test_overfit_waits_for_patience_passes_in_a_row(saved):
    well, ill = ([1.0], [1.0]), ([1.0], [2.0])
    alternating(saved, [ill, ill, well, ill, ill])
    assert saved.judged("Overfit", patience=3).status == "NoIssuesFound"
    [verdict] = alternating(saved, [ill]).judged("Overfit", patience=3).verdicts
    assert (verdict.step, verdict.mode, verdict.value) == (5, "EVAL", 1.0)
    assert saved.judged("Overfit").violations == 5


def test_overfit_compares_with_the_training_since_the_last_pass(saved):
    alternating(saved, [([5.0], [5.0]), ([1.0], [2.0])])
    assert saved.judged("Overfit").verdicts[0].value == 1.0


def test_overfit_begins_at_its_start_step(saved):
    alternating(saved, [([1.0, 1.0], [2.0]), ([1.0], [1.0])])
    assert saved.judged("Overfit", start_step=1).status == "IssuesFound"
    assert saved.judged("Overfit", start_step=2).status == "NoIssuesFound"
    late = saved.judged("Overfit", start_step=3)
    assert late.status == "NoIssuesFound"
    assert late.details == "nothing was compared: no validation follows a training loss from 3"


def test_overfit_needs_both_losses(tmp_path):
    train = SavedTensors(tmp_path / "train").losses(1, 2).judged("Overfit")
    assert train.status == "Error" and "eval.save_interval" in train.details
    assert "ended before its first validation" in train.details
    validation = SavedTensors(tmp_path / "eval").losses(1, 2, mode="EVAL").judged("Overfit")
    assert validation.status == "Error" and "train.save_interval" in validation.details


def test_the_losses_of_a_test_are_no_validation(saved):
    result = saved.losses(1, 1).losses(9, mode="PREDICT").judged("Overfit")
    assert result.status == "Error" and "no validation loss" in result.details
    saved.save({LOSS: 99}, "PREDICT", step=9)
    assert saved.judged("LossNotDecreasing", num_steps=9).datapoints == 2


def test_a_regex_may_match_weights_too_and_only_single_numbers_count(saved):
    saved.save({LOSS: 1, "Net_fc.weight": np.full(4, 1e9)})
    saved.save({LOSS: 2, "Net_fc.weight": np.full(4, 1e9)}, "EVAL")
    assert saved.judged("Overfit", tensor_regex=".*").verdicts[0].value == 1.0


def test_a_loss_that_is_no_single_number_is_an_error(saved):
    result = saved.save({LOSS: [1, 2, 3]}).judged("LossNotDecreasing")
    assert result.status == "Error" and "is a single number" in result.details


# Overtraining

FLAT = [1.0] * 11
FALLING = [1.0 - 0.02 * step for step in range(11)]


@pytest.mark.parametrize(
    ("train", "validation", "parameters", "status"),
    [
        (FLAT, FLAT, {}, "IssuesFound"),
        (FLAT[1:], FLAT[1:], {}, "NoIssuesFound"),  # nine passes after the best, not ten
        (FLAT, FLAT, {"patience_train": 10}, "IssuesFound"),
        (FLAT, FLAT, {"patience_train": 11}, "NoIssuesFound"),
        (FLAT, FLAT, {"patience_validation": 11}, "NoIssuesFound"),
        (FALLING, FLAT, {}, "NoIssuesFound"),
        (FLAT, FALLING, {}, "NoIssuesFound"),
        (FLAT, FALLING, {"delta": 0.21}, "IssuesFound"),  # it fell by 0.2 in all
        (FLAT, [*FLAT, 9.0], {}, "IssuesFound"),
        ([1.0] + [NAN] * 10, [1.0] + [NAN] * 10, {}, "IssuesFound"),
        ([NAN] * 11, [NAN] * 11, {}, "NoIssuesFound"),  # there never was a best value
        ([NAN, *FLAT], [NAN, *FLAT], {}, "IssuesFound"),
        ([1.0], [1.0], {}, "NoIssuesFound"),
    ],
)
def test_overtraining_is_when_both_losses_stand_still(saved, train, validation, parameters, status):
    alternating(saved, zip([[t] for t in train], [[v] for v in validation], strict=False))
    assert saved.judged("Overtraining", **parameters).status == status


def test_overtraining_names_the_best_loss(saved):
    alternating(saved, [([1.0], [0.25])] + [([1.0], [0.5])] * 10)
    verdict = saved.judged("Overtraining").verdicts[0]
    assert "0.25" in verdict.advice
    assert (verdict.value, verdict.threshold, verdict.tensor) == (10, 10, LOSS)


def test_overtraining_smooths_the_training_loss(saved):
    lucky = [1.0, 0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.28]
    alternating(saved, [([loss], [1.0]) for loss in lucky])
    assert saved.judged("Overtraining").status == "IssuesFound"  # 0.1 is never seen again
    assert saved.judged("Overtraining", smoothing=3).status == "NoIssuesFound"


def test_overtraining_needs_both_losses(saved):
    result = saved.losses(1, 1).judged("Overtraining")
    assert result.status == "Error" and "no validation loss" in result.details


# LossNotDecreasing


@pytest.mark.parametrize(
    ("losses", "status"),
    [
        ([1.0, 1.0], "IssuesFound"),
        ([1.0, 0.5], "NoIssuesFound"),
        ([1.0, 0.875], "NoIssuesFound"),  # 12.5 %, the threshold itself
        ([1.0, 0.876], "IssuesFound"),
        ([1.0, 1.2], "IssuesFound"),
        ([-1.0, -2.0], "NoIssuesFound"),
        ([-2.0, -1.0], "IssuesFound"),
        ([0.0, 0.0], "IssuesFound"),
        ([0.0, -1.0], "NoIssuesFound"),
        ([1.0, NAN], "IssuesFound"),
        ([NAN, NAN], "IssuesFound"),
        ([1.0, INF], "IssuesFound"),
        ([INF, 1.0], "NoIssuesFound"),
        ([INF, NAN], "IssuesFound"),
        ([1.0, -INF], "NoIssuesFound"),
        ([INF, INF], "IssuesFound"),
    ],
)
def test_a_loss_decreases_by_a_percentage(saved, losses, status):
    result = saved.losses(*losses).judged("LossNotDecreasing", num_steps=1, diff_percent=12.5)
    assert result.status == status


def test_losses_are_compared_every_num_steps_as_in_awss_example(saved):
    for step in range(0, 40, 3):  # saved every third step: 12 steps apart are the first ten
        saved.save({LOSS: 1.0}, step=step)
    found = saved.judged("LossNotDecreasing").verdicts
    assert [verdict.step for verdict in found] == [12, 24, 36]


def test_a_loss_that_rises_gets_other_advice_than_one_that_stands_still(saved):
    saved.losses(1.0, 0.9995, 0.9995, 0.9995 * 1.0499, 0.9995 * 1.0499 * 1.0501)
    falls, still, wavers, rises = saved.judged("LossNotDecreasing", num_steps=1).verdicts
    assert falls.value == pytest.approx(0.05, rel=1e-3) and "stands still" in falls.advice
    assert still.value == 0 and "stands still" in still.advice
    assert wavers.value == pytest.approx(-4.99, rel=1e-3) and "rose a little" in wavers.advice
    assert rises.value == pytest.approx(-5.01, rel=1e-3) and "rises" in rises.advice


def test_patience_and_smoothing_forgive_noise(saved):
    saved.losses(4, 5, 3, 4, 2, 3, 1, 2)
    one = {"num_steps": 1}
    assert saved.judged("LossNotDecreasing", **one).violations == 4
    assert saved.judged("LossNotDecreasing", **one, patience=2).violations == 0
    assert saved.judged("LossNotDecreasing", **one, smoothing=2).violations == 0


def test_the_first_smoothed_loss_is_of_as_many_as_the_others(saved):
    saved.losses(1, 3, 0.5)  # means of two: 2 and 1.75; the first alone would be a rise
    assert saved.judged("LossNotDecreasing", num_steps=1, smoothing=2).violations == 0


@pytest.mark.parametrize(
    ("mode", "status"),
    [("GLOBAL", "NoIssuesFound"), ("TRAIN", "NoIssuesFound"), ("EVAL", "IssuesFound")],
)
def test_the_mode_says_which_loss(saved, mode, status):
    alternating(saved, [([1.0], [1.0]), ([0.5], [1.0])])
    assert saved.judged("LossNotDecreasing", num_steps=1, mode=mode).status == status


def test_losses_saved_without_a_mode_are_training_losses(saved):
    result = saved.losses(1, 1, mode="GLOBAL").judged("LossNotDecreasing", num_steps=1)
    assert [verdict.mode for verdict in result.verdicts] == ["GLOBAL"]


@pytest.mark.parametrize(("mode", "lacks"), [("EVAL", "validation"), ("TRAIN", "training")])
def test_losses_of_the_other_mode_are_missing(saved, mode, lacks):
    saved.losses(1, 1, mode="TRAIN" if mode == "EVAL" else "EVAL")
    result = saved.judged("LossNotDecreasing", mode=mode)
    assert result.status == "Error" and f"no {lacks} loss" in result.details


def test_a_single_loss_is_compared_with_none(saved):
    result = saved.losses(1).judged("LossNotDecreasing")
    assert result.status == "NoIssuesFound"
    assert result.details == "nothing was compared: no two losses are 10 steps apart"
    few = saved.losses(1, 1, 1).judged("LossNotDecreasing", num_steps=1, smoothing=4)
    assert few.details == "nothing was compared: no two means of 4 losses are 1 steps apart"


def test_other_losses_are_named_by_collection_or_regex(tmp_path):
    saved = SavedTensors(tmp_path, penalties="penalty$")
    for step in range(2):
        saved.save({LOSS: 1 - step / 2, "my_penalty": 1.0})
    one = {"num_steps": 1, "use_losses_collection": "False"}
    assert saved.judged("LossNotDecreasing", num_steps=1).status == "NoIssuesFound"
    for name in ({"collection_names": "penalties"}, {"tensor_regex": "my_.*,nothing"}):
        [verdict] = saved.judged("LossNotDecreasing", **one, **name).verdicts
        assert verdict.tensor == "my_penalty"
    alone = saved.judged("LossNotDecreasing", num_steps=1, tensor_regex="my_")
    assert (alone.status, alone.datapoints) == ("IssuesFound", 2)
    both = saved.judged("LossNotDecreasing", num_steps=1, collection_names="penalties")
    assert both.datapoints == 4
    none = saved.judged("LossNotDecreasing", **one)
    assert none.status == "Error" and "name collections or a regex" in none.details


@pytest.mark.parametrize(
    ("rule", "parameters"),
    [
        ("Overfit", {"patience": 0}),
        ("Overtraining", {"patience_train": 0}),
        ("Overtraining", {"patience_validation": 0}),
        ("Overtraining", {"smoothing": 0}),
        ("LossNotDecreasing", {"num_steps": 0}),
        ("LossNotDecreasing", {"patience": 0}),
        ("LossNotDecreasing", {"mode": "train"}),
    ],
)
def test_values_that_mean_nothing_are_refused(saved, rule, parameters):
    result = saved.losses(1).judged(rule, **parameters)
    [(name, value)] = parameters.items()
    assert result.status == "Error" and name in result.details and str(value) in result.details


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.125, 8, width=32), min_size=2, max_size=12))
def test_a_loss_is_found_not_to_decrease_exactly_where_it_does_not(losses):
    with TemporaryDirectory() as folder:
        saved = SavedTensors(Path(folder)).losses(*losses)
        found = saved.judged("LossNotDecreasing", num_steps=1, diff_percent=10).verdicts
    pairs = enumerate(itertools.pairwise(losses), start=1)
    expected = [step for step, (p, c) in pairs if 100 * (p - c) / p < 10]
    assert [verdict.step for verdict in found] == expected
