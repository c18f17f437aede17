"""The one serving script: photo bytes in, breeds out.

Request: the bytes of one photo, whatever their content type says (published clients send PNG as
`image/jpeg`), or JSON `{"image": "<base64>"}`. Response, as the `Accept` header asks:

    application/json              the five likeliest breeds (also for */* and without the header):
        {"predictions": [{"breed": "Affenpinscher", "class_name": "001.Affenpinscher",
                          "probability": 0.53}, ...]}
    application/json;logits=true  all logits: {"logits": [[...]], "class_names": [...]}
    application/x-npy             all logits, a NumPy file of float32, shape (1, classes)

A request that cannot be answered gets a 4xx with the reason, and never brings the endpoint down.
"""

import base64
import io
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from networks import load_model
from photos import centre_crop, decode, normalise, resized_side, to_batch

try:
    # SageMaker's inference toolkit answers this one with the status code that it carries, and
    # every other exception with 500.
    from sagemaker_inference.errors import BaseInferenceToolkitError
except ImportError:

    class BaseInferenceToolkitError(Exception):  # type: ignore[no-redef]
        """The toolkit's error, for use without the toolkit."""

        def __init__(self, status_code: int, message: str, phrase: str):
            self.status_code, self.message, self.phrase = status_code, message, phrase
            super().__init__(status_code, message, phrase)


MAX_BYTES = 6_291_456  # what SageMaker lets through to a real-time endpoint
MAX_PIXELS = 50_000_000  # a 12 kB PNG can unpack to gigabytes
TOP = 5
JSON, NPY = "application/json", "application/x-npy"
# What Pillow raises on damaged files, by format.
UNDECODABLE = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError)

# Raster formats only: Pillow hands EPS, for one, to Ghostscript.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")


class BadRequest(BaseInferenceToolkitError):
    """The request cannot be answered: a 4xx status, and why."""

    def __init__(self, status: HTTPStatus, message: str):
        super().__init__(status.value, message, status.phrase)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Classifier:
    """The network in evaluation mode, and what it must be fed."""

    network: torch.nn.Module
    class_names: list[str]
    image_size: int


@dataclass(frozen=True)
class Prediction:
    """Logits, float32 of shape (1, classes), and the class of each column."""

    logits: np.ndarray
    class_names: list[str]


def model_fn(model_dir: str, context: Any = None) -> Classifier:
    """Load `model.json` and `model.safetensors`; FileNotFoundError names the one missing."""
    network, card = load_model(Path(model_dir))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Classifier(network.to(device), card["class_names"], card["image_size"])


def input_fn(body: bytes | bytearray | str, content_type: str | None = None) -> Image.Image:
    """Return the photo in a request's body, opened: format and size are known, pixels not decoded.

    How far it must be decoded depends on the model, which only `predict_fn` knows.
    Raises BadRequest for a body that is empty, too large, no image, or JSON without an image.
    """
    # The toolkit hands over text for application/json, bytes for all else.
    raw = body.encode() if isinstance(body, str) else bytes(body)
    if not raw:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is empty: send a photo's bytes")
    if len(raw) > MAX_BYTES:
        raise BadRequest(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {len(raw)} bytes, the limit is {MAX_BYTES}: send a smaller photo",
        )
    # No image format begins with a brace, so here, too, the bytes decide.
    return _open(_image_in_json(raw) if raw.lstrip()[:1] == b"{" else raw)


def _image_in_json(raw: bytes) -> bytes:
    try:
        return base64.b64decode(json.loads(raw)["image"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRequest(
            HTTPStatus.BAD_REQUEST,
            f'not JSON of the form {{"image": "<base64>"}}: {type(error).__name__}: {error}',
        ) from error


def _open(raw: bytes) -> Image.Image:
    Image.init()
    try:
        image = Image.open(io.BytesIO(raw), formats=[f for f in FORMATS if f in Image.OPEN])
    except Image.DecompressionBombError as error:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{error}") from error
    except UnidentifiedImageError as error:
        hint = ""
        if raw.startswith(b"\x93NUMPY"):
            hint = (
                "; it is a NumPy array, so use a serializer that sends the file's bytes unchanged"
            )
        raise BadRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body ({len(raw)} bytes) is no image that Pillow knows: send the bytes of a JPEG, "
            f"PNG, WebP or GIF file{hint}",
        ) from error
    except UNDECODABLE as error:
        raise _broken(error) from error
    if image.width * image.height > MAX_PIXELS:
        raise BadRequest(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{image.width} x {image.height} pixels are over the limit of {MAX_PIXELS}",
        )
    return image


def _broken(error: Exception) -> BadRequest:
    return BadRequest(
        HTTPStatus.BAD_REQUEST, f"the image cannot be decoded: {type(error).__name__}: {error}"
    )


def predict_fn(data: Image.Image, model: Classifier) -> Prediction:
    """Return the logits of one photo; raises BadRequest if it cannot be decoded."""
    try:
        photo = decode(data, resized_side(model.image_size))
    except UNDECODABLE as error:
        raise _broken(error) from error
    batch = to_batch([centre_crop(photo, model.image_size)])
    device = next(model.network.parameters()).device
    with torch.inference_mode():
        logits = model.network(normalise(batch, device))
    return Prediction(logits.float().cpu().numpy(), model.class_names)


def output_fn(prediction: Prediction, accept: str | None = None) -> tuple[bytes, str]:
    """Return the response's body and content type, for the first acceptable of `accept`'s types.

    Raises BadRequest (406) if there is none.
    """
    for media_type in (accept or JSON).lower().replace(" ", "").split(","):
        name, *parameters = media_type.split(";")
        if name == NPY:
            file = io.BytesIO()
            np.save(file, prediction.logits)
            return file.getvalue(), NPY
        if name in (JSON, "application/*", "*/*", ""):
            wants_logits = "logits=true" in parameters
            answer = _all_logits(prediction) if wants_logits else _likeliest(prediction)
            return json.dumps(answer).encode(), JSON
    raise BadRequest(
        HTTPStatus.NOT_ACCEPTABLE,
        f"no answer as {accept!r}: accept {JSON}, {JSON};logits=true or {NPY}",
    )


def _all_logits(prediction: Prediction) -> dict[str, Any]:
    return {"logits": prediction.logits.tolist(), "class_names": prediction.class_names}


def _likeliest(prediction: Prediction) -> dict[str, Any]:
    probabilities = torch.from_numpy(prediction.logits[0]).softmax(0)
    top = probabilities.topk(min(TOP, len(probabilities)))
    names = [prediction.class_names[index] for index in top.indices]
    return {
        "predictions": [
            {"breed": breed_name(name), "class_name": name, "probability": round(value, 6)}
            for name, value in zip(names, top.values.tolist(), strict=True)
        ]
    }


def breed_name(class_name: str) -> str:
    """Return a class folder's name as one would write it: `001.Afghan_hound` is "Afghan hound"."""
    return re.sub(r"^\d+\.", "", class_name).replace("_", " ")
