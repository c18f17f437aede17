"""What an endpoint answered, how long it took, and how sure it was."""

import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from course import figures
from course.figures import serving, style
from course.sample_photos import sample


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    assert plt.get_fignums() == []


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def texts(figure):
    """All words of a figure."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def prediction(*probabilities, first="016.Beagle"):
    names = [first, "Poodle", "Komondor", "Greyhound", "Boxer", "Pug"]
    return [
        {"breed": name, "probability": p} for name, p in zip(names, probabilities, strict=False)
    ]


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
MANY = {1: 8.0, 2: 11.0, 4: 17.0, 8: 29.0}  # 5 ms and 3 ms a photo


def test_latency_marks_the_first_the_median_and_the_95th_percentile():
    figure = figures.latency(80.0, LATER, MANY)
    assert {"first 80 ms", "median\n10 ms", "95th percentile\n30 ms"} <= set(texts(figure))
    series, sizes = figure.axes
    assert series.get_title("left") == "The first request took 8 times the median"
    assert sizes.get_title("left") == "A request costs 5 ms, and 3 ms for each photo"
    assert [line.get_ydata()[0] for line in series.lines] == [80, 10, 10, 30]
    assert (series.get_xlabel(), sizes.get_ylabel()) == ("request", "milliseconds")


def test_a_first_request_that_is_not_slow_is_not_called_slow():
    series, _ = figures.latency(9.0, LATER, MANY).axes
    assert series.get_title("left") == "The first request was no slower than the others"


def test_a_fixed_part_below_zero_is_called_nothing():
    fixed, per_photo = serving.fixed_and_per_photo({1: 1.0, 2: 4.0})
    assert (round(fixed, 6), round(per_photo, 6)) == (-2, 3)
    _, sizes = figures.latency(9.0, LATER, {1: 1.0, 2: 4.0}).axes
    assert sizes.get_title("left") == (
        "A request costs nothing measurable, and 3 ms for each photo"
    )


@pytest.mark.parametrize(("later", "many"), [([], MANY), (LATER, {1: 2.0})])
def test_latency_needs_requests_and_two_sizes(later, many):
    with pytest.raises(ValueError, match="at least one later request"):
        figures.latency(9.0, later, many)


# -------------------------------------------------------------------------------------- no such dog


EXAMPLES = {kind: Image.new("RGB", (60, 40), kind) for kind in ("tan", "teal")}


def test_none_of_these_says_which_share_passes_the_threshold():
    figure = figures.none_of_these([0.2, 0.5, 0.9, 0.9], [0.1, 0.6], 0.5, EXAMPLES)
    dogs, others, *examples = figure.axes
    assert dogs.get_title("left") == "3 of 4 photos of dogs pass"
    assert others.get_title("left") == "1 of 2 pictures without a dog pass"
    assert [sum(bar.get_height() for bar in axis.patches) for axis in (dogs, others)] == [4, 2]
    assert all(axis.lines[0].get_xdata()[0] == 0.5 for axis in (dogs, others))
    assert others.get_xlabel() == "probability of the likeliest breed"
    assert [axis.get_title("center") for axis in examples] == ["tan", "teal"]


def test_a_picture_at_the_threshold_passes():
    assert serving.passing([0.5, 0.4], 0.5) == 0.5


@pytest.mark.parametrize(
    ("dogs", "others", "examples"), [([], [1], EXAMPLES), ([1], [], EXAMPLES), ([1], [1], {})]
)
def test_none_of_these_needs_dogs_others_and_examples(dogs, others, examples):
    with pytest.raises(ValueError, match="give some of each"):
        figures.none_of_these(dogs, others, 0.5, examples)


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
