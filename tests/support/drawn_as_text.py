"""The first cell of a lesson that a test runs: figures also tell in words what they draw.

A figure's text form becomes the marker `FIGURE` and JSON: titles, words, points and bars, so that a
test can compare what a title claims with what is drawn. It changes nothing else of a run.
"""

import json

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

MARKER = "FIGURE "


def describe(figure: Figure) -> dict:
    """The title of a figure and, of each of its axes, what is written and drawn."""
    title = figure._suptitle.get_text() if figure._suptitle else ""
    return {"title": title, "axes": [_axes(axis) for axis in figure.axes]}


def _axes(axis) -> dict:
    titles = [axis.get_title(place) for place in ("left", "center", "right")]
    return {
        "title": "".join(titles),
        "xlabel": axis.get_xlabel(),
        "ylabel": axis.get_ylabel(),
        "scale": axis.get_yscale(),
        "x": [tick.get_text() for tick in axis.get_xticklabels()],
        "y": [tick.get_text() for tick in axis.get_yticklabels()],
        "texts": [[*map(float, text.get_position()), text.get_text()] for text in axis.texts],
        "lines": [_line(line) for line in axis.get_lines()],
        "bars": [_bars(bars) for bars in axis.containers if isinstance(bars, BarContainer)],
        "points": [np.asarray(each.get_offsets(), float).tolist()
                   for each in axis.collections if isinstance(each, PathCollection)],
        "map": [each.get_array().filled(np.nan).tolist()
                for each in axis.get_images() if each.get_array().ndim == 2],
    }  # fmt: skip


def _line(line) -> dict:
    return {
        "label": line.get_label(),
        "colour": to_hex(line.get_color()),
        "style": line.get_linestyle(),
        "marker": line.get_marker(),
        "x": np.asarray(line.get_xdata(), float).tolist(),
        "y": np.asarray(line.get_ydata(), float).tolist(),
    }


def _bars(bars) -> dict:
    return {
        "label": bars.get_label(),
        "x": [bar.get_x() for bar in bars],
        "y": [bar.get_y() for bar in bars],
        "width": [bar.get_width() for bar in bars],
        "height": [bar.get_height() for bar in bars],
    }


def _say(figure, printer, cycle) -> None:
    printer.text(MARKER + json.dumps(describe(figure), default=float))


Figure._repr_pretty_ = _say  # not IPython's formatter: matplotlib forgets it when it sets itself up
