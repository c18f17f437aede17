"""The one serving script: photos in, breeds out.

Request, told apart by its first bytes whatever its content type says (published clients send PNG as
`image/jpeg`):

    an image file                   one photo; of an animation, its first frame
    a NumPy file (.npy) of uint8    one photo: grey (H, W), RGB (H, W, 3), RGBA (H, W, 4); several:
                                    (N, H, W, 3) or (N, H, W, 4)
    {"image": "<base64>"}           one photo: JSON with such a file in base64, which may have
                                    line breaks, no padding, or the alphabet of base64url
    {"images": ["<base64>", ...]}   several photos

Response, as the `Accept` header asks:

    application/json                the five most likely breeds (also for */* and no header):
        {"predictions": [{"breed": "Affenpinscher", "class_name": "001.Affenpinscher",
                          "probability": 0.53}, ...]}
        and for several photos {"results": [{"predictions": [...]}, ...]}, in their order
    application/json;top=10         the ten most likely breeds, or all if there are fewer
    application/json;logits=true    all logits: {"logits": [[...], ...], "class_names": [...]}
    application/x-npy               all logits, a NumPy file of float32, shape (photos, classes)

What cannot be answered gets a 4xx with the reason, and never brings the endpoint down: 400 for
damage or another form, 406 for an `Accept` that cannot be met, 413 over a limit, 415 for no image.
One bad photo among several refuses the request, and is named: `images[2]`.
"""

import base64
import io
import json
import math
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from distributed import DTYPES
from models import load_model, serving_precision
from preprocess import (
    MAX_PIXELS,
    Preprocessing,
    breed,
    centre_crop,
    decode,
    normalise,
    open_image,
    resized_side,
    to_batch,
)

try:
    from sagemaker_inference.content_types import UTF8_TYPES

    # SageMaker's inference toolkit answers this one with the status code that it carries, and
    # every other exception with 500.
    from sagemaker_inference.errors import BaseInferenceToolkitError
except ImportError:
    UTF8_TYPES, BaseInferenceToolkitError = [], Exception

MAX_BYTES = 6_291_456  # what SageMaker lets through to a real-time endpoint
MAX_PHOTOS = 32
MAX_RATIO = 50  # of a photo's sides: the shorter one is enlarged to what the network looks at
CHUNK = 8  # photos that go through the network at once
TOP = 5
URL_ALPHABET = str.maketrans("-_", "+/")  # base64url's two other characters
JSON, NPY = "application/json", "application/x-npy"
FORMS = 'send {"image": "<base64>"} or {"images": ["<base64>", ...]}; nothing is downloaded'
ARRAYS = "send uint8 of (H, W), (H, W, 3 or 4) or (N, H, W, 3 or 4), or a photo file's own bytes"
WAYS_OUT = {
    406: f"accept {JSON}, {JSON};top=10, {JSON};logits=true or {NPY}",
    413: "send smaller or fewer photos",
    415: "send the bytes of a JPEG, PNG, WebP or GIF file",
}


class BadRequest(BaseInferenceToolkitError):
    """The request cannot be answered: a 4xx status, and why, with the status's way out."""

    def __init__(self, status: int, reason: str):
        phrase = HTTPStatus(status).phrase
        super().__init__(status, reason, phrase)
        self.status_code, self.phrase = status, phrase
        self.message = f"{reason}: {WAYS_OUT[status]}" if status in WAYS_OUT else reason

    def __str__(self) -> str:
        return self.message


@contextmanager
def _refusing(place: str = "") -> Iterator[None]:
    """Make what goes wrong with a photo the client's error; `place` says which photo it is.

    Pillow's and NumPy's parsers raise whatever they meet: struct.error, KeyError, TokenError, ...
    """
    try:
        yield
    except BadRequest as error:
        error.message = f"{place}{error.message}"
        raise
    except UnidentifiedImageError as error:
        raise BadRequest(415, f"{place}not an image that Pillow can read") from error
    except Exception as error:
        too_large = isinstance(error, Image.DecompressionBombError | MemoryError)
        reason = f"{place}cannot be decoded: {type(error).__name__}: {error}"
        raise BadRequest(413 if too_large else 400, reason) from error


