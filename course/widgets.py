"""Progress and a photo picker: alive in Jupyter, a picture wherever no kernel answers.

    track(photos, len(photos), "photos")   a bar over anything that can be iterated over
    watch(ask, "endpoint")                 asks a job or an endpoint how it is, until it has ended
    picker(choices, fetch, ask)            choose or upload a photo, see its five likeliest breeds

A live widget is a view of an object in the kernel, and nothing at all without it. So each of the
three leaves a PNG and a sentence in the notebook, which GitHub, nbconvert and a reader see.
"""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

from IPython import get_ipython
from IPython.display import display
from ipywidgets import HTML, Dropdown, FileUpload, HBox, IntProgress, Layout, VBox, Widget
from matplotlib.figure import Figure

from course import answering, dataset, figures, states, strips
from course.figures import style
from course.states import State

Item = TypeVar("Item")

VIEW = "application/vnd.jupyter.widget-view+json"


class Unsuccessful(RuntimeError):
    """What was watched has ended, and not well; the text says what, how, why and where to look."""


# -------------------------------------------------------------------------------------------- track


def track(iterable: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yield the items while a bar counts them; at the end, or at an error, a picture is left.

    Args:
        iterable: what to go through; it is asked for an item only when one is needed.
        total: how many items there are.
        label: what they are, in the plural: "photos".
    """
    begun, done, shown, complete = time.monotonic(), 0, 0.0, False
    live = _Live(IntProgress(max=max(total, 1)), f"0 of {total:,} {label}")
    try:
        for item in iterable:
            yield item
            done += 1
            if (now := time.monotonic()) - shown > 0.1:  # each update is a message
                live.say(_counted(done, total, label, now - begun), done)
                shown = now
        complete = True
    finally:
        words = _counted(done, total, label, time.monotonic() - begun)
        words += "" if complete else " · stopped"
        live.leave(strips.bar(words, done / max(total, 1), complete), words)


def _counted(done: int, total: int, label: str, seconds: float) -> str:
    rate = f" · {_significant(done / seconds)} a second" if done and seconds else ""
    return f"{done:,} of {total:,} {label} · {strips.spoken_time(seconds)}{rate}"


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


# -------------------------------------------------------------------------------------------- watch


def watch(
    ask: Callable[[], str | tuple],
    label: str,
    total: int | None = None,
    every_s: float = 3,
) -> State:
    """Ask until the status is a final one and return the last answer; a timeline is left.

    Args:
        ask: gives SageMaker's status, or a `State`: `(status, done, reason)`, the last two if any.
        label: what is watched: "endpoint", or with `total` what is counted: "jobs".
        total: how many will be done in the end.
        every_s: seconds between two questions.

    Raises:
        Unsuccessful: it has failed or was stopped.
        ValueError: `ask` gave something that is no status.
        Exception: whatever `ask` raises.
    """
    begun, moments, state = time.monotonic(), [], None
    bar = IntProgress(max=total) if total else None
    live = _Live(bar, f"{label}: asking")
    try:
        while state is None or not state.ended:
            state = states.read(ask())
            if not moments or moments[-1].state[:2] != state[:2]:
                moments.append(strips.Moment(time.monotonic() - begun, state))
            if not state.ended:
                _wait(every_s, lambda: live.say(*_now(label, moments[-1].state, total, begun)))
    finally:
        _leave_timeline(live, label, total, moments, time.monotonic() - begun)
    if state.status in states.BAD:
        raise Unsuccessful(_complaint(label, state, time.monotonic() - begun))
    return state


def _wait(seconds: float, show: Callable[[], None]) -> None:
    """Sleep, and let the seconds be seen passing."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        show()
        time.sleep(min(left, 0.5))


def _now(label: str, state: State, total: int | None, begun: float) -> tuple[str, int]:
    return _told(label, state, total, time.monotonic() - begun), state.done or 0


def _told(label: str, state: State, total: int | None, seconds: float) -> str:
    count = [] if state.done is None else [f"{state.done}{f' of {total}' if total else ''} done"]
    return f"{label}: " + " · ".join([state.status, *count, strips.spoken_time(seconds)])


def _leave_timeline(
    live: _Live, label: str, total: int | None, moments: Sequence[strips.Moment], seconds: float
) -> None:
    state = moments[-1].state if moments else State("no answer")
    words = _told(label, state, total, seconds)
    if state.status in states.UNDER_WAY:  # the kernel was interrupted, or asking failed
        words += " · no longer watched"
    live.leave(strips.timeline(words, moments, seconds), words)


def _complaint(label: str, state: State, seconds: float) -> str:
    reason = f": {state.reason.rstrip('.')}" if state.reason else ""
    return (
        f"{label} {state.status} after {strips.spoken_time(seconds)}{reason}. Its log says more: "
        "in CloudWatch under /aws/sagemaker/TrainingJobs (jobs) or "
        "/aws/sagemaker/Endpoints/<name>; on this machine `local-sagemaker logs <name>` prints it."
    )


# --------------------------------------------------------------------------------------- live, left


class _Live:
    """A line of words, and a bar if there is one, until a picture takes their place."""

    def __init__(self, bar: IntProgress | None, words: str) -> None:
        self.bar, self.words = bar, HTML(layout=Layout(margin="0"))
        parts = [self.words] if bar is None else [self.words, bar]
        if bar is not None:
            bar.layout = Layout(width="100%", height="16px", margin="0")
            bar.style.bar_color = style.BLUE
        self.box = VBox(parts, layout=Layout(max_width=f"{strips.WIDE}px", margin="4px 0"))
        self.say(words, 0)
        shown = {**_view(self.box), "text/plain": words}
        self.handle = display(shown, raw=True, display_id=True) if _in_jupyter() else None

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
            data, metadata = _picture(figure, words, scale=2)
            self.handle.update(data, metadata=metadata, raw=True)
        _close(self.box)


def _in_jupyter() -> bool:
    """True where a front end can show a widget: not in plain Python, not in IPython's terminal."""
    return getattr(get_ipython(), "kernel", None) is not None


def _view(widget: Widget) -> dict[str, Any]:
    """A widget as a part of a cell's output."""
    return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}


