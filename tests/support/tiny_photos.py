"""Tiny photos for tests: classes that differ in colour, so that a small network learns them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"001.Affenpinscher": (200, 60, 60), "002.Afghan_hound": (60, 60, 200)}


def draw(colour: tuple[int, int, int], seed: int = 0, size: tuple[int, int] = (48, 40)):
    """Return an RGB image of `size` = (width, height): the colour with noise on it."""
    noise = np.random.default_rng(seed).integers(-50, 50, (size[1], size[0], 3))
    return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, image_format: str = "JPEG", **options) -> bytes:
    """Return the image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def write_channels(root: Path, photos: int = 8, channels=("train", "valid", "test")) -> Path:
    """Write `root/<channel>/<class>/<n>.jpg`, half as many outside `train`."""
    for c, channel in enumerate(channels):
        for name, colour in COLOURS.items():
            folder = root / channel / name
            folder.mkdir(parents=True)
            for n in range(photos if channel == "train" else photos // 2):
                (folder / f"{n:03}.jpg").write_bytes(encode(draw(colour, seed=1000 * c + n)))
    return root
