"""A photo to choose or to upload, beside the five most likely breeds."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from ipywidgets import HTML, Dropdown, FileUpload, HBox, Layout, VBox

from course import dataset, figures
from course.figures import style
from course.widgets import answering
from course.widgets.live import picture, view


def picker(
    choices: Mapping[str, Any] | Sequence[str],
    fetch: Callable[[Any], bytes],
    ask: Callable[[bytes], answering.Predictions],
) -> Picker:
    """A photo to choose or to upload, beside the five breeds that the endpoint gives it.

    Args:
        choices: the photos' keys in S3, such as `.../016.Beagle/Beagle_01126.jpg`; or what the
            drop-down offers, with the key of each photo. A label that ends in a number names the
            photo's breed, "Beagle 3": then right and wrong are coloured.
        fetch: gives the bytes of the photo with this key.
        ask: gives the answer to a photo's bytes: a list of
            `{"breed": name, "probability": 0 to 1}`.

    Whatever goes wrong while a photo is fetched or asked about is told in a sentence beside it.

    Raises:
        ValueError: no choices.
    """
    if not choices:
        raise ValueError("there is no photo to choose: give at least one key, or {label: key}")
    if not isinstance(choices, Mapping):
        choices = _labelled(choices)
    return Picker(choices, fetch, ask)


def _labelled(keys: Sequence[str]) -> dict[str, str]:
    """A label for each key: its breed, by the folder it lies in, and its place in the list."""
    return {f"{dataset.breed(key.split('/')[-2])} {n}": key for n, key in enumerate(keys, 1)}


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
            return {**view(self), "text/plain": words}, {}
        truths = [self._first.truth] if self._first.truth else None
        figure = figures.answers([self._first.photo], [self._first.predictions], truths)
        data, metadata = picture(figure, words)
        return {**view(self), **data}, metadata


def _room(width: str) -> Layout:
    return Layout(width=width, max_width="100%", margin="0")


def _page(answer: answering.Answer) -> str:
    """The answer as HTML: photo and bars side by side, one above the other on a narrow screen."""
    if answer.photo is None:
        return f"<p><b>{escape(answer.name)}</b>: {escape(answer.remark)}</p>"
    remark = f"<p style='margin:0 0 8px;line-height:1.4'>{escape(answer.remark)}</p>"
    bars = "".join(_row(i, guess, answer.truth) for i, guess in enumerate(answer.predictions))
    parts = [_photo(answer), (remark if answer.remark else "") + bars]
    flex = "display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start"
    columns = "".join(f"<div style='flex:1 1 260px;max-width:320px'>{part}</div>" for part in parts)
    return f"<div style='{flex}'>{columns}</div>"


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