def _close(widget: Widget) -> None:
    """Close a widget with its children, layouts and styles: closing alone leaves those behind."""
    for child in getattr(widget, "children", ()):
        _close(child)
    for part in (getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, Widget):
            part.close()
    widget.close()


def _picture(figure: Figure, words: str, scale: int = 1) -> tuple[dict[str, str], dict[str, Any]]:
    """A figure as a cell's output, data and metadata; `scale` pixels a point, for sharp letters."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=scale * figure.dpi, metadata={"Software": None})
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": words}
    width = round(figure.get_figwidth() * figure.dpi)
    return data, {"image/png": {"width": width}} if scale != 1 else {}


# ------------------------------------------------------------------------------------------- picker


def picker(
    choices: Mapping[str, Any],
    fetch: Callable[[Any], bytes],
    ask: Callable[[bytes], answering.Predictions],
) -> Picker:
    """A photo to choose or to upload, beside the five breeds that the endpoint gives it.

    Args:
        choices: what the drop-down offers, with the key of each photo. A label that ends in a
            number names the photo's breed, "Beagle 3": then right and wrong are coloured.
        fetch: gives the bytes of the photo with this key.
        ask: gives the answer to a photo's bytes: a list of
            `{"breed": name, "probability": 0 to 1}`.

    Whatever goes wrong while a photo is fetched or asked about is told in a sentence beside it.

    Raises:
        ValueError: no choices.
    """
    if not choices:
        raise ValueError("there is no photo to choose: give at least one choice, {label: key}")
    return Picker(choices, fetch, ask)


class Picker(VBox):
    """The drop-down, the upload and the answer; as an output also a PNG of the first choice."""

    def __init__(self, choices: Mapping[str, Any], fetch: Callable, ask: Callable) -> None:
        first, *_ = choices
        options = [("choose a photo", None), *((label, label) for label in choices)]
        self.menu = Dropdown(options=options, value=first, layout=_room("220px"))
        self.upload = FileUpload(
            accept="image/*", description="Upload a photo", layout=_room("160px")
        )
        self.shown = HTML(layout=_room("auto"))
        # Jupyter's server drops a message of more, and with it the photo, without a word.
        hint = HTML("<i>up to 10 MB</i>", layout=_room("auto"))
        wrap = Layout(flex_flow="row wrap", grid_gap="8px", margin="0")
        layout = Layout(max_width="720px", grid_gap="12px", margin="4px 0")
        controls = HBox([self.menu, self.upload, hint], layout=wrap)
        super().__init__([controls, self.shown], layout=layout)
        self._choices, self._fetch, self._ask = dict(choices), fetch, ask
        self._first = self._choose(first)
        self.menu.observe(self._on_choice, "value")
        self.upload.observe(self._on_upload, "value")

    def _on_choice(self, change: Mapping[str, Any]) -> None:
        if change["new"] is not None:
            self._choose(change["new"])

    def _on_upload(self, change: Mapping[str, Any]) -> None:
        if not change["new"]:
            return
        file = change["new"][0]
        self.upload.value = ()  # so that the same file can be sent again
        self.menu.index = 0  # so that the photo shown before can be chosen again
        self._show(file["name"], None, lambda: bytes(file["content"]))

    def _choose(self, label: str) -> answering.Answer:
        breed = re.fullmatch(r"(.+?) \d+", label)
        key = self._choices[label]
        return self._show(label, breed and breed[1], lambda: self._fetch(key))

    def _show(self, name: str, truth: str | None, load: Callable[[], bytes]) -> answering.Answer:
        self.shown.value = f"<p>{escape(name)}: asking …</p>"
        answer = answering.answer(name, truth, load, self._ask)
        self.shown.value = _page(answer)
        return answer

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The view, and for all who have no kernel the first answer as a picture and in words."""
        words = answering.sentence(self._first)
        words += "\nRun this notebook in Jupyter to choose another photo."
        if not self._first.predictions:
            return {**_view(self), "text/plain": words}, {}
        truths = [self._first.truth] if self._first.truth else None
        figure = figures.answers([self._first.photo], [self._first.predictions], truths)
        data, metadata = _picture(figure, words)
        return {**_view(self), **data}, metadata


