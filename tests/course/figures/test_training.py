"""The figures of a training job: each shows what it is given, and its title says what was found."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from course import figures
from course.debugger.tensors import WeightShares
from course.figures import style, training
from tests.support.drawn import png


def titles(figure):
    """All titles as one line."""
    return " ".join(" ".join(axis.get_title(loc="left") for axis in figure.axes).split())


def texts(figure):
    """All words of a figure."""
    found = []
    for axis in figure.axes:
        found += [axis.get_title(loc="left"), axis.get_xlabel(), axis.get_ylabel()]
        found += [label.get_text() for label in axis.get_xticklabels() + axis.get_yticklabels()]
        found += [text.get_text() for text in axis.texts]
    return found


# ------------------------------------------------------------------------------------------- losses


def curves(train, *valid, per_epoch=50):
    """A training loss at every step, and a validation loss after every epoch."""
    steps = list(range(len(train)))
    places = [per_epoch * (i + 1) for i in range(len(valid))]
    return {"train": (steps, list(train)), "valid": (places, list(valid))}


FELL = curves(np.linspace(4.0, 1.0, 100), 2.0, 0.5)


def test_losses_names_the_curves_the_units_and_what_guessing_gives():
    figure = figures.losses(FELL, chance=4.89)
    (axis,) = figure.axes
    assert axis.get_xlabel() == "training step" and "in nats" in axis.get_ylabel()
    assert {"training", "validation", "guessing 4.89"} <= set(texts(figure))
    assert titles(figure) == training.losses_say(FELL).removesuffix(".")


def test_the_floor_of_smoothing_is_a_line_with_its_name():
    figure = figures.losses(FELL, chance=4.89, floor=0.81)
    (axis,) = figure.axes
    assert "floor 0.81" in texts(figure)
    assert any(set(line.get_ydata()) == {0.81} for line in axis.lines)
    assert not any("floor" in text for text in texts(figures.losses(FELL, chance=4.89)))


@pytest.mark.parametrize(
    ("train", "valid", "said"),
    [
        ([4, 3, 2, 1], 0.5, ("fell from 4.00 to 1.00", "at 0.50")),
        ([1, 2, 3, 4], 5.0, ("rose from 1.00 to 4.00", "at 5.00")),
        ([2, 3, 1, 2], 2.5, ("stayed at 2.00", "at 2.50")),
    ],
)
def test_the_title_of_losses_holds_whichever_way_they_went(train, valid, said):
    first, second = said
    told = training.losses_say(curves(train, valid, per_epoch=4))
    assert told == f"The smoothed training loss {first}; the validation loss ended {second}."
    alone = training.losses_say({"valid": ([4], [valid])})
    assert alone == f"The validation loss ended {second}."


def test_the_order_of_the_losses_is_told_for_each_epoch():
    said = training.order_of_losses(curves([4.0] * 50 + [1.0] * 50, 3.0, 1.25))
    assert said == (
        "The validation loss beside the mean training loss of the same epoch: in epoch 1 it is "
        "1.00 below (3.00 and 4.00), in epoch 2 it is 0.25 above (1.25 and 1.00)."
    )
    near = training.order_of_losses(curves([1.006] * 50, 1.014))
    assert near.endswith("in epoch 1 it is the same (1.01 and 1.01).")
    assert training.order_of_losses(curves([1.004] * 50, 1.016)).endswith(
        "0.02 above (1.02 and 1.00)."
    )
    assert "not both saved" in training.order_of_losses({"train": ([1], [2.0])})
    early = {"train": ([9], [2.0]), "valid": ([0], [2.0])}
    assert "No training loss was saved before" in training.order_of_losses(early)


def test_the_training_curve_is_smoothed_over_its_raw_points():
    noisy = np.tile([1.0, 3.0], 50)
    (axis,) = figures.losses({"train": (np.arange(100), noisy)}).axes
    raw, smooth = axis.lines
    assert raw.get_alpha() < 0.5
    assert raw.get_ydata().std() == 1
    assert smooth.get_ydata().std() < 1e-9


def test_the_smooth_curve_lies_among_its_points_and_its_ends_are_the_titles():
    falling = np.linspace(5.0, 1.0, 67)
    figure = figures.losses({"train": (np.arange(0, 134, 2), falling)})
    raw, smooth = figure.axes[0].lines
    beside = np.interp(smooth.get_xdata(), raw.get_xdata(), raw.get_ydata())
    assert smooth.get_ydata() == pytest.approx(beside)
    begin, end = smooth.get_ydata()[[0, -1]]
    assert titles(figure) == f"The smoothed training loss fell from {begin:.2f} to {end:.2f}"
    assert (begin, end) == pytest.approx((falling[:6].mean(), falling[-6:].mean()))


def test_runs_are_told_by_the_values_of_the_curves():
    falling = curves(np.linspace(5.0, 1.0, 67))
    figure = figures.runs({"a": falling, "b": curves([4.0] * 30)})
    a, b = (line for line in figure.axes[0].lines if line.get_alpha() is None)
    step = b.get_xdata()[-1]  # the middle of the last three points
    assert step == 28
    value = np.interp(step, a.get_xdata(), a.get_ydata())
    assert titles(figure) == f"Training loss near step 28: {value:.2f} (a), 4.00 (b)"


def test_losses_puts_steps_in_order_and_leaves_out_what_is_no_number():
    (axis,) = figures.losses({"valid": ([30, 10, 20], [1.0, 3.0, float("nan")])}).axes
    assert axis.lines[0].get_xdata().tolist() == [10, 30]


def test_losses_of_a_single_point_can_be_drawn():
    png(figures.losses({"train": ([1], [2.0]), "valid": ([1], [2.0])}))


def test_losses_without_a_point():
    with pytest.raises(ValueError, match="every curve is empty"):
        figures.losses({"train": ([], []), "valid": ([1], [float("nan")])})


def test_losses_of_unequal_lengths():
    with pytest.raises(ValueError, match="'train' has 2 steps and 1 values"):
        figures.losses({"train": ([1, 2], [1.0])})


# ------------------------------------------------------------------------------------ several runs

HEALTHY = curves(np.linspace(4.9, 1.0, 100), 2.0, 1.5)


def test_runs_are_compared_at_the_last_step_that_all_reached():
    ill = curves([5.0, 500.0, 900.0])
    figure = figures.runs({"lr 3": ill, "lr 0.003": HEALTHY}, chance=4.89)
    assert titles(figure).startswith("Training loss near step 2: ")
    assert " (lr 3), 4.72 (lr 0.003)" in titles(figure)  # where that curve begins
    assert figure.axes[0].get_yscale() == "log"
    assert {"lr 3", "lr 0.003"} <= set(texts(figure))


def test_runs_that_lie_near_each_other_share_a_plain_axis_from_zero():
    (axis,) = figures.runs({"a": HEALTHY, "b": FELL}, colours={"a": style.BLUE}).axes
    assert axis.get_yscale() == "linear" and axis.get_ylim()[0] == 0
    assert to_hex(axis.lines[0].get_color()).upper() == style.BLUE


def overlapping(figure):
    """Pairs of labels that lie on each other, and labels on what is drawn inside the axis."""
    figure.draw_without_rendering()
    (axis,) = figure.axes
    boxes = {t.get_text(): t.get_window_extent() for t in axis.texts if t.get_text()}
    names = list(boxes)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i] if boxes[a].overlaps(boxes[b])]
    return pairs + [name for name, box in boxes.items() if box.x0 < axis.get_window_extent().x1]


def test_names_of_flat_runs_lie_beside_the_axis_and_not_on_each_other():
    flat = curves([4.9] * 100, 4.88, 4.87)
    named = {"from ImageNet's weights": HEALTHY, "from random weights": flat, "third": flat}
    assert overlapping(figures.runs(named, chance=4.89)) == []
    assert overlapping(figures.losses(flat, chance=4.89)) == []


def test_a_run_that_ended_early_is_named_where_it_ended():
    figure = figures.runs({"ill": curves([5.0, 500.0, 900.0]), "well": HEALTHY}, chance=4.89)
    assert overlapping(figure) == ["ill"]


def test_losses_that_are_no_numbers_are_told():
    lost = curves([5.0, 6.0, math.nan, math.inf])
    said = training.runs_say({"ill": lost, "well": HEALTHY})
    assert said.endswith("; ill has losses that are no numbers, from step 2 on")
    png(figures.runs({"ill": lost, "well": HEALTHY}))


def test_runs_without_a_loss():
    with pytest.raises(ValueError, match="no run has saved any"):
        figures.runs({"a": curves([])})
    assert training.runs_say({"a": curves([])}) == "No training loss was saved."


def test_validation_never_stretches_the_axis_of_training_steps():
    (axis,) = figures.losses(curves(np.linspace(4, 1, 100), *([1.0] * 2))).axes
    assert axis.get_xlim()[1] < 110


# ----------------------------------------------------------------------------- gradients, weights


def norms(layers=54, steps=(0, 15, 30)):
    random = np.random.default_rng(0)
    names = [f"layer{i // 10}.{i % 10}.conv" for i in range(layers)]
    return pd.DataFrame(10 ** random.uniform(-3, 1, (layers, len(steps))), names, list(steps))


def test_gradients_is_a_map_of_layers_and_steps():
    table = norms()
    table.iloc[3, 1], table.iloc[4, 1] = 0, np.nan
    figure = figures.gradients(table)
    (image,) = figure.axes[0].images
    drawn = image.get_array()
    assert drawn.shape == (54, 3)
    assert np.ma.masked_invalid(drawn).mask.sum() == 2  # zero and NaN stay white
    assert drawn[0, 0] == pytest.approx(table.iloc[0, 0])
    said = texts(figure)
    assert {"0", "15", "30", "training step"} <= set(said)
    assert titles(figure).startswith("Step 30: the gradients of 54 layers have norms from ")
    assert "layer0.0.conv" in said and "layer5.3.conv" in said


def test_gradients_of_one_layer_and_step_can_be_drawn():
    assert figures.gradients(norms(1, (0,))).axes


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_no_gradient_above_zero_cannot_be_drawn(value):
    with pytest.raises(ValueError, match="Was any gradient saved"):
        figures.gradients(norms() * value)


def shares(moved, head="fc", first=0):
    names = [f"layer{i}" for i in range(len(moved) - 1)] + [head or "last"]
    table = {name: np.array([-2.0, -1, 0, 1, 2]) / (i + 1) for i, name in enumerate(names)}
    spread = pd.DataFrame.from_dict(table, orient="index", columns=[5, 25, 50, 75, 95])
    return WeightShares(first, 80, spread, pd.Series(moved, names))


def test_weights_shows_the_last_steps_spread_and_how_far_each_layer_moved():
    figure = figures.weights(shares([0.5, 3.0, 4.0, 40.0]))
    spread, change = figure.axes
    assert spread.dataLim.ymax == pytest.approx(2.0)
    body, head = change.lines
    assert body.get_ydata().tolist() == [0.5, 3.0, 4.0] and head.get_ydata().tolist() == [40.0]
    assert (body.get_color(), head.get_color()) == (style.BLUE, style.ORANGE)
    said = texts(figure)
    assert {"weight at step 80", "moved since step 0, %", "head", "layer0", "fc"} <= set(said)
    assert titles(figure).strip() == "The median layer moved by 3.5%, the head by 40%"


@pytest.mark.parametrize(
    ("moved", "scale"), [([0.5, 3, 40], "log"), ([2, 3, 40], "linear"), ([0, 0, 0], "linear")]
)
def test_movements_far_apart_are_on_a_logarithmic_axis(moved, scale):
    figure = figures.weights(shares(moved))
    assert figure.axes[1].get_yscale() == scale
    png(figure)


def test_without_its_head_only_the_body_is_told():
    figure = figures.weights(shares([1.0, 2.0, np.nan], head=None))
    assert titles(figure).strip() == "The median layer moved by 1.5%"
    assert len(figure.axes[1].lines) == 1 and "head" not in texts(figure)
    assert training.weights_say(shares([1.0, np.inf])).endswith("by an amount that is no number.")


def test_weights_of_one_step_can_be_drawn():
    figure = figures.weights(shares([np.nan] * 3, first=80))
    assert "one step only (step 80)" in titles(figure)
    png(figure)


@pytest.mark.parametrize(
    ("far", "near", "answer", "said"),
    [
        (1.0, 4.0, "Yes. At step 9 ", "4 times as small"),
        (6.0, 2.0, "No. At step 9 ", "3 times as large"),
        (4.0, 3.0, "No. At step 9 ", "about as large"),
        (3.0, 4.0, "No. At step 9 ", "about as large"),
    ],
)
def test_the_order_of_the_gradients_is_told(far, near, answer, said):
    table = pd.DataFrame({9: [far, far, 9, 9, 9, 9, near, near]}, index=list("abcdefgh"))
    told = training.order_of_gradients(table)
    assert told.startswith(answer)
    assert told.endswith(f"the layers near the input get gradients that are {said}.")


def test_gradients_that_are_zero_are_told():
    table = pd.DataFrame({9: [0.0, 0.0, 1.0, 1.0]}, index=list("abcd"))
    assert "zero or lost" in training.order_of_gradients(table)
    assert training.gradients_say(table).endswith("; 2 have none.")
    assert "no layer has a gradient" in training.gradients_say(table * 0)


# ---------------------------------------------------------------------------- the rules' statistics


def means(**rows):
    return pd.DataFrame.from_dict(rows, orient="index", columns=[1, 10])


def test_vanishing_tells_how_far_the_smallest_gradient_is_from_the_threshold():
    figure = figures.vanishing(means(conv=[1e-3, 1e-5], fc=[1e-2, 1e-2]), 1e-7)
    assert titles(figure) == "The smallest mean is 1e-05 (conv, step 10): 100 times the threshold"
    assert "threshold 1e-07" in texts(figure)
    said = training.vanishing_says(means(conv=[1e-3, 2.496e-4]), 1e-7)
    assert said == "The smallest mean is 0.00025 (conv, step 10): 2,500 times the threshold."
    assert training.vanishing_says(means(fc=[1, 1.449e-7]), 1e-7).endswith(
        ": 1.4 times the threshold."
    )


def test_vanishing_tells_which_gradients_lie_below():
    figure = figures.vanishing(means(conv=[1e-3, 0.0], bn=[1e-3, 1e-9], fc=[1e-2, np.nan]), 1e-7)
    said = "2 of 3 gradients lie below the threshold at some step, the first at step 10"
    assert titles(figure) == said
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [len(line.get_xdata()) for line in crosses] == [0, 1]  # zeros have a place, too
    assert training.vanishing_says(means(fc=[np.nan, np.nan]), 1e-7) == "No gradient is a number."


def test_falling_tells_whether_all_comparisons_reach_the_threshold():
    fell = pd.Series([30.0, 12.0], [22, 44])
    assert titles(figures.falling(fell, 0.1)).startswith("In each of 2 comparisons the loss fell")
    one = "In the only comparison the loss fell by 30 %."
    assert training.falling_says(fell[:1], 0.1) == one
    assert training.falling_says(fell / 4, 0.1).endswith("the loss fell by at least 3 %.")
    assert overlapping(figures.falling(fell, 0.1)) == []
    flat = pd.Series([30.0, 0.05], [22, 44])
    assert training.falling_says(flat, 0.1).endswith("by 0.1 %: at step 44 it fell by 0.05 %.")
    rose = pd.Series([-2000.0, math.nan], [22, 44])
    assert training.falling_says(rose, 0.1).endswith("at step 22 it rose by 2,000 %.")
    rose_little = pd.Series([30.0, -0.3], [22, 44])
    assert training.falling_says(rose_little, 0.1).endswith("at step 44 it rose by 0.3 %.")
    png(figures.falling(rose, 0.1))
    assert training.falling_says(rose[1:], 0.1).endswith("at step 44 it is no number.")
    assert "Nothing was compared" in titles(figures.falling(fell[:0], 0.1))


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ([-0.4, -0.1], "2: the validation loss is 10% below the training loss; the "
         "rule's threshold is 50% above it."),
        ([0.6, 0.1], "1: the validation loss is 60% above the training loss; the "
         "rule's threshold is 50% above it, in 2 passes in a row."),
        ([0.6, 0.7], "2: the validation loss is 70% above the training loss; the "
         "rule's threshold is 50% above it, crossed in 2 passes in a row."),
    ],
)  # fmt: skip
def test_overfitting_tells_the_largest_ratio_and_the_patience(ratios, said):
    series = pd.Series(ratios, [1, 2])
    assert training.overfitting_says(series, 0.5, 2) == f"Highest in pass {said}"
    assert figures.overfitting(series, 0.5, 2).axes


def test_overfitting_without_a_pass():
    assert "Nothing was compared" in titles(figures.overfitting(pd.Series(dtype=float), 0.5, 2))


def test_titles_fit_a_phone():
    for figure in (figures.losses(FELL), figures.runs({"a" * 20: FELL, "b" * 20: HEALTHY})):
        lines = figure.axes[0].get_title(loc="left").splitlines()
        assert max(map(len, lines)) <= 68
