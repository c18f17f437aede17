"""A widget while a kernel answers, a picture and a sentence afterwards.

A live widget is a view of an object in the kernel. Without the kernel nothing is left of it, so
GitHub, nbconvert and a reader would see an empty place.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

from IPython import get_ipython
from IPython.display import display
from ipywidgets import HTML, IntProgress, Layout, VBox, Widget
from matplotlib.figure import Figure

from course.figures import style
from course.widgets import strips

VIEW = "application/vnd.jupyter.widget-view+json"


class Live:
    """A line of words, and a bar if there is one, until a picture takes their place."""

    def __init__(self, bar: IntProgress | None, words: str) -> None:
        self.bar, self.words = bar, HTML(layout=Layout(margin="0"))
        parts = [self.words] if bar is None else [self.words, bar]
        if bar is not None:
            bar.layout = Layout(width="100%", height="16px", margin="0")
            bar.style.bar_color = style.BLUE
        self.box = VBox(parts, layout=Layout(max_width=f"{strips.WIDE}px", margin="4px 0"))
        self.say(words, 0)
        shown = {**view(self.box), "text/plain": words}
        self.handle = display(shown, raw=True, display_id=True) if in_jupyter() else None

    def say(self, words: str, done: int) -> None:
        """Show how it is now."""
        self.words.value = escape(words)
        if self.bar is not None:
            self.bar.value = done

    def leave(self, figure: Figure, words: str) -> None:
        """Put the picture, and in plain Python the words, where the widget was."""
        if self.handle is None:
            print(words)
        else:
            data, metadata = picture(figure, words, scale=2)
            self.handle.update(data, metadata=metadata, raw=True)
        close(self.box)


def in_jupyter() -> bool:
    """True where a front end can show a widget: not in plain Python, not in IPython's terminal."""
    return getattr(get_ipython(), "kernel", None) is not None


def view(widget: Widget) -> dict[str, Any]:
    """A widget as a part of a cell's output."""
    return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}


def close(widget: Widget) -> None:
    """Close a widget with its children, layouts and styles: closing alone leaves those behind."""
    for child in getattr(widget, "children", ()):
        close(child)
    for part in (getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, Widget):
            part.close()
    widget.close()


def picture(figure: Figure, words: str, scale: int = 1) -> tuple[dict[str, str], dict[str, Any]]:
    """A figure as a cell's output, data and metadata; `scale` pixels a point, for sharp letters."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=scale * figure.dpi, metadata={"Software": None})
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": words}
    width = round(figure.get_figwidth() * figure.dpi)
    return data, {"image/png": {"width": width}} if scale != 1 else {}
