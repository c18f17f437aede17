"""What runs where: the one picture of the course that is drawn and not taken from a run.

Instance types and images are those that the workspace asks for, so the picture cannot grow old.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course import images
from course.figures.style import BLUE, INK, ORANGE, QUIET, STYLE
from course.workspace import ENDPOINT_INSTANCE, TRAINING_INSTANCES

PALE = {BLUE: "#E3F0F7", ORANGE: "#FBE9E0", QUIET: "#F3F3F3"}
LEFT, RIGHT, WIDTH = 1.55, 5.55, 3.7  # of the two columns, in inches
TOP, STEP, HIGH = 3.05, 0.62, 0.5  # of the rows


def rows() -> list[tuple[str, str, str]]:
    """What it is, where it is on AWS, and where it is on this machine."""
    training = images.TRAINING["gpu"].partition("-amzn")[0]
    inference = images.INFERENCE["cpu"].partition("-ubuntu")[0]
    return [
        ("API", "your account, signed by your keys", "local_sagemaker on 127.0.0.1"),
        ("photos, models", "a bucket in S3", "the same bucket, as files in a folder"),
        (
            "training, tuning\ntrain.py",
            f"{training}\non {TRAINING_INSTANCES['gpu']}",
            "processes with an /opt/ml of their own,\ntwo jobs at a time",
        ),
        (
            "endpoint\ninference.py",
            f"{inference}\non {ENDPOINT_INSTANCE}",
            "a server process with\nAWS's own toolkit",
        ),
        ("logs, metrics", "CloudWatch", "the same, in one SQLite file"),
    ]


def architecture() -> Figure:
    """The notebook on top, one stream of requests, and the two places that answer them."""
    with plt.rc_context(STYLE | {"figure.constrained_layout.use": False, "font.size": 9}):
        figure = plt.figure(figsize=(9.5, 4.5))
        axis = figure.add_axes((0, 0, 1, 1), xlim=(0, 9.5), ylim=(0.4, 4.9), aspect="equal")
        axis.axis("off")
        _box(axis, LEFT, 4.25, RIGHT + WIDTH - LEFT, 0.5, "", QUIET)
        text = "four notebooks  ·  sagemaker SDK 3, boto3  ·  the same cells, the same requests"
        axis.text((LEFT + RIGHT + WIDTH) / 2, 4.5, text, ha="center", va="center", weight="bold")
        _column(axis, LEFT, "COURSE_MODE=aws", ORANGE)
        _column(axis, RIGHT, "COURSE_MODE=local", BLUE)
        for number, (what, there, here) in enumerate(rows()):
            y = TOP - number * STEP
            axis.text(LEFT - 0.15, y + HIGH / 2, what, ha="right", va="center", color=INK)
            _box(axis, LEFT, y, WIDTH, HIGH, there, ORANGE)
            _box(axis, RIGHT, y, WIDTH, HIGH, here, BLUE)
        plt.close(figure)
        return figure


def _box(axis: Axes, x: float, y: float, wide: float, high: float, text: str, colour: str) -> None:
    style = "round,pad=0,rounding_size=0.06"
    face = PALE[colour]
    axis.add_patch(
        FancyBboxPatch((x, y), wide, high, boxstyle=style, facecolor=face, edgecolor=colour)
    )
    axis.text(x + wide / 2, y + high / 2, text, ha="center", va="center", color=INK)


def _column(axis: Axes, x: float, name: str, colour: str) -> None:
    """The column's name beside the arrow that comes down from the notebook."""
    middle = x + WIDTH / 2
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 2}
    axis.annotate("", (middle, TOP + HIGH), (middle, 4.25), arrowprops=arrow)
    axis.text(middle + 0.15, 3.9, name, va="center", color=colour, weight="bold")
