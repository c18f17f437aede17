"""A photo and what an endpoint says of it, or the sentence that says why there is no answer.

A widget's callback has no cell in which to show a traceback: `answer` never raises.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from PIL import Image, ImageOps

Predictions = Sequence[Mapping[str, Any]]

# The endpoint's limits, as in entry_points/inference.py.
MAX_BYTES = 6_291_456  # of a request's body: API reference, InvokeEndpoint
MAX_PIXELS = 50_000_000
_SENT_SIDE = 2048  # pixels; as JPEG always below MAX_BYTES, and far above what a network sees
_SHOWN_SIDE = 640  # pixels: 320 on a screen with two a point


@dataclass(frozen=True)
class Answer:
    """What is shown of a photo: itself if it could be read, the breeds if they could be had."""

    name: str
    truth: str | None
    photo: Image.Image | None = None
    predictions: Predictions = ()
    remark: str = ""


class _Refused(Exception):
    """There is no answer; the text is the sentence to show."""


def answer(
    name: str, truth: str | None, load: Callable[[], bytes], ask: Callable[[bytes], Predictions]
) -> Answer:
    """Load a photo and ask about it. Never raises: what went wrong is the answer's remark.

    Args:
        name: what to call the photo.
        truth: its breed, if that is known.
        load: gives its bytes.
        ask: gives the answer to bytes: a list of `{"breed": name, "probability": 0 to 1}`.

    A photo larger than an endpoint takes is sent scaled down, and the remark says so.
    """
    photo, remark = None, ""
    try:
        raw = _fetched(load)
        photo, body, remark = _sendable(raw)
        return Answer(name, truth, photo, _asked(ask, body), remark)
    except _Refused as refusal:
        return Answer(name, truth, photo, (), f"{remark} {refusal}".strip())


def _fetched(load: Callable[[], bytes]) -> bytes:
    try:
        return load()
    except Exception as error:
        raise _Refused(f"The photo could not be fetched: {_said(error)}") from error


def _asked(ask: Callable[[bytes], Predictions], body: bytes) -> Predictions:
    """The five most likely breeds, the most likely first."""
    try:
        guesses = [
            {"breed": str(guess["breed"]), "probability": float(guess["probability"])}
            for guess in ask(body)
        ]
    except Exception as error:  # whatever the caller's own function raises
        raise _Refused(_why(error)) from error
    if not guesses:
        raise _Refused("The endpoint answered without a breed.")
    return sorted(guesses, key=lambda guess: -guess["probability"])[:5]


def _why(error: Exception) -> str:
    """What went wrong with a question, as a sentence."""
    response = getattr(error, "response", None) or {}
    if isinstance(error, ClientError) and "not found" in _said(error):
        return "This endpoint no longer exists. Run the notebook from the top to deploy it again."
    if isinstance(error, ConnectionError | HTTPClientError):
        return "SageMaker does not answer. Is the network up, or here: is the local engine running?"
    if response.get("OriginalMessage"):
        return f"The endpoint refused the photo: {_said(error)}"
    return f"The endpoint gave no answer: {_said(error)}"


def _said(error: Exception) -> str:
    """An error's own words, without the client's frame around them, as the end of a sentence."""
    response = getattr(error, "response", None) or {}
    words = response.get("OriginalMessage") or response.get("Error", {}).get("Message")
    words = (words or str(error) or type(error).__name__).strip()
    if isinstance(error, KeyError | TypeError | IndexError):  # their texts alone say nothing
        words = f"{type(error).__name__}: {words}"
    return words if words.endswith((".", "!", "?")) else words + "."


def _sendable(raw: bytes) -> tuple[Image.Image, bytes, str]:
    """A photo to show, the bytes to send, and a remark if they are not the photo's own."""
    try:
        with Image.open(io.BytesIO(raw)) as image:
            size = image.size
            too_large = len(raw) > MAX_BYTES or size[0] * size[1] > MAX_PIXELS
            upright = _upright(image, _SENT_SIDE if too_large else _SHOWN_SIDE)
    except Exception as error:  # Pillow raises many kinds
        raise _Refused(_unreadable(raw, error)) from error
    photo = upright.copy()
    photo.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    if not too_large:
        return photo, raw, ""
    remark = (
        f"The photo has {len(raw) / 1e6:.1f} MB, {size[0]} by {size[1]} pixels: more than an "
        f"endpoint takes. It was scaled down to {upright.width} by {upright.height} pixels."
    )
    return photo, jpeg(upright, 90), remark


def _upright(image: Image.Image, side: int) -> Image.Image:
    """The photo in RGB, as a viewer shows it, neither side longer than `side` pixels."""
    image.draft("RGB", (2 * side, 2 * side))
    image.thumbnail((side, side))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _unreadable(raw: bytes, error: Exception) -> str:
    if not raw:
        return "The file is empty."
    if isinstance(error, Image.DecompressionBombError):
        return "The photo has more pixels than can be opened safely. Send a smaller one."
    return "The file is no photo that can be read, or it is damaged. Send a JPEG, PNG or WebP file."


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The image as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def sentence(answer: Answer) -> str:
    """The answer in words, for readers and programs without pictures."""
    told = [f"{guess['breed']} {guess['probability']:.0%}" for guess in answer.predictions]
    return " ".join(part for part in (f"{answer.name}:", ", ".join(told), answer.remark) if part)
