"""`course/figures/comparison.py`: what each figure shows, and what its title says of the run."""

import io

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from course import figures
from course.figures import style
from course.predictions import SHOWN, Share
from tests.support.drawn import texts
from tests.support.tiny_photos import draw


def title(axis):
    return axis.get_title(loc="left")


# -------------------------------------------------------------------------------------- accuracies


def test_an_accuracy_stands_beside_guessing_with_its_interval():
    rows = {"most likely breed": Share(90, 100), "among the 5 most likely": Share(98, 100)}
    figure = figures.accuracies(rows, (0.01, 0.05))
    (axis,) = figure.axes
    assert title(axis) == "90.0% of 100 photos: 90 times as good as guessing (1.00%)"
    assert {"90.0%", "98.0%", "guessing"} <= set(texts(figure))
    guesses = [line.get_xdata()[0] for line in axis.lines if line.get_linestyle() == "--"]
    assert guesses == pytest.approx([1, 5])
    low, high = axis.lines[0].get_xdata()
    assert (low, high) == pytest.approx((82.6, 94.5), abs=0.1)


@pytest.mark.parametrize(
    ("right", "said"), [(3, "not told apart from guessing"), (0, "worse than guessing")]
)
def test_a_network_that_learned_nothing_is_called_so(right, said):
    figure = figures.accuracies({"x": Share(right, 100)}, 0.02 if right else 0.5)
    assert said in title(figure.axes[0])


def test_of_several_the_title_names_the_best_and_what_noise_hides():
    rows = {"A": Share(80, 100), "B": Share(82, 100), "C": Share(10, 100)}
    said = title(figures.accuracies(rows, 0.01).axes[0])
    assert said == "Highest: B, 82.0%; not told apart from it: A"
    rows = {"A": Share(8, 100), "B": Share(82, 100)}
    assert title(figures.accuracies(rows, 0.01).axes[0]) == "Highest: B, 82.0%"


def test_runs_have_the_colours_of_their_curves_and_networks_their_own():
    rows = {"one": Share(1, 2), "other": Share(1, 2), "vgg16 (random)": Share(1, 2)}
    (axis,) = figures.accuracies(rows, 0.1).axes
    found = [line.get_color() for line in axis.lines if line.get_marker() == "o"]
    assert found == [style.GREEN, style.ORANGE, style.NETWORK_COLOURS["vgg16"]]


def test_no_accuracy_cannot_be_drawn():
    with pytest.raises(ValueError, match="no accuracy"):
        figures.accuracies({}, 0.1)


# ------------------------------------------------------------------------------------ side by side


def test_each_breed_has_a_row_under_its_title():
    rows = {"One, taken for two": [draw((200, 0, 0))] * 2, "Two": [draw((0, 0, 200))] * SHOWN}
    figure = figures.side_by_side(rows)
    assert [title(axis) for axis in figure.axes] == ["One, taken for two", "", "", "Two", "", ""]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 0, 1, 1, 1]


# -------------------------------------------------------------------------------------- comparison


def networks():
    return pd.DataFrame(
        {
            "right": [440, 30, 10],
            "photos": 532,
            "seconds": [18, 25, 60],
            "megabytes": [14.4, 94, 537],
        },
        index=["efficientnet_lite0 (imagenet)", "resnet50 (random)", "vgg16 (random)"],
    )


def test_networks_of_which_one_is_pretrained_have_no_accuracies():
    seconds, megabytes = (figure := figures.comparison(networks())).axes
    assert (title(seconds), title(megabytes)) == ("whole job, seconds", "model.tar.gz, MB")
    assert {"18", "537", "resnet50 (random)"} <= set(texts(figure))
    assert not any("%" in text for text in texts(figure))
    colours = [style.NETWORK_COLOURS[name] for name in ("efficientnet_lite0", "resnet50", "vgg16")]
    for axis in (seconds, megabytes):
        trained, *others = axis.patches
        assert to_hex(trained.get_facecolor()).upper() == colours[0].upper()
        assert [to_hex(bar.get_edgecolor()).upper() for bar in others] == colours[1:]
        assert {bar.get_hatch() for bar in others} == {"////"} and not trained.get_hatch()


