"""What an endpoint answered, how long it took, and how sure it was."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from course import figures
from course.figures import serving, style
from course.sample_photos import sample
from tests.support.drawn import png, prediction, texts

# ------------------------------------------------------------------------------------------ answers


def bars(axis):
    """Breed's colour and length of each filled bar, from the top."""
    drawn = [patch for patch in axis.patches if patch.get_facecolor()[3]]
    return [(to_hex(patch.get_facecolor()).upper(), round(patch.get_width(), 3)) for patch in drawn]


def test_answers_shows_five_bars_the_likeliest_first():
    answer = prediction(0.05, 0.5, 0.2, 0.1, 0.1, 0.05)
    figure = figures.answers([Image.new("RGB", (80, 60), "tan")], [answer])
    photo, chart = figure.axes
    assert len(photo.images) == 1
    assert [length for _, length in bars(chart)] == [0.5, 0.2, 0.1, 0.1, 0.05]
    assert [t for t in texts(figure) if t.endswith("%")] == ["50%", "20%", "10%", "10%", "5%"]


def test_answers_colours_right_and_wrong():
    image = Image.new("RGB", (80, 60), "tan")
    answer = prediction(0.7, 0.3)
    figure = figures.answers([image, image], [answer, answer], ["Beagle", "124.Poodle"])
    right, wrong = figure.axes[1], figure.axes[3]
    assert [colour for colour, _ in bars(right)] == [style.GREEN, style.FAINT]
    assert [colour for colour, _ in bars(wrong)] == [style.ORANGE, style.GREEN]
    assert "Poodle" in [axis.get_title(loc="center") for axis in figure.axes]


def test_answers_opens_paths(tmp_path):
    file = tmp_path / "dog.jpg"
    sample.draw_breed("Beagle", 1).save(file)
    assert len(figures.answers([file], [prediction(1.0)]).axes[0].images) == 1


def test_answers_of_unequal_lengths():
    with pytest.raises(ValueError, match="1 images, 2 predictions: give one of each"):
        figures.answers([Image.new("RGB", (9, 9))], [prediction(1.0)] * 2)
    with pytest.raises(ValueError, match="0 images"):
        figures.answers([], [])


# ------------------------------------------------------------------------------------------ latency

LATER = [10.0] * 45 + [30.0] * 5
MANY = {1: [8.0, 7.0, 9.0], 2: [11.0], 4: [17.0], 8: [29.0]}  # 5 ms and 3 ms a photo


def title(many):
    _, sizes = figures.latency(9.0, LATER, many).axes
    return sizes.get_title("left").replace("\n", " ")


def test_latency_marks_the_first_the_median_and_the_95th_percentile():
    figure = figures.latency(80.0, LATER, MANY)
    assert {"first 80 ms", "median\n10 ms", "95th percentile\n30 ms"} <= set(texts(figure))
    series, sizes = figure.axes
    assert series.get_title("left") == "The first request took 8 times the median"
    assert [line.get_ydata()[0] for line in series.lines] == [80, 10, 10, 30]
    assert series.get_xlabel() == "request of the series"
    assert sizes.get_ylabel() == "milliseconds"


def test_the_sizes_are_medians_with_their_middle_half():
    _, sizes = figures.latency(9.0, LATER, {1: [8.0, 4.0, 20.0, 10.0, 6.0], 2: [9.0]}).axes
    (container,) = sizes.containers
    assert container.lines[0].get_ydata().tolist() == [8, 9]
    (bars,) = container.lines[2]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[6, 10], [9, 9]]


def test_the_title_tells_what_a_further_photo_costs():
    assert title(MANY) == (
        "About 3.0 ms more for each further photo, about 5.0 ms for the request itself"
    )


def test_the_fixed_cost_is_no_more_exact_than_the_fit():
    many = {1: [26.0], 2: [33.0], 4: [37.0], 8: [52.0]}
    assert figures.request_costs(many) == (
        "About 3.6 ms more for each further photo, about 23.4 ms for the request itself: 87% of a "
        "request with 1 photo, 45% of one with 8 photos. The medians differ from this line by up "
        "to 2.4 ms."
    )
    assert figures.request_costs(many).startswith(title(many))
    assert title({1: [1.0], 2: [4.0]}) == "About 3.0 ms more for each further photo"
    assert figures.request_costs({1: [10.0], 2: [12.0]}) == (
        "About 2.0 ms more for each further photo, about 8.0 ms for the request itself: 80% of a "
        "request with 1 photo, 67% of one with 2 photos."
    )


def test_a_line_that_misses_by_more_than_a_photo_costs_fits_poorly():
    bent = {1: [40.0], 2: [46.0], 4: [51.0], 8: [107.0]}
    fit = serving.line(bent)
    assert fit.poor and fit.per_photo < fit.miss < serving.POOR * 107
    assert title(bent) == "A straight line fits poorly: it misses a median by 16.5 ms"
    assert "fits poorly" not in title({1: [20.0], 2: [20.3], 4: [19.8], 8: [20.2]})  # flat


def test_a_line_that_fits_poorly_claims_no_cost():
    many = {1: [10.0], 2: [40.0], 4: [20.0], 8: [60.0]}
    fit = serving.line(many)
    assert fit.poor and fit.miss == pytest.approx(24.44, abs=0.01)
    assert title(many) == "A straight line fits poorly: it misses a median by 24.4 ms"


