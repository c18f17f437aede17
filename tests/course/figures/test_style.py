"""The figures: what each shows, and that none is shown twice or grows large."""

import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from course import figures
from course.sample_photos import sample
from tests.support.drawn import png, prediction


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("set") / "set", classes=12, per_class=(2, 1, 1))


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


# ---------------------------------------------------------------------------------------- all alike


def test_every_figure_is_white_and_small(photos, jobs):
    steps = np.arange(200)
    images = [sample.draw_breed(name, 1) for name in ("Beagle", "Poodle", "Komondor", "Boxer")]
    for figure in (
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