def started(weights):
    rows = networks()
    words = {"i": "imagenet", "r": "random"}
    names = (name.partition(" ")[0] for name in rows.index)
    rows.index = [f"{name} ({words[w]})" for name, w in zip(names, weights, strict=True)]
    return rows


@pytest.mark.parametrize(
    ("weights", "shown", "said"),
    [
        ("iri", 2, "Highest: efficientnet_lite0 (imagenet), 82.7%; not told apart from it: vgg16 "
         "(imagenet)"),
        ("iii", 3, "Highest: efficientnet_lite0 (imagenet), 82.7%; not told apart from it: vgg16 "
         "(imagenet)"),
        ("rii", 2, "Highest: vgg16 (imagenet), 82.0%"),
        ("rrr", 0, None),
    ],
)  # fmt: skip
def test_accuracies_are_those_of_pretrained_networks(weights, shown, said):
    rows = started(weights)
    rows["right"] = [440, 30, 436]
    first, *others = figures.comparison(rows).axes
    assert len(others) == (2 if shown else 1)
    if shown:
        assert title(first).split() == said.split()
        assert max(map(len, title(first).splitlines())) <= 60
        points = [line for line in first.lines if line.get_marker() == "o"]
        named = [each for each in rows.index if each.endswith("(imagenet)")]
        assert [tick.get_text() for tick in first.get_yticklabels()] == named
        assert len(points) == shown


def test_comparison_says_which_column_is_missing():
    with pytest.raises(ValueError, match="missing: seconds"):
        figures.comparison(pd.DataFrame({"right": [1], "photos": [1], "megabytes": [1]}))
    with pytest.raises(ValueError, match="missing: the rows"):
        figures.comparison(networks().iloc[:0])


# ------------------------------------------------------------------------------------------- parts


def profiled():
    columns = ["waiting for data", "to the device", "forward", "backward", "optimizer", "other"]
    rows = {"0 workers": [60.0, 0.1, 10, 20, 5, 5], "2 workers": [1.0, 0.1, 10, 20, 5, 4]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def test_parts_are_stacked_and_what_is_too_thin_is_left_out():
    figure = figures.parts(profiled())
    bars = figure.axes[0].containers
    assert [bar.get_label() for bar in bars] == [
        "waiting for data", "forward", "backward", "optimizer", "other",
    ]  # fmt: skip
    starts = [[bar.get_x() for bar in container] for container in bars]
    widths = [[bar.get_width() for bar in container] for container in bars]
    assert starts == [[0, 0], [60, 1], [70, 11], [90, 31], [95, 36]]
    assert widths[0] == [60, 1]
    assert to_hex(bars[0][0].get_facecolor()) == style.ORANGE.lower()
    assert {"100 ms", "40.1 ms", "0 workers", "2 workers"} <= set(texts(figure))
    said = "Share of a step that waits for data: 0 workers: 60%, 2 workers: 2.5%"
    assert title(figure.axes[0]) == said


def test_no_profiled_run_cannot_be_drawn():
    with pytest.raises(ValueError, match="no profiled run"):
        figures.parts(pd.DataFrame())


# --------------------------------------------------------------------------------------- all alike


def test_every_figure_is_white_small_and_no_wider_than_can_be_read_on_a_phone():
    photos = [draw((200, 0, 0))] * SHOWN
    for figure in (
        figures.accuracies({"a": Share(1, 2)}, 0.5),
        figures.side_by_side({"One": photos, "Two": photos}),
        figures.comparison(networks()),
        figures.parts(profiled()),
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        picture = Image.open(buffer).convert("RGB")
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert picture.width <= 620 and len(buffer.getvalue()) < 120_000
