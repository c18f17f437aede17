"""`records/scores.py`: shares and intervals, breeds, and which pairs are mixed up."""

import numpy as np
import pytest

from records import scores
from records.scores import NOBODY, answers, confusion, scored, wilson

NAMES = ["001.Affenpinscher", "016.Beagle", "057.Dalmatian"]


def said(labels, predicted, classes=3, sure=2.0):
    """What a network says that answers `predicted`, each as surely as `sure` has it."""
    labels, predicted = np.array(labels), np.array(predicted)
    logits = np.zeros((len(labels), classes), np.float32)
    logits[np.arange(len(labels)), predicted] = sure
    return scores.Tested([f"{label}/{i}.jpg" for i, label in enumerate(labels)], labels, logits)


# ----------------------------------------------------------------------------------------- interval


@pytest.mark.parametrize(
    "right,photos,low,high",
    [  # R. Newcombe, Statistics in Medicine 17 (1998), table I: Wilson's, uncorrected
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_of_the_published_table(right, photos, low, high):
    assert wilson(right, photos) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize("right,photos", [(0, 1), (1, 1), (3, 8), (700, 836), (99_999, 100_000)])
def test_at_both_ends_the_share_lies_196_standard_errors_away(right, photos):
    """What defines the interval: its ends are the shares that the z-test just does not refuse."""
    for end in wilson(right, photos):
        error = np.sqrt(end * (1 - end) / photos)
        assert abs(right / photos - end) == pytest.approx(1.959964 * error, rel=1e-5, abs=1e-12)


def test_nothing_and_everything_end_at_0_and_1_exactly():
    for photos in range(1, 300):
        assert wilson(0, photos)[0] == 0 and wilson(photos, photos)[1] == 1


@pytest.mark.parametrize("right,photos", [(0, 0), (3, 2), (-1, 2)])
def test_what_is_no_share_is_refused(right, photos):
    with pytest.raises(ValueError, match=f"{right} of {photos} photos is no share"):
        wilson(right, photos)


# ------------------------------------------------------------------------------------------ answers


def test_answers_are_the_softmax_s_highest():
    logits = np.array([[1.0, 2.0, 0.5], [400.0, -400.0, 399.0]], np.float32)
    predicted, probability = answers(logits)
    assert predicted.tolist() == [1, 0]
    expected = [np.exp(2) / np.exp([1, 2, 0.5]).sum(), 1 / (1 + np.exp(-1))]
    assert probability == pytest.approx(expected)


def test_a_row_that_is_no_number_has_no_answer():
    logits = np.array([[0, np.nan, 9], [np.inf, 0, 0], [0, 0, 1]], np.float32)
    predicted, probability = answers(logits)
    assert predicted.tolist() == [NOBODY, NOBODY, 2]
    assert np.isnan(probability).tolist() == [True, True, False]


def test_confusion_has_a_row_for_each_true_class():
    assert confusion(said([0, 0, 0, 1, 2], [0, 2, 2, 1, 1])).tolist() == [
        [1, 0, 2],
        [0, 1, 0],
        [0, 1, 0],
    ]


# ------------------------------------------------------------------------------------------- scores


def test_top1_and_top5_count_ranks():
    """Photo i's class is the i-th likeliest of eight."""
    logits = -np.stack([(np.arange(8) - i) % 8 for i in range(8)]).astype(np.float32)
    found = scored(scores.Tested(list("abcdefgh"), np.zeros(8, int), logits), list("ABCDEFGH"))
    # The class 0 is (-i) % 8 places behind the first: 0, 7, 6, 5, 4, 3, 2, 1.
    assert (found["top1"]["right"], found["top5"]["right"]) == (1, 5)
    assert found["top5"]["accuracy"] == 5 / 8
    assert (found["top5"]["low"], found["top5"]["high"]) == wilson(5, 8)
    assert (found["photos"], found["classes"], found["chance"]) == (8, 8, 1 / 8)


def test_of_equal_logits_the_first_counts_as_in_argmax():
    """So a network that says the same of all classes knows one of them, not all."""
    found = scored(said([0, 1, 2, 2], [0, 0, 0, 0], sure=0.0), NAMES)
    assert found["top1"]["right"] == 1


@pytest.mark.parametrize("classes,name", [(2, "top2"), (4, "top4"), (5, "top5"), (7, "top5")])
def test_of_few_classes_top5_has_another_name(classes, name):
    found = scored(said([0, 1], [1, 0], classes), [str(i) for i in range(classes)])
    assert [key for key in found if key.startswith("top")] == ["top1", name]


def test_one_class_is_all_there_is():
    found = scored(said([0, 0], [0, 0], 1), ["only"])
    assert found["top1"]["right"] == 2 and found["confused"] == []


def test_logits_that_are_no_numbers_count_as_wrong():
    given = said([0, 0, 1, 2], [0, 0, 1, 2])
    given.logits[[0, 2], 1] = np.nan
    found = scored(given, NAMES)
    assert (found["top1"]["right"], found["top3"]["right"], found["unanswered"]) == (2, 2, 2)
    assert [each["right"] for each in found["breeds"]] == [1, 0, 1]
    assert [each["photos"] for each in found["breeds"]] == [2, 1, 1]
    assert found["confused"] == []


def test_breeds_have_their_own_counts_and_intervals():
    breeds = scored(said([0, 0, 0, 0, 1], [0, 0, 0, 1, 2]), NAMES)["breeds"]
    assert [(each["breed"], each["right"], each["photos"]) for each in breeds] == [
        ("001.Affenpinscher", 3, 4),
        ("016.Beagle", 0, 1),
        ("057.Dalmatian", 0, 0),  # all its photos were damaged, say
    ]
    assert (breeds[0]["accuracy"], breeds[0]["low"], breeds[0]["high"]) == (0.75, *wilson(3, 4))
    assert (breeds[2]["accuracy"], breeds[2]["low"], breeds[2]["high"]) == (None, None, None)


def test_the_pairs_with_most_photos_come_first():
    labels = [0] * 6 + [1] * 3 + [2] * 4
    taken = [1, 1, 2, 2, 0, 0, *(0, 0, 1), *(0, 2, 2, 2)]
    confused = scored(said(labels, taken), NAMES)["confused"]
    assert [(pair["true"], pair["predicted"], pair["photos"]) for pair in confused] == [
        ("016.Beagle", "001.Affenpinscher", 2),  # two of three are more than two of six
        ("001.Affenpinscher", "016.Beagle", 2),
        ("001.Affenpinscher", "057.Dalmatian", 2),
        ("057.Dalmatian", "001.Affenpinscher", 1),
    ]
    assert confused[0]["share"] == pytest.approx(2 / 3)


def test_ten_pairs_are_enough():
    labels, taken = np.divmod(np.arange(36), 6)
    confused = scored(said(labels, taken, 6), list("abcdef"))["confused"]
    assert len(confused) == scores.PAIRS == 10


def test_the_surest_mistakes_are_the_examples():
    sure = np.array([1.0, 4.0, 2.0, 3.0, 9.0])
    given = said([0] * 5, [1, 1, 1, 1, 0], sure=sure)
    (pair,) = scored(given, NAMES)["confused"]
    assert (pair["photos"], pair["examples"]) == (4, ["0/1.jpg", "0/3.jpg", "0/2.jpg"])


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="no test photo could be read"):
        scored(scores.Tested([], np.zeros(0, int), np.zeros((0, 3))), NAMES)
    with pytest.raises(ValueError, match="logits for 3 classes, and 2 class names"):
        scored(said([0], [0]), NAMES[:2])


@pytest.mark.parametrize(
    "files,labels,shape",
    [(["a"], [0, 1], (2, 3)), (["a", "b"], [0], (2, 3)), (["a"], [0], (2, 3)), (["a"], [0], (1,))],
)
def test_files_labels_and_logits_belong_together(files, labels, shape):
    with pytest.raises(ValueError, match="give one label and one row of logits for each file"):
        scores.Tested(files, np.array(labels), np.zeros(shape))
