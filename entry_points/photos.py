"""From files to what a network sees: listing photos, decoding, cropping, normalising.

Training and serving share all of it and so cannot differ. PyTorch is imported only where it is
needed, so that a mistake in a folder is told at once.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    import torch

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}

# The mean and deviation of ImageNet's photos, for channels in 0..1: what torchvision's weights
# were trained with. Leaving this out is the commonest cause of a model that learns nothing.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class DataError(Exception):
    """The data cannot be used as it is; the message names the folder or file, and the way out."""


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of class folders: the class names in order, and the files with their labels."""

    classes: list[str]
    files: list[Path]
    labels: list[int]
    root: Path

    @property
    def names(self) -> list[str]:
        """The files as one would tell them: `001.Affenpinscher/x.jpg`."""
        return [self.name(file) for file in self.files]

    def name(self, file: Path) -> str:
        """The name of one of the files."""
        return file.relative_to(self.root).as_posix()


def list_photos(root: Path) -> PhotoFolder:
    """List the photos under `root/<class>/`, sorted: label i is the i-th class folder by name.

    What is hidden is no photo: Jupyter leaves copies in `.ipynb_checkpoints`, macOS files `._*`.
    Raises DataError when there is no such folder, no class folder, or one without photos.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}: a channel must hold one folder a class")
    entries = (entry for entry in os.scandir(root) if not _hidden(entry.name))
    classes = sorted(entry.name for entry in entries if entry.is_dir())
    if not classes:
        raise DataError(f"no class folders in {root}: expected {root}/<class>/<photo>.jpg")
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(file for file in (root / name).rglob("*") if _is_photo(file, root))
        if not found:
            raise DataError(f"no photos in {root / name}: add some, or remove the folder")
        files += found
        labels += [label] * len(found)
    return PhotoFolder(classes, files, labels, root)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_photo(file: Path, root: Path) -> bool:
    hidden = any(map(_hidden, file.relative_to(root).parts))
    return file.suffix.lower() in SUFFIXES and not hidden


def check_same_classes(train: PhotoFolder, other: PhotoFolder, channel: str) -> None:
    """Raise DataError naming the difference unless both have the same classes."""
    missing = sorted(set(train.classes) - set(other.classes))
    extra = sorted(set(other.classes) - set(train.classes))
    if missing or extra:
        raise DataError(
            f"the classes of '{channel}' differ from those of 'train': "
            f"missing {_some(missing)}, not in train {_some(extra)}; "
            "both channels need the same class folders"
        )


def read_channels(arguments: Any) -> dict[str, PhotoFolder]:
    """List the photos of train, valid and, if given, test; DataError unless their classes agree."""
    folders = {name: getattr(arguments, f"{name}_dir") for name in ("train", "valid", "test")}
    channels = {name: list_photos(folder) for name, folder in folders.items() if folder is not None}
    for name, channel in channels.items():
        check_same_classes(channels["train"], channel, name)
    return channels


def breed(class_name: str) -> str:
    """What a class folder stands for: `076.Golden_retriever` → `Golden retriever`."""
    return re.sub(r"^\d+[.\-_ ]", "", class_name).replace("_", " ")


def _some(names: list[str], limit: int = 5) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


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


def centre_crop(image: Image.Image, image_size: int) -> Image.Image:
    """Return the photo's middle as `image_size` x `image_size` pixels: what evaluation looks at."""
    from torchvision.transforms import v2

    side = resized_side(image_size)
    resize = v2.Resize(side, interpolation=v2.InterpolationMode.BILINEAR)
    return v2.functional.center_crop(resize(image), [image_size, image_size])


def augmentation(kind: str, image_size: int) -> Callable[[Image.Image], Image.Image]:
    """Return what makes a photo of `image_size` pixels a side another one in each epoch.

    none    its centre
    flip    its centre, mirrored half the time
    crop    a random part, half to all of it, mirrored half the time. (The usual lower bound of
            0.08 leaves patches in which, at 64 pixels, no breed can be told.)
    colour  the same, with brightness, contrast and saturation changed by up to 30 %

    Raises ValueError for another kind.
    """
    from torchvision.transforms import v2

    mirror = v2.RandomHorizontalFlip()
    crop, centre = partial(_random_crop, image_size), partial(centre_crop, image_size=image_size)
    steps = {
        "none": [centre],
        "flip": [centre, mirror],
        "crop": [crop, mirror],
        "colour": [crop, mirror, v2.ColorJitter(0.3, 0.3, 0.3)],
    }
    if kind not in steps:
        raise ValueError(f"no augmentation {kind!r}: choose from {', '.join(steps)}")
    return v2.Compose(steps[kind])


def _random_crop(image_size: int, image: Image.Image) -> Image.Image:
    """As torchvision's RandomResizedCrop, in one step instead of two, which takes half the time."""
    from torchvision.transforms import RandomResizedCrop

    top, left, height, width = RandomResizedCrop.get_params(image, [0.5, 1.0], [3 / 4, 4 / 3])
    box = (left, top, left + width, top + height)
    return image.resize((image_size, image_size), Image.Resampling.BILINEAR, box=box)


def to_batch(images: list[Image.Image]) -> "torch.Tensor":
    """Stack RGB images of one size into a uint8 tensor of shape (N, H, W, 3)."""
    import torch

    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def normalise(batch: "torch.Tensor", device: "torch.device | str" = "cpu") -> "torch.Tensor":
    """Turn a uint8 (N, H, W, 3) batch into a float32 (N, 3, H, W) one, by ImageNet's mean and STD.

    The result lies in memory as channels-last, the layout in which convolutions are fastest.
    """
    import torch

    # Bytes travel to the device, not floats: a quarter of the traffic.
    batch = batch.to(device, non_blocking=True).float() / 255
    mean, std = (torch.tensor(values, device=device) for values in (MEAN, STD))
    return ((batch - mean) / std).permute(0, 3, 1, 2)
