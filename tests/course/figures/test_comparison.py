"""`course/figures/comparison.py`: what each figure shows, and what its title says of the run."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from course import figures
from course.figures import style
from course.predictions import OTHERS, SHOWN, Share
from tests.support.drawn import texts
from tests.support.tiny_photos import draw


def title(axis):
    return axis.get_title(loc="left")


# -------------------------------------------------------------------------------------- accuracies


def test_an_accuracy_stands_beside_guessing_with_its_interval():
    rows = {"most likely breed": Share(90, 100), "among the 5 most likely": Share(98, 100)}
    figure = figures.accuracies(rows, (0.01, 0.05))
    (axis,) = figure.axes
    assert title(axis) == "90.0% of 100 photos: 90 times as good as guessing (1.0%)"
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


# --------------------------------------------------------------------------------------- confusion


def matrix():
    return pd.DataFrame([[3, 1, 0], [2, 0, 2]], ["Boxer", "Pug"], ["Boxer", "Pug", OTHERS])


def test_the_matrix_has_numbers_names_and_the_right_ones_in_its_title():
    figure = figures.confusion(matrix())
    (axis,) = figure.axes
    assert title(axis) == "3 of these 8 photos are right (blue)"
    for held, said in ((5, "5 of the table's 8 pairs"), (8, "all of the table's 8 pairs")):
        table = matrix()
        table.attrs["pairs"] = (held, 8)
        assert title(figures.confusion(table).axes[0]).endswith(f"\nThis part holds {said}")
    assert [text.get_text() for text in axis.texts] == ["3", "1", "2", "2"]
    assert {"Boxer", "Pug", OTHERS, "answer of the network"} <= set(texts(figure))
    right, wrong = (np.ma.getmaskarray(image.get_array()) for image in axis.images)
    assert (~right).sum() == 1 and (~wrong).sum() == 3


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


def test_comparison_has_three_panels_and_each_network_its_colour():
    figure = figures.comparison(networks())
    accuracy, seconds, megabytes = figure.axes
    said = "Only accuracies from ImageNet's weights compare: efficientnet_lite0, 82.7%"
    assert " ".join(title(accuracy).split()) == said
    assert max(map(len, title(accuracy).splitlines())) <= 60
    assert (title(seconds), title(megabytes)) == ("training, seconds", "model, MB")
    assert {"82.7%", "5.6%", "18", "537", "resnet50 (random)"} <= set(texts(figure))
    colours = [style.NETWORK_COLOURS[name] for name in ("efficientnet_lite0", "resnet50", "vgg16")]
    for axis in (seconds, megabytes):
        trained, *others = axis.patches
        assert to_hex(trained.get_facecolor()).upper() == colours[0].upper()
        assert [to_hex(bar.get_edgecolor()).upper() for bar in others] == colours[1:]
        assert {bar.get_hatch() for bar in others} == {"////"} and not trained.get_hatch()
    points = [line for line in accuracy.lines if line.get_marker() == "o"]
    inside = [to_hex(point.get_markerfacecolor()).upper() for point in points]
    assert inside == [colours[0], "#FFFFFF", "#FFFFFF"]


def test_a_random_network_wins_against_no_pretrained_one():
    rows = networks()
    rows["right"] = [10, 30, 440]
    said = title(figures.comparison(rows).axes[0])
    assert said.endswith("efficientnet_lite0, 1.9%") and "vgg16" not in said


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("iri", "Only accuracies from ImageNet's weights compare: efficientnet_lite0, 82.7%; not "
         "told apart from it: vgg16"),
        ("iii", "Highest: efficientnet_lite0 (imagenet), 82.7%; not told apart from it: vgg16 "
         "(imagenet)"),
        ("rrr", "No network is pretrained. Highest: efficientnet_lite0 (random), 82.7%; not told "
         "apart from it: vgg16 (random)"),
    ],
)  # fmt: skip
def test_the_best_is_named_among_those_that_start_alike(weights, said):
    rows = networks()
    rows["right"] = [440, 30, 436]
    words = {"i": "imagenet", "r": "random"}
    names = (name.partition(" ")[0] for name in rows.index)
    rows.index = [f"{name} ({words[w]})" for name, w in zip(names, weights, strict=True)]
    assert title(figures.comparison(rows).axes[0]).split() == said.split()


def test_comparison_says_which_column_is_missing():
    with pytest.raises(ValueError, match="missing: seconds"):
        figures.comparison(pd.DataFrame({"right": [1], "photos": [1], "megabytes": [1]}))
    with pytest.raises(ValueError, match="missing: the rows"):
        figures.comparison(networks().iloc[:0])


# ------------------------------------------------------------------------------------------- parts


def profiled():
    columns = ["waiting for data", "to the device", "forward", "backward", "optimiser", "other"]
    rows = {"0 workers": [60.0, 0.1, 10, 20, 5, 5], "2 workers": [1.0, 0.1, 10, 20, 5, 4]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def test_parts_are_stacked_and_what_is_too_thin_is_left_out():
    figure = figures.parts(profiled())
    bars = figure.axes[0].containers
    assert [bar.get_label() for bar in bars] == [
        "waiting for data", "forward", "backward", "optimiser", "other",
    ]  # fmt: skip
    starts = [[bar.get_x() for bar in container] for container in bars]
    widths = [[bar.get_width() for bar in container] for container in bars]
    assert starts == [[0, 0], [60, 1], [70, 11], [90, 31], [95, 36]]
    assert widths[0] == [60, 1]
    assert to_hex(bars[0][0].get_facecolor()) == style.ORANGE.lower()
    assert {"100 ms", "40 ms", "0 workers", "2 workers"} <= set(texts(figure))
    said = "Share of a step that waits for data: 0 workers: 60%, 2 workers: 2%"
    assert title(figure.axes[0]) == said


def test_no_profiled_run_cannot_be_drawn():
    with pytest.raises(ValueError, match="no profiled run"):
        figures.parts(pd.DataFrame())


# --------------------------------------------------------------------------------------- all alike


def test_every_figure_is_white_small_and_no_wider_than_can_be_read_on_a_phone():
    photos = [draw((200, 0, 0))] * SHOWN
    for figure in (
        figures.accuracies({"a": Share(1, 2)}, 0.5),
        figures.confusion(matrix()),
        figures.side_by_side({"One": photos, "Two": photos}),
        figures.comparison(networks()),
        figures.parts(profiled()),
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        picture = Image.open(buffer).convert("RGB")
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert picture.width <= 620 and len(buffer.getvalue()) < 120_000
