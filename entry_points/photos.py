"""Photos: which there are in a folder, of which class; decoding one, upright and in RGB."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


class DataError(Exception):
    """The data cannot be used as it is; the message names the folder or file, and the way out."""


@dataclass(frozen=True)
class PhotoFolder:
    """A folder of class folders: the class names in order, and the files with their labels."""

    classes: list[str]
    files: list[Path]
    labels: list[int]


def list_photos(root: Path) -> PhotoFolder:
    """List the photos under `root/<class>/`, sorted: label i is the i-th class folder by name.

    Raises DataError when there is no such folder, no class folder, or one without photos.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}: a channel must hold one folder a class")
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    if not classes:
        raise DataError(f"no class folders in {root}: expected {root}/<class>/<photo>.jpg")
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise DataError(f"no photos in {root / name}: add some, or remove the folder")
        files += found
        labels += [label] * len(found)
    return PhotoFolder(classes, files, labels)


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


def _some(names: list[str], limit: int = 5) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def decode(image: Image.Image, side: int | None) -> Image.Image:
    """Decode an opened photo: RGB, upright (EXIF), sides possibly reduced, to no less than `side`.

    A JPEG is decoded at a half, a quarter or an eighth of its size where that still leaves twice
    `side` pixels: many times faster than decoding it whole, and nothing is lost in the resizing.
    With None for a side, it is decoded whole. Raises whatever Pillow raises on a file that it
    cannot decode.
    """
    if side is not None:
        image.draft("RGB", (2 * side, 2 * side))
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        # Transparent pixels carry arbitrary colours: show them on white, as a browser does.
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")