def _room(width: str) -> Layout:
    return Layout(width=width, max_width="100%", margin="0")


def _page(answer: answering.Answer) -> str:
    """The answer as HTML: photo and bars side by side, one above the other on a narrow screen."""
    if answer.photo is None:
        return f"<p><b>{escape(answer.name)}</b>: {escape(answer.remark)}</p>"
    remark = f"<p style='margin:0 0 8px;line-height:1.4'>{escape(answer.remark)}</p>"
    bars = "".join(_row(i, guess, answer.truth) for i, guess in enumerate(answer.predictions))
    parts = [_photo(answer), (remark if answer.remark else "") + bars]
    style = "display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start"
    columns = "".join(f"<div style='flex:1 1 260px;max-width:320px'>{part}</div>" for part in parts)
    return f"<div style='{style}'>{columns}</div>"


def _photo(answer: answering.Answer) -> str:
    data = base64.b64encode(answering.jpeg(answer.photo, 88)).decode()
    name = escape(answer.name, quote=True)
    return (
        f"<img src='data:image/jpeg;base64,{data}' alt='{name}' style='display:block;"
        "width:auto;max-width:100%;max-height:320px;border-radius:3px'>"
        f"<div style='line-height:1.6;overflow-wrap:anywhere'>{name}</div>"
    )


def _row(position: int, guess: Mapping[str, Any], truth: str | None) -> str:
    """One breed: its name and probability over a bar, coloured as in `figures.answers`."""
    right = truth is not None and dataset.breed(guess["breed"]) == truth
    colour = "var(--jp-border-color1, #BDBDBD)"
    if position == 0 or right:
        colour = style.BLUE if truth is None else style.GREEN if right else style.ORANGE
    share, weight = f"{guess['probability']:.0%}", "bold" if right else "normal"
    return (
        "<div style='display:flex;justify-content:space-between;line-height:1.5;"
        f"font-weight:{weight}'><span>{escape(guess['breed'])}</span><span>{share}</span></div>"
        "<div style='height:8px;margin-bottom:8px;background:var(--jp-layout-color2, #EEEEEE)'>"
        f"<div style='height:8px;width:{guess['probability']:.1%};background:{colour}'></div></div>"
    )
