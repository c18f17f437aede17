"""From an image file to what a network sees: decoding, cropping, augmenting, normalising.

Training and serving share this module, so that they cannot differ.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

# Raster formats only: Pillow hands EPS, for one, to Ghostscript. And no ICO: opening one decodes it
# before its size is known.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
# The files of a data set that count as photos.
SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".jp2",
        ".ppm",
        ".pgm",
    ]
)
MAX_PIXELS = 50_000_000  # of a photo: a 12 kB PNG can unpack to gigabytes


@dataclass(frozen=True)
class Preprocessing:
    """What a network must be fed: it belongs to the network, and travels with the model.

    `image_size` is in pixels a side, `interpolation` Pillow's name of how photos are resized;
    `mean` and `std` are those of each channel in 0..1. The defaults are the values with which
    torchvision's networks were trained on ImageNet. Leaving the normalisation out is the commonest
    cause of a model that learns nothing.
    """

    image_size: int = 224
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def resized(self, image_size: int | None) -> "Preprocessing":
        """Return the same for photos of another size; None keeps the size."""
        return self if image_size is None else replace(self, image_size=image_size)

    def card(self) -> dict[str, Any]:
        """Return the values as a model's card holds them."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "Preprocessing":
        """Return a card's values; what an older card does not have is ImageNet's."""
        known = {field.name: card[field.name] for field in fields(cls) if field.name in card}
        lists = {name: tuple(known[name]) for name in ("mean", "std") if name in known}
        return cls(**{**known, **lists})


def breed(class_name: str) -> str:
    """What a class folder stands for: `076.Golden_retriever` → `Golden retriever`."""
    return re.sub(r"^\d+[.\-_ ]", "", class_name).replace("_", " ")


def open_image(file: Path | BinaryIO) -> Image.Image:
    """Open a photo of one of the formats; its pixels are not decoded yet.

    Raises UnidentifiedImageError for another format, and whatever Pillow raises on a damaged file.
    """
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def decode(image: Image.Image, side: int | None) -> Image.Image:
    """Decode an opened photo: RGB, upright (EXIF), sides possibly reduced, to no less than `side`.

    A JPEG is decoded at a half, a quarter or an eighth of its size where that still leaves `side`
    pixels: in a third of the time for a photo of 1000 x 750, and what differs after the resizing
    (0.4 of 255 a pixel, 52 dB) is less than what JPEG itself has lost. With None for a side it is
    decoded whole. Of 16 bits a channel the upper 8 are kept. Raises whatever Pillow raises on a
    file that it cannot decode.
    """
    if side is not None:
        image.draft("RGB", (side, side))
    upright = _eight_bits(ImageOps.exif_transpose(image))
    if upright.has_transparency_data:
        # Transparent pixels carry arbitrary colours: show them on white, as a browser does.
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return 16-bit grey as 8-bit grey, and everything else as it is.

    Pillow reduces 16-bit colour to its upper byte itself, but clips 16-bit grey at 255, so that
    nearly all of it turns white. Its mode I holds 16-bit grey, too, where a file's format is PGM.
    """
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    grey = (values.clip(0, 65535) >> 8).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):  # the one value that a PNG declares transparent
        grey[values == clear] = 255
    return Image.fromarray(grey)


def resized_side(image_size: int) -> int:
    """Return the shorter side, in pixels, to which a photo is resized before the centre crop.

    The ratio 256/224 is the one ImageNet networks have been evaluated with since AlexNet.
    """
    return round(image_size * 256 / 224)


def shrink(image: Image.Image, side: int | None) -> Image.Image:
    """Resize to a shorter side of `side` pixels, keeping the shape; never enlarge, nor for None."""
    if side is None:
        return image
    scale = side / min(image.size)
    if scale >= 1:
        return image
    size = tuple(max(side, round(length * scale)) for length in image.size)
    return image.resize(size, Image.Resampling.BILINEAR)


def centre_crop(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Return the photo's middle in the size that the network takes: what evaluation looks at."""
    side = resized_side(preprocessing.image_size)
    resize = v2.Resize(side, interpolation=v2.InterpolationMode(preprocessing.interpolation))
    return v2.functional.center_crop(resize(image), [preprocessing.image_size] * 2)


def augmentation(kind: str, preprocessing: Preprocessing) -> Callable[[Image.Image], Image.Image]:
    """Return what changes a photo in each epoch, and makes it as large as the network takes it.

    none    its centre
    flip    its centre, mirrored half the time
    crop    a random part, half to all of it, mirrored half the time. (The usual lower bound of
            0.08 leaves patches in which, at 64 pixels, no breed can be told.)
    colour  the same, with brightness, contrast and saturation changed by up to 30 %

    Raises ValueError for another kind.
    """
    mirror = v2.RandomHorizontalFlip()
    crop = partial(_random_crop, preprocessing)
    centre = partial(centre_crop, preprocessing=preprocessing)
    steps = {
        "none": [centre],
        "flip": [centre, mirror],
        "crop": [crop, mirror],
        "colour": [crop, mirror, v2.ColorJitter(0.3, 0.3, 0.3)],
    }
    if kind not in steps:
        raise ValueError(f"no augmentation {kind!r}: choose from {', '.join(steps)}")
    return v2.Compose(steps[kind])


def _random_crop(preprocessing: Preprocessing, image: Image.Image) -> Image.Image:
    """As torchvision's RandomResizedCrop, in one step instead of two, which takes half the time."""
    top, left, height, width = v2.RandomResizedCrop.get_params(image, [0.5, 1.0], [3 / 4, 4 / 3])
    box = (left, top, left + width, top + height)
    way = Image.Resampling[preprocessing.interpolation.upper()]
    return image.resize((preprocessing.image_size,) * 2, way, box=box)


def to_batch(images: list[Image.Image]) -> torch.Tensor:
    """Stack RGB images of one size into a uint8 tensor of shape (N, H, W, 3)."""
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def normalise(images: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Turn uint8 (N, H, W, 3) into float32 (N, 3, H, W), by the network's mean and deviation.

    The result lies in memory as channels-last, the layout in which convolutions are fastest.
    Call it on the device: bytes travel there in a quarter of the time that floats take. Floats are
    features, which need no normalisation: they are returned as they are.
    """
    if images.dtype != torch.uint8:
        return images
    mean = _constant(preprocessing.mean, images.device)
    std = _constant(preprocessing.std, images.device)
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return the values on the device; copying them there in each step would make it wait."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)
