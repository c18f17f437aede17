"""Slim strips, the still pictures that progress leaves: a bar or a timeline under a line of words.

In pixels rather than on scales: all that is written on a strip is measured, and stays inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course.figures import style
from course.jobs import GOOD, State

WIDE = 480  # pixels; on a phone the letters are still legible
_DPI = 80
# A dollar in a label is a dollar.
_STYLE = {**style.STYLE, "figure.constrained_layout.use": False, "text.parse_math": False}


class Moment(NamedTuple):
    """What was seen for the first time, and how many seconds after the first question."""

    seconds: float
    state: State


def spoken_time(seconds: float) -> str:
    """Seconds as one would say them: "1.9 s", "2 min 05 s", "1 h 02 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:
        return f"{round(seconds)} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


@matplotlib.rc_context(_STYLE)
def bar(words: str, share: float, complete: bool) -> Figure:
    """A slim bar, filled to `share` (0 to 1), under a line of words."""
    figure, axis = _strip(words, 44)
    _block(axis, 0, 6, WIDE, 10, style.FAINT)
    _block(axis, 0, 6, WIDE * min(share, 1), 10, style.BLUE if complete else style.ORANGE)
    return figure


@matplotlib.rc_context(_STYLE)
def timeline(words: str, moments: Sequence[Moment], seconds: float) -> Figure:
    """What was reached when: a block a state, as wide as it lasted, and the last one at the end.

    Args:
        words: the line above.
        moments: what was seen, and when; none where the first question had no answer.
        seconds: from the first question to the end.
    """
    figure, axis = _strip(words, 76)
    ended = bool(moments) and moments[-1].state.ended
    ending = moments[-1].state.status if ended else "not watched" if moments else "no answer"
    good = ending in GOOD
    lasted = [*moments[:-1]] if ended else [*moments]
    room = WIDE - _wide(axis, ending, weight="bold") - 20 if lasted else 0
    edges = [room * moment.seconds / max(seconds, 1e-9) for moment in lasted] + [room]
    edges[0] = 0
    for i, moment in enumerate(lasted):
        shade = _tint(style.BLUE, 0.15 + 0.35 * i / max(1, len(lasted) - 1))
        _block(axis, edges[i], 22, edges[i + 1] - edges[i], 24, shade)
        _fitting(axis, edges[i], edges[i + 1], _names(moment.state))
    _block(axis, room, 22, WIDE - room, 24, style.GREEN if good else style.ORANGE)
    axis.text(room + 10, 34, ending, color="white", weight="bold", va="center_baseline")
    _clock(axis, edges, [*(moment.seconds for moment in lasted), seconds])
    return figure


def _names(state: State) -> list[str]:
    """What may stand on a block, the longest first."""
    if state.done is None or state.status != "InProgress":
        return [state.status]
    return [f"{state.done} done", f"{state.done}"]


def _strip(words: str, high: int) -> tuple[Figure, Axes]:
    """A figure with a line of words at its top, and axes in pixels, from the bottom left."""
    figure = Figure(figsize=(WIDE / _DPI, high / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDE), ylim=(0, high))
    axis.axis("off")
    size = 11 * min(1, 0.97 * WIDE / _wide(axis, words, fontsize=11))
    axis.text(0, high - 8, words, va="top", fontsize=size)
    return figure, axis


def _block(axis: Axes, x: float, y: float, wide: float, high: float, colour: Any) -> None:
    axis.add_patch(Rectangle((x, y), wide, high, facecolor=colour, edgecolor="white", linewidth=1))


def _tint(colour: str, share: float) -> tuple[float, ...]:
    """The colour, mixed with white."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def _wide(axis: Axes, words: str, **options: Any) -> float:
    """How many pixels the words take."""
    text = axis.text(0, 0, words, **options)
    width = text.get_window_extent(axis.figure.canvas.get_renderer()).width
    text.remove()
    return width


def _fitting(axis: Axes, left: float, right: float, names: Sequence[str]) -> None:
    """Write the first of the names that the block has room for, or none."""
    for name in names:
        if _wide(axis, name) + 8 <= right - left:
            axis.text(
                (left + right) / 2, 34, name, color=style.INK, ha="center", va="center_baseline"
            )
            return


def _clock(axis: Axes, edges: Sequence[float], seconds: Sequence[float]) -> None:
    """The time at each edge, where it does not run into its neighbour; the last one always."""
    last, free = len(edges) - 1, 0.0
    for i, (x, moment) in enumerate(zip(edges, seconds, strict=True)):
        words = "0 s" if last and i == 0 else spoken_time(moment)
        limit = WIDE if i == last else edges[last]
        end = x + _wide(axis, words, fontsize=9) + 8
        if i == last or (x >= free and end <= limit):
            x = min(x, WIDE - (end - 8 - x))
            axis.text(x, 16, words, color=style.INK, fontsize=9, va="top")
            free = end