def test_requests_that_do_not_grow():
    assert title({1: [9.0], 8: [9.0]}) == "No cost of a further photo can be measured"


def test_a_first_request_that_is_not_slow_is_not_called_slow():
    series, _ = figures.latency(9.0, LATER, MANY).axes
    assert series.get_title("left") == "The first request was no slower than the others"


def test_a_later_request_that_was_slower_is_told_in_the_title():
    series, _ = figures.latency(20.0, LATER, MANY).axes
    told = "The first request took 2 times the median; 5 of 50 later ones took longer"
    assert series.get_title("left").replace("\n", " ") == told


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (80.0, "took 80 ms, 8 times the median of the 50 timed later. "
         "None of the later ones took longer."),
        (20.0, "took 20 ms, 2 times the median of the 50 timed later. "
         "5 of the later ones took longer, at most 30 ms."),
        (10.4, "took 10 ms, about the median of the 50 timed later. "
         "5 of the later ones took longer, at most 30 ms."),
        (9.0, "took 9 ms, less than the median of the 50 timed later. "
         "50 of the later ones took longer, at most 30 ms."),
    ],
)  # fmt: skip
def test_the_first_request_is_compared_with_the_later_ones(first, text):
    assert figures.first_request(first, LATER) == f"The first request {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.71, "3.7"), (0.26, "0.3"), (99.94, "99.9"), (99.96, "100"), (1234, "1,234")],
)
def test_costs_are_rounded(value, text):
    assert serving._ms(value) == text


@pytest.mark.parametrize(
    ("later", "many"), [([], MANY), (LATER, {1: [2.0]}), (LATER, {1: [2.0], 2: []})]
)
def test_latency_needs_requests_and_two_sizes(later, many):
    with pytest.raises(ValueError, match="at least one later request"):
        figures.latency(9.0, later, many)


# -------------------------------------------------------------------------------------- no such dog


EXAMPLES = {kind: Image.new("RGB", (60, 40), kind) for kind in ("tan", "teal")}


def test_none_of_these_says_which_share_passes_the_threshold():
    figure = figures.none_of_these([0.2, 0.5, 0.9, 0.9], [0.1, 0.6], 0.5, EXAMPLES)
    dogs, others, *examples = figure.axes
    assert dogs.get_title("left") == "3 of 4 test photos pass"
    assert others.get_title("left") == "1 of 2 pictures without a dog pass"
    assert [sum(bar.get_height() for bar in axis.patches) for axis in (dogs, others)] == [4, 2]
    assert all(axis.lines[0].get_xdata()[0] == 0.5 for axis in (dogs, others))
    assert others.get_xlabel() == "probability of the most likely breed"
    assert [axis.get_title("center") for axis in examples] == ["tan", "teal"]


def test_a_picture_at_the_threshold_passes():
    assert serving.passing([0.5, 0.4], 0.5) == 0.5


@pytest.mark.parametrize(
    ("dogs", "others", "examples"), [([], [1], EXAMPLES), ([1], [], EXAMPLES), ([1], [1], {})]
)
def test_none_of_these_needs_dogs_others_and_examples(dogs, others, examples):
    with pytest.raises(ValueError, match="give some of each"):
        figures.none_of_these(dogs, others, 0.5, examples)


@pytest.mark.parametrize(
    ("probabilities", "text"),
    [
        ([0.1, 0.2, 0.1, 0.2], "4 of 4 pictures without a dog are refused. "
         "A picture of the kind 'scene' comes closest to the threshold of 0.5, with 0.2."),
        ([0.1, 0.9, 0.1, 0.2], "3 of 4 pictures without a dog are refused. "
         "The kind that passes most often is scene (1 of 2)."),
        ([0.1, 0.9, 0.5, 0.2], "2 of 4 pictures without a dog are refused. "
         "All kinds pass equally often."),
    ],
)  # fmt: skip
def test_refusals_are_told_in_words(probabilities, text):
    answers = pd.DataFrame({"kind": ["scene"] * 2 + ["noise"] * 2, "probability": probabilities})
    assert figures.refusals_say(answers, 0.5) == text


def test_two_kinds_that_pass_most():
    answers = pd.DataFrame({"kind": list("abc"), "probability": [0.9, 0.1, 0.9]})
    assert figures.refusals_say(answers, 0.5).endswith("often are a (1 of 1), c (1 of 1).")


def test_the_figures_are_white_and_small():
    rng = np.random.default_rng(0)
    for figure in (
        figures.latency(80.0, rng.uniform(8, 40, 50), MANY),
        figures.none_of_these(rng.uniform(0, 1, 200), rng.uniform(0, 1, 200), 0.3, EXAMPLES),
    ):
        data = png(figure)
        assert len(data) < 60_000
        assert Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("photos", "columns"), [(1, 1), (3, 1), (4, 2)])
def test_few_answers_stand_in_one_column(photos, columns):
    image = Image.new("RGB", (80, 60), "tan")
    figure = figures.answers([image] * photos, [prediction(0.7, 0.3)] * photos)
    lefts = {round(axis.get_position().x0, 2) for axis in figure.axes if axis.images}
    assert len(lefts) == columns
