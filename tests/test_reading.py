"""The two sentences about a run's losses follow from the numbers."""

import pytest

from course import reading


def curves(train, *evaluations):
    return {
        "train": (list(range(len(train))), train),
        "valid": (list(range(len(evaluations))), list(evaluations)),
    }


def test_a_healthy_run():
    said = reading.losses(curves([2.0, 1.5, 1.0], 1.9, 1.4, 1.2))
    assert said == (
        "The training loss fell from 2.00 to 1.00 (-50%). The validation loss was lowest at the "
        "end, so more epochs may still help; it ended at 1.20, 20% above the training loss."
    )


def test_an_overfitted_run():
    said = reading.losses(curves([2.0, 0.5, 0.1], 1.9, 1.4, 1.8))
    assert "was lowest after evaluation 2 of 3, so the rest overfitted" in said


@pytest.mark.parametrize("last,word", [(3.0, "rose"), (2.01, "stayed flat")])
def test_a_run_that_does_not_learn(last, word):
    assert f"The training loss {word} from 2.00" in reading.losses(curves([2.0, last], 2.0))


def test_an_evaluation_is_a_run_of_consecutive_steps():
    curve = ([10, 11, 12, 23, 24, 25], [1.0, 2.0, 3.0, 0.5, 0.5, 2.0])
    assert reading.per_evaluation(curve) == ([12, 25], [2.0, 1.0])
    assert reading.per_evaluation(([], [])) == ([], [])


def test_no_losses_is_an_error():
    with pytest.raises(ValueError, match="no 'valid' losses"):
        reading.losses({"train": ([1], [2.0]), "valid": ([], [])})
