"""The two sentences about a run's losses follow from the numbers."""

import numpy as np
import pandas as pd
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


STEPS = [0, 20, 40]


def norms(**rows):
    return pd.DataFrame.from_dict(rows, orient="index", columns=STEPS)


def test_gradients_name_the_extremes_of_the_last_step_and_the_change():
    said = reading.gradients(norms(conv1=[4.0, 2.0, 1.0], mid=[4.0, 3.0, 2.0], fc=[8.0, 8.0, 50.0]))
    first = "At step 40 the norms of 3 layers lie between 1 (conv1) and 50 (fc), a factor of 50."
    assert said.startswith(first)
    assert said.endswith("The median shrank from 4 to 2 over the run.")


def test_layers_without_a_gradient_are_counted():
    rows = {"conv1": [1.0, 0.0, 0.0], "nan": [1.0, 1.0, np.nan], "fc": [1.0, 1.0, 2.0]}
    said = reading.gradients(norms(**rows))
    assert "norms of 1 layers" in said and "2 layers have none" in said


def test_no_gradient_at_all_is_an_error():
    with pytest.raises(ValueError, match="learns nothing"):
        reading.gradients(norms(conv1=[1.0, 1.0, 0.0]))


def shares(**widths):
    rows = {name: [-w / 2, -w / 4, 0, w / 4, w / 2] for name, w in widths.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[5, 25, 50, 75, 95])


def test_weights_name_what_changed_most_and_the_widest():
    before, after = shares(conv1=1.0, mid=0.5, fc=0.2), shares(conv1=1.1, mid=0.5, fc=0.1)
    said = reading.weights({0: before, 80: after})
    assert "From step 0 to 80" in said and "changed most in fc (-50%)" in said
    assert "in the middle layer by +0.0%" in said
    assert "widest weights are those of conv1 (1.10" in said
    assert "narrowest those of fc (0.100)" in said


@pytest.mark.parametrize("found", [{40: shares(fc=1.0)}, {0: shares(fc=0.0), 40: shares(fc=0.0)}])
def test_weights_that_show_no_change(found):
    assert reading.weights(found).startswith("Weights of one step only show no change: step 40.")


def test_no_weights_is_an_error():
    with pytest.raises(ValueError, match="has the job saved any"):
        reading.weights({})


def test_parts_say_who_waits_and_how_much_longer_it_takes():
    table = pd.DataFrame(
        {"waiting for data": [60.0, 1.0], "forward": [20.0, 19.0], "other": [20.0, 20.0]},
        ["starved", "fed"],
    )
    assert reading.parts(table) == (
        "The starved run waits 60% of each step for data (60 of 100 ms), the fed one 2% (1 of "
        "40 ms). Its steps take 2.5 times as long."
    )


def test_parts_of_one_run_cannot_be_compared():
    with pytest.raises(ValueError, match="there are 1"):
        reading.parts(pd.DataFrame({"waiting for data": [1.0]}, ["one"]))
