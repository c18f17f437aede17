"""`tensors/rules/data.py`: images that are not normalised, classes that are rare."""

import numpy as np
import pytest

from debugger_support.saved_tensors import SavedTensors

IMAGES, SCORES, LABELS = "ResNet_input_0", "CrossEntropyLoss_input_0", "CrossEntropyLoss_input_1"
PYTORCH = {"labels_regex": LABELS, "predictions_regex": SCORES}


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


# CheckInputImages


def images(*means, count=4, size=6):
    """Images whose channels have these means, but not one pixel of that value."""
    noise = np.resize([-1.0, 1.0], (count, len(means), size, size))
    return noise + np.reshape(means, (1, -1, 1, 1))


def checked(saved, **parameters):
    given = {"regex": IMAGES, "threshold_samples": 4, **parameters}
    return saved.judged("CheckInputImages", **given)


@pytest.mark.parametrize(
    ("means", "worst"),
    [
        ((0, 0, 0), None),
        ((0.125, -0.125, 0.125), None),
        ((0.25, 0, 0), 0.25),
        ((0, -0.5, 0.25), 0.5),
        ((0.5, -0.5), 0.5),  # zero over all channels, and yet
        ((np.nan, 1), None),
    ],
)
def test_each_channel_has_a_mean_near_zero(saved, means, worst):
    found = checked(saved.save({IMAGES: images(*means)})).verdicts
    assert [verdict.value for verdict in found] == ([worst] if worst else [])


def test_the_threshold_itself_is_allowed(saved):
    saved.save({IMAGES: images(0.25)})
    assert checked(saved, threshold_mean=0.25).status == "NoIssuesFound"
    assert checked(saved, threshold_mean=0.2499).status == "IssuesFound"


def test_the_mean_is_of_so_many_images_and_then_of_so_many_others(saved):
    for mean in (0.5, -0.5, 0.5, 0.5):
        saved.save({IMAGES: images(mean, count=2)})
    [verdict] = checked(saved).verdicts
    assert (verdict.step, verdict.value) == (3, 0.5)
    few = checked(saved, threshold_samples=9)
    assert (few.status, few.details) == ("NoIssuesFound", "only 8 of 9 images were saved")


def test_images_of_each_mode_and_of_any_size_count_by_their_pixels(saved):
    saved.save({IMAGES: images(0.25, count=2, size=2)})
    saved.save({IMAGES: images(9, count=2)}, "EVAL")
    saved.save({IMAGES: images(0.5, count=2, size=4)})
    [verdict] = checked(saved).verdicts
    assert (verdict.mode, verdict.value) == ("TRAIN", (0.25 * 4 + 0.5 * 16) / 20)


def test_the_channels_may_be_the_last_dimension(saved):
    saved.save({IMAGES: np.moveaxis(images(0.5, -0.5), 1, 3)})
    assert checked(saved, channel="3").verdicts[0].value == 0.5
    assert checked(saved).status == "NoIssuesFound"  # rows, over both channels
    wrong = checked(saved, channel=4)
    assert wrong.status == "Error" and "(4, 6, 6, 2): no dimension 4" in wrong.details


def test_awss_name_of_the_input_finds_nothing_in_pytorch_and_says_so(saved):
    result = saved.save({IMAGES: images(1)}).judged("CheckInputImages")
    assert result.status == "Error" and "ResNet_input_0" in result.details


# ClassImbalance


def batch(counts, wrong=(), classes=None):
    """Labels with so many of each class, and scores that miss the first `wrong` of each."""
    classes = classes or len(counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    predicted = labels.copy()
    for number, missed in enumerate(wrong):
        predicted[np.flatnonzero(labels == number)[:missed]] += 1
    return {LABELS: labels, SCORES: np.eye(classes + 1, dtype=np.float32)[predicted]}


def judged(saved, **parameters):
    return saved.judged("ClassImbalance", **{"argmax": True, "samples": 1, **PYTORCH, **parameters})


@pytest.mark.parametrize(
    ("counts", "ratio"), [((1, 10), None), ((1, 11), 11), ((30, 2, 9), 15), ((5,), None)]
)
def test_the_rarest_class_is_compared_with_the_commonest(saved, counts, ratio):
    found = judged(saved.save(batch(counts))).verdicts
    assert [verdict.value for verdict in found] == ([ratio] if ratio else [])
    assert all(verdict.tensor == LABELS for verdict in found)


def test_the_advice_names_the_classes(saved):
    [verdict] = judged(saved.save(batch((30, 2, 9)))).verdicts
    assert "Class 1 is rare beside class 0" in verdict.advice


@pytest.mark.parametrize(
    ("wrong", "share"), [((0, 7), None), ((0, 8), 0.8), ((10, 8), 1.0), ((3, 3), None)]
)
def test_each_class_is_predicted_mostly_right(saved, wrong, share):
    found = judged(saved.save(batch((10, 10), wrong))).verdicts
    assert [verdict.value for verdict in found] == ([share] if share else [])


def test_nothing_is_judged_before_enough_labels_and_then_afresh(saved):
    saved.save(batch((1, 12)))
    few = judged(saved, samples=26)
    assert (few.status, few.details) == ("NoIssuesFound", "only 13 of 26 labels were saved")
    saved.save(batch((12, 1)))  # together they are balanced
    assert judged(saved, samples=26).status == "NoIssuesFound"
    assert judged(saved, samples=13).violations == 2
    assert judged(saved, samples=14).violations == 0


def test_predictions_may_be_classes(saved):
    saved.save({"labels": np.array([0, 1, 1]), "predictions": np.array([[0], [1], [0]])})
    result = saved.judged("ClassImbalance", samples=3, threshold_misprediction=0.4)
    assert result.verdicts[0].value == 0.5


def test_scores_without_argmax_are_an_error_that_says_so(saved):
    result = judged(saved.save(batch((2, 2))), argmax="False")
    assert result.status == "Error" and "scores need argmax=True" in result.details


def test_evaluation_does_not_count(saved):
    saved.save(batch((1, 1))).save(batch((1, 40)), "EVAL")
    assert judged(saved).status == "NoIssuesFound"


def test_labels_or_predictions_that_are_missing_are_an_error(saved):
    saved.save({LABELS: [0, 1]})
    for result in (judged(saved), saved.judged("ClassImbalance")):
        assert result.status == "Error" and "CrossEntropyLoss_input_1" in result.details


def test_the_same_labels_in_parts_or_at_once_are_judged_alike(tmp_path):
    counts, wrong = np.random.default_rng(0).integers(1, 9, (2, 5))
    whole = batch(counts, np.minimum(counts, wrong))
    once = SavedTensors(tmp_path / "once").save(whole)
    parts = SavedTensors(tmp_path / "parts")
    for start in range(0, counts.sum(), 4):
        parts.save({name: value[start : start + 4] for name, value in whole.items()})
    values = [
        [verdict.value for verdict in judged(each, samples=int(counts.sum())).verdicts]
        for each in (once, parts)
    ]
    assert values[0] == values[1] and values[0]


@pytest.mark.parametrize(
    ("rule", "name", "value"),
    [
        ("CheckInputImages", "threshold_samples", 0),
        ("CheckInputImages", "channel", 0),
        ("ClassImbalance", "samples", 0),
    ],
)
def test_values_that_mean_nothing_are_refused(saved, rule, name, value):
    result = saved.losses(1).judged(rule, **{name: value})
    assert result.status == "Error" and f"{name} {value}" in result.details
