"""The course's style of figures: colours, sizes, and closing what was drawn.

Figures are closed because Jupyter would otherwise show them twice: as the value of the cell and as
an open figure. The colours are Okabe and Ito's (2008), which colour-blind readers tell apart.
"""

from collections.abc import Callable
from functools import wraps

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image, ImageFilter

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
AMBER, SKY = "#E69F00", "#56B4E9"


INK, QUIET, FAINT = "#333333", "#8A8A8A", "#DDDDDD"


NETWORK_COLOURS = {
    "resnet50": BLUE,
    "vgg16": PURPLE,
    "efficientnet_lite0": GREEN,
    "resnet18": ORANGE,
}
SPLIT_COLOURS = {"train": BLUE, "valid": ORANGE, "test": GREEN}


DPI = 80
_ROUNDED = [min(255, 8 * round(value / 8)) for value in range(256)]  # 5 bits of a channel's 8


STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#EEEEEE",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def in_style(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the course's style, and close what was drawn."""

    @wraps(draw)
    def styled(*args, **kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            plt.close(figure)
            return figure

    return styled


def fitted(photo: Image.Image, wide: int, high: int) -> Image.Image:
    """The whole photo in a box of pixels, without its grain, which would triple the PNG."""
    small = photo.copy()
    small.thumbnail((2 * wide, 2 * high), Image.Resampling.BOX)
    small = small.filter(ImageFilter.MedianFilter(3))
    small.thumbnail((wide, high), Image.Resampling.LANCZOS)
    return small.point(_ROUNDED * 3)


def rounded(value: float) -> str:
    """A number of times or of percent: two digits below 10, none after the point from 10 on."""
    return f"{value:,.0f}" if abs(value) >= 9.95 else f"{value:.2g}"


def short(text: str, length: int) -> str:
    """The text, cut to at most `length` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
