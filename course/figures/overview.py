"""What the course does and where each part of it runs: the one figure that is not taken from a run.

The instance types are those that the workspace asks for, so the figure cannot grow old.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course.figures.style import BLUE, INK, ORANGE, QUIET, in_style
from course.workspace import ENDPOINT_INSTANCE, TRAINING_INSTANCES

PALE = {BLUE: "#E3F0F7", ORANGE: "#FBE9E0", QUIET: "#F3F3F3"}
WIDTH = 6.0  # inches
COLUMNS = {"part": (0.05, 1.55), "local": (1.8, 2.0), "aws": (3.95, 2.0)}  # left edge, width
TOP, STEP, HIGH = 4.35, 1.0, 0.6  # of the rows, in inches


def parts() -> list[tuple[str, str, str, str]]:
    """Each part, what happens next, and where the part is on AWS and in local mode."""
    return [
        (
            "notebook",
            "upload photos (01)",
            "SageMaker Studio\nor your computer",
            "your computer\nor SageMaker Studio",
        ),
        ("bucket", "read channels (02, 03)", "Amazon S3", "a folder of files"),
        (
            "training job\ntrain.py",
            "save the model (02, 03)",
            f"a container on\n{TRAINING_INSTANCES['gpu']} (GPU)",
            "a process,\ntwo jobs at a time",
        ),
        ("model\nmodel.tar.gz", "deploy (04)", "Amazon S3", "the same folder"),
        (
            "endpoint\ninference.py",
            "",
            f"a container on\n{ENDPOINT_INSTANCE}",
            "a server process",
        ),
    ]


@in_style
def workflow() -> Figure:
    """Notebook, bucket, training job, model and endpoint, and where each is in both modes."""
    rows = parts()
    high = TOP + HIGH + 0.55
    figure = plt.figure(figsize=(WIDTH, high), layout="none")
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, high), aspect="equal")
    axis.axis("off")
    for name, (title, colour) in {
        "aws": ("COURSE_MODE=aws", ORANGE),
        "local": ("COURSE_MODE=local", BLUE),
    }.items():
        left, wide = COLUMNS[name]
        head = high - 0.25
        axis.text(
            left + wide / 2, head, title, ha="center", va="center", color=colour, weight="bold"
        )
    for number, (part, action, there, here) in enumerate(rows):
        y = TOP - number * STEP
        _box(axis, "part", y, part, QUIET)
        _box(axis, "aws", y, there, ORANGE)
        _box(axis, "local", y, here, BLUE)
        if action:
            _arrow(axis, y, action)
    return figure


def _box(axis: Axes, column: str, y: float, text: str, colour: str) -> None:
    left, wide = COLUMNS[column]
    style = "round,pad=0,rounding_size=0.06"
    axis.add_patch(
        FancyBboxPatch(
            (left, y), wide, HIGH, boxstyle=style, facecolor=PALE[colour], edgecolor=colour
        )
    )
    weight = "bold" if column == "part" else "normal"
    axis.text(
        left + wide / 2, y + HIGH / 2, text, ha="center", va="center", color=INK, weight=weight
    )


def _arrow(axis: Axes, y: float, text: str) -> None:
    """From a part down to the next one, with what happens beside it."""
    x = COLUMNS["part"][0] + 0.3
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", (x, y - STEP + HIGH), (x, y), arrowprops=arrow)
    axis.text(x + 0.15, y - (STEP - HIGH) / 2, text, va="center", color=INK, fontsize=9)