@dataclass(frozen=True)
class Classifier:
    """The network in evaluation mode, and what it must be fed."""

    network: torch.nn.Module
    class_names: list[str]
    preprocessing: Preprocessing
    precision: str = "fp32"

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the logits, float32 (N, classes), of uint8 photos (N, H, W, 3)."""
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, DTYPES[self.precision], enabled=self.precision != "fp32"):
            return self.network(normalise(batch.to(device), self.preprocessing)).float()


@dataclass(frozen=True)
class Photos:
    """A request's photos, opened but not decoded; `several` is true of a list, even of one."""

    images: list[Image.Image]
    several: bool = False


@dataclass(frozen=True)
class Prediction:
    """Logits, float32 of shape (photos, classes), and the class of each column."""

    logits: np.ndarray
    class_names: list[str]
    several: bool = False


def model_fn(model_dir: str, context: Any = None) -> Classifier:
    """Load `model.json` and `model.safetensors`; FileNotFoundError names the one missing."""
    if context is not None:
        # Called by the toolkit, which decodes bodies labelled JSON or CSV as UTF-8 before
        # `input_fn` sees them, and answers 500 where it can't. Here the bytes decide.
        UTF8_TYPES.clear()
    network, card = load_model(Path(model_dir))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # As it was validated; else the endpoint would answer with a network that nobody has measured.
    precision = serving_precision(card.get("precision", "fp32"), device)
    wanted = Preprocessing.from_card(card)
    return Classifier(network.to(device), card["class_names"], wanted, precision)


def input_fn(body: bytes | bytearray | str, content_type: str | None = None) -> Photos:
    """Return the photos in a request's body, opened: format and size are known, pixels not decoded.

    How far they must be decoded depends on the model, which only `predict_fn` knows.
    Raises BadRequest for a body that is empty, over a limit, no image, or JSON of another form.
    """
    raw = body.encode() if isinstance(body, str) else bytes(body)
    if not raw:
        raise BadRequest(400, "the body is empty: send a photo's bytes")
    if len(raw) > MAX_BYTES:
        raise BadRequest(413, f"the body has {len(raw)} bytes, the limit is {MAX_BYTES}")
    # No image format begins with a brace, so here, too, the bytes decide.
    return _open_json(raw) if re.match(rb"(\xef\xbb\xbf)?\s*\{", raw) else _open(raw)


def _open_json(raw: bytes) -> Photos:
    try:
        asked = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(400, f"no JSON ({type(error).__name__}: {error}): {FORMS}") from error
    several = set(asked) == {"images"}
    texts = asked["images"] if several else [asked.get("image")]
    if not (several or set(asked) == {"image"}) or not isinstance(texts, list) or not texts:
        raise BadRequest(400, f"JSON with {ascii(list(asked))[:100]}: {FORMS}")
    if len(texts) > MAX_PHOTOS:
        raise BadRequest(413, f"{len(texts)} images are over the limit of {MAX_PHOTOS}")
    images: list[Image.Image] = []
    for index, text in enumerate(texts):
        with _refusing(f"images[{index}]: " if several else ""):
            images.append(_open_text(text))
            _check_pixels(images)
    return Photos(images, several)


def _open_text(text: Any) -> Image.Image:
    """Open the one photo that a string of base64 holds."""
    if not isinstance(text, str):
        raise BadRequest(400, f"{type(text).__name__} in place of base64: {FORMS}")
    if address := re.match(r"\s*([a-z][a-z0-9+.-]*):", text, re.IGNORECASE):
        raise BadRequest(400, f"an address ({address[1][:20]}:) in place of base64: {FORMS}")
    try:
        photos = _open(_decode_base64(text))
    except ValueError as error:
        raise BadRequest(400, f"no base64 ({error}): {FORMS}") from error
    if photos.several:
        raise BadRequest(400, f"an array of several photos in place of one: {FORMS}")
    return photos.images[0]


def _decode_base64(text: str) -> bytes:
    """Decode base64 in each of the forms that clients write; ValueError for anything else.

    That is with line breaks (MIME), in the alphabet for addresses, and with or without padding.
    """
    compact = "".join(text.split()).translate(URL_ALPHABET).rstrip("=")
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)


def _open(raw: bytes) -> Photos:
    """Open a file's bytes, be it an image or an array."""
    with _refusing():
        if raw.startswith(np.lib.format.MAGIC_PREFIX):
            return _open_array(raw)
        photos = Photos([open_image(io.BytesIO(raw))])
        _check_pixels(photos.images)
        return photos


