"""The figures: what each shows, and that none is shown twice or grows large."""

import io
from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from course import dataset, figures
from course.figures import style
from course.sample_photos import breeds, sample


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("set") / "set", classes=12, per_class=(2, 1, 1))


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


def report(classes):
    counts = {split: {name: i + 1 for i, name in enumerate(classes)} for split in dataset.SPLITS}
    return dataset.Report("data", list(classes), counts, (1, 1), (1, 1), (1, 1), 0)


def prediction(*probabilities, first="016.Beagle"):
    names = [first, "Poodle", "Komondor", "Greyhound", "Boxer", "Pug"]
    return [
        {"breed": name, "probability": p} for name, p in zip(names, probabilities, strict=False)
    ]


@pytest.fixture
def jobs():
    return pd.DataFrame(
        {
            "lr": [1e-5, 1e-4, 1e-3, 1e-2],
            "batch-size": [16.0, 32.0, 64.0, 32.0],
            "model": ["vgg16", "resnet50", "resnet50", "vgg16"],
            "TrainingJobName": list("abcd"),
            "TrainingJobStatus": ["Completed", "Completed", "Completed", "Stopped"],
            "FinalObjectiveValue": [0.4, 0.7, 0.6, 0.9],
            "TrainingElapsedTimeSeconds": [9.0, 8.0, 7.0, 6.0],
        }
    )


# ------------------------------------------------------------------------------------------ gallery


def test_gallery_shows_one_named_photo_a_breed(photos):
    figure = figures.gallery(photos)
    assert len(figure.axes) == 12
    assert all(len(axis.images) == 1 for axis in figure.axes)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:3] == ["Beagle", "Border collie", "Dachshund"]
    assert len({axis.get_position().x0 > 0.8 for axis in figure.axes}) == 2  # several columns


def test_gallery_is_the_same_for_a_seed_and_spreads_over_the_breeds(photos):
    assert png(figures.gallery(photos, seed=1)) == png(figures.gallery(photos, seed=1))
    titles = [axis.get_title() for axis in figures.gallery(photos, classes=3).axes]
    assert titles[0] == "Beagle"
    assert titles[-1] == "Saint bernard"
    assert len(titles) == 3


def test_gallery_passes_over_a_damaged_photo(photos, tmp_path):
    for name in ("016.Beagle", "124.Poodle"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.jpg").write_bytes(b"no photo")
    good = next((photos / "train" / "124.Poodle").iterdir())
    (tmp_path / "train" / "124.Poodle" / "2.jpg").write_bytes(good.read_bytes())
    beagle, poodle = figures.gallery(tmp_path).axes
    assert np.asarray(beagle.images[0].get_array()).std() == 0
    assert np.asarray(poodle.images[0].get_array()).std() > 10


def test_gallery_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train has no class folders to show"):
        figures.gallery(tmp_path)


# ------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(("classes", "panels"), [(12, 1), (133, 3)])
def test_counts_has_a_bar_for_each_class_and_split(classes, panels):
    names = [f"{i:03d}.Breed_{i}" for i in range(1, classes + 1)]
    figure = figures.counts(report(names))
    assert len(figure.axes) == panels
    assert sum(len(axis.patches) for axis in figure.axes) == 3 * classes
    labels = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]
    assert labels == [f"Breed {i}" for i in range(1, classes + 1)]
    total = classes * (classes + 1) // 2
    assert f"train {total:,}" in texts(figure)


def test_count_labels_do_not_overlap_with_133_breeds():
    names = [f"{i:03d}.Breed_{i}" for i in range(1, 134)]
    figure = figures.counts(report(names))
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 >= b.y1 - 1.5 for a, b in pairwise(boxes))


# ------------------------------------------------------------------------------------------- losses


def test_losses_marks_the_lowest_validation_loss_and_names_the_curves():
    steps = np.arange(100)
    curves = {"train": (steps, 2 - steps / 100), "valid": ([30, 60, 90], [1.5, 0.75, 0.9])}
    figure = figures.losses(curves)
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "loss")
    assert "lowest 0.75, step 60" in texts(figure)
    assert {"train", "validation"} <= set(texts(figure))
    ring = [line for line in axis.lines if line.get_fillstyle() == "none"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in ring] == [(60, 0.75)]


def test_the_training_curve_is_smoothed_over_its_raw_points():
    noisy = np.tile([1.0, 3.0], 50)
    (axis,) = figures.losses({"train": (np.arange(100), noisy)}).axes
    raw, smooth = axis.lines
    assert raw.get_alpha() < 0.5
    assert raw.get_ydata().std() == 1
    assert smooth.get_ydata()[20:].std() < 0.3


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


@pytest.mark.parametrize(("lowest", "side"), [(1.4, "top"), (0.1, "bottom")])
def test_losses_writes_below_the_lowest_point_where_there_is_room(lowest, side):
    curves = {"train": ([1, 2, 3], [2.5, 2.0, 1.8]), "valid": ([1, 3], [2.0, lowest])}
    (note,) = [t for t in figures.losses(curves).axes[0].texts if "lowest" in t.get_text()]
    assert note.get_va() == side


# ---------------------------------------------------------------------------------------- all alike


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
    assert "layer0.0.conv" in said and "layer5.3.conv" in said


def test_gradients_of_one_layer_and_step_can_be_drawn():
    assert figures.gradients(norms(1, (0,))).axes


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_no_gradient_above_zero_cannot_be_drawn(value):
    with pytest.raises(ValueError, match="Was any gradient saved"):
        figures.gradients(norms() * value)


def shares(layers, scale):
    table = {f"layer{i}": np.array([-2, -1, 0, 1, 2]) * scale / (i + 1) for i in range(layers)}
    return pd.DataFrame.from_dict(table, orient="index", columns=[5, 25, 50, 75, 95])


def test_weights_shows_the_last_steps_spread_and_its_change():
    figure = figures.weights({80: shares(9, 2.0), 0: shares(9, 1.0)})
    spread, change = figure.axes
    assert spread.dataLim.ymax == pytest.approx(4.0)  # of step 80
    assert [bar.get_height() for bar in change.patches] == pytest.approx([100.0] * 9)
    assert to_hex(change.patches[0].get_facecolor()).upper() == style.ORANGE
    said = texts(figure)
    assert any("step 80" in text for text in said) and any("since step 0" in text for text in said)
    assert "layer0" in said and "layer8" in said


def test_a_layer_that_narrows_is_blue_and_one_without_width_has_no_bar():
    before, after = shares(2, 1.0), shares(2, 0.5)
    before.loc["layer1"] = 0.0
    first, second = figures.weights({0: before, 9: after}).axes[1].patches
    assert first.get_height() == pytest.approx(-50.0)
    assert to_hex(first.get_facecolor()).upper() == style.BLUE
    assert second.get_height() == 0


def test_weights_of_one_step_can_be_drawn():
    assert figures.weights({0: shares(1, 1.0)}).axes[1].patches[0].get_height() == 0


def test_no_weights_cannot_be_drawn():
    with pytest.raises(ValueError, match="Were any saved"):
        figures.weights({})


def test_every_figure_is_white_and_small(photos, jobs):
    steps = np.arange(200)
    images = [sample.draw_breed(name, 1) for name in ("Beagle", "Poodle", "Komondor", "Boxer")]
    for figure in (
        figures.gallery(photos),
        figures.counts(report([breed.folder for breed in breeds.BREEDS.values()])),
        figures.losses({"train": (steps, np.exp(-steps / 50)), "valid": (steps, steps / 200)}),
        figures.search(jobs),
        figures.answers(images, [prediction(0.6, 0.2, 0.1, 0.05, 0.05)] * 4),
    ):
        data = png(figure)
        assert len(data) < 120_000
        assert Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_the_style_stays_inside_the_figures():
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # an earlier test may have leaked the style already
        before = dict(plt.rcParams)
        figures.losses({"train": ([1, 2], [2.0, 1.0])})
        assert dict(plt.rcParams) == before