def _open_array(raw: bytes) -> Photos:
    """Take a NumPy file's pixels where they are: nothing is allocated, nor unpickled."""
    file = io.BytesIO(raw)
    npy = np.lib.format
    header = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}[npy.read_magic(file)[0]]
    shape, fortran, dtype = header(file)
    colour = len(shape) in (3, 4) and shape[-1] in (3, 4)
    if dtype != np.uint8 or not (colour or len(shape) == 2) or min(shape) < 1:
        raise BadRequest(400, f"a NumPy file of {dtype}, shape {shape}"[:200] + f": {ARRAYS}")
    size, wanted = len(raw) - file.tell(), math.prod(shape)
    if size != wanted:
        raise BadRequest(
            400, f"a NumPy file of shape {shape} wants {wanted} bytes, this has {size}"
        )
    if len(shape) == 4 and shape[0] > MAX_PHOTOS:
        raise BadRequest(413, f"{shape[0]} photos are over the limit of {MAX_PHOTOS}")
    pixels = np.frombuffer(raw, np.uint8, offset=file.tell())
    pixels = pixels.reshape(shape, order="F" if fortran else "C")
    images = [Image.fromarray(photo) for photo in (pixels if pixels.ndim == 4 else [pixels])]
    _check_pixels(images)
    return Photos(images, several=pixels.ndim == 4)


def _check_pixels(images: list[Image.Image]) -> None:
    """Refuse photos that are too large together, and a last one of impossible shape."""
    width, height = images[-1].size
    pixels = sum(image.width * image.height for image in images)
    if pixels > MAX_PIXELS:
        raise BadRequest(
            413, f"{width} x {height} pixels, {pixels} in all, the limit is {MAX_PIXELS}"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadRequest(400, f"{width} x {height} pixels: the sides' ratio is over {MAX_RATIO}")


def predict_fn(data: Photos, model: Classifier) -> Prediction:
    """Return the logits of a request's photos; raises BadRequest if one cannot be decoded.

    Closes the photos, each as soon as it is decoded: whole pixels are in memory of one at a time.
    """
    wanted, crops = model.preprocessing, []
    side = resized_side(wanted.image_size)
    for index, image in enumerate(data.images):
        with _refusing(f"images[{index}]: " if data.several else ""), closing(image):
            crops.append(centre_crop(decode(image, side), wanted))
    with torch.inference_mode():
        logits = torch.cat([model(chunk) for chunk in to_batch(crops).split(CHUNK)])
    return Prediction(logits.cpu().numpy(), model.class_names, data.several)


def output_fn(prediction: Prediction, accept: str | None = None) -> tuple[bytes, str]:
    """Return the response's body and content type, for the first acceptable of `accept`'s types.

    Raises BadRequest (406) if there is none.
    """
    for media_type in "".join((accept or JSON).lower().split()).split(","):
        name, *pairs = media_type.split(";")
        options = dict(pair.partition("=")[::2] for pair in pairs)
        if name == NPY:
            file = io.BytesIO()
            np.save(file, prediction.logits)
            return file.getvalue(), NPY
        if name in (JSON, "application/*", "*/*", ""):
            return json.dumps(_answer(prediction, options)).encode(), JSON
    raise BadRequest(406, f"cannot answer as {ascii(accept)[:100]}")


def _answer(prediction: Prediction, options: dict[str, str]) -> dict[str, Any]:
    names, logits, top = prediction.class_names, options.get("logits"), options.get("top")
    if logits not in (None, "true", "false") or (logits == "true" and top is not None):
        raise BadRequest(406, f"logits are true, without top, or false, not {ascii(options)[:100]}")
    if logits == "true":
        return {"logits": prediction.logits.tolist(), "class_names": names}
    if top is not None and not (re.fullmatch("[0-9]{1,6}", top) and int(top)):
        raise BadRequest(406, f"top is a number from 1 to 999999, not {ascii(top)[:20]}")
    count = min(int(top or TOP), len(names))
    results = [{"predictions": _likeliest(row, names, count)} for row in prediction.logits]
    return {"results": results} if prediction.several else results[0]


def _likeliest(logits: np.ndarray, class_names: list[str], count: int) -> list[dict[str, Any]]:
    top = torch.from_numpy(logits).softmax(0).topk(count)
    names = [class_names[index] for index in top.indices]
    return [
        {"breed": breed(name), "class_name": name, "probability": round(value, 6)}
        for name, value in zip(names, top.values.tolist(), strict=True)
    ]
