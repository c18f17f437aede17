"""Pictures without a dog, to find out what a network makes of them.

Noise, stripes and plain colours look like nothing that it was trained on; a scene is the background
of the drawn photos, without the dog in front. A shuffled photo has a dog's coat and colours, but
not its shape: its small tiles lie in random order.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from course.sample_photos import scenes

TILES = 8  # a side, of a shuffled photo
SIZE = (300, 225)  # width and height in pixels: the most usual of the drawn photos


def scene(rng: np.random.Generator) -> Image.Image:
    """A blurred place, as behind the drawn dogs, and nobody in it."""
    wide, high = (2 * side for side in SIZE)
    ground = high * rng.uniform(0.88, 0.98)
    image = scenes.place(rng, (wide, high), ground, (wide / 2, 0.0))
    scenes.foreground(rng, image, ground)
    return scenes.photograph(rng, image)


def noise(rng: np.random.Generator) -> Image.Image:
    """Each pixel a random colour."""
    return Image.fromarray(rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8))


def stripes(rng: np.random.Generator) -> Image.Image:
    """Stripes of two random colours, at a random angle."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    angle, wide = rng.uniform(0, np.pi), rng.uniform(8, 40)
    first = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wide) > 0
    colours = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    return Image.fromarray(np.where(first[..., None], *colours))


def plain(rng: np.random.Generator) -> Image.Image:
    """One random colour."""
    return Image.new("RGB", SIZE, tuple(rng.integers(0, 256, 3).tolist()))


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "scene": scene,
    "stripes": stripes,
    "noise": noise,
    "plain": plain,
}


def shuffled(rng: np.random.Generator, photo: bytes) -> Image.Image:
    """A photo, cut into `TILES` x `TILES` tiles that lie in random order."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    wide, high = (side // TILES for side in image.size)
    corners = [(x * wide, y * high) for y in range(TILES) for x in range(TILES)]
    mixed = Image.new("RGB", (TILES * wide, TILES * high))
    for corner, place in zip(corners, rng.permutation(len(corners)), strict=True):
        x, y = corners[place]
        mixed.paste(image.crop((x, y, x + wide, y + high)), corner)
    return mixed


def jpegs(count: int, seed: int = 0, photos: Sequence[bytes] = ()) -> dict[str, list[bytes]]:
    """Pictures of each kind, as bytes of JPEG files; the same for the same arguments.

    Args:
        count: how many of each kind are drawn.
        seed: decides how they look.
        photos: bytes of photos; each becomes one of the kind `shuffled`.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count={count}: draw at least one picture of each kind")
    rng = np.random.default_rng(seed)
    found = {kind: [_jpeg(paint(rng)) for _ in range(count)] for kind, paint in KINDS.items()}
    if photos:
        found["shuffled"] = [_jpeg(shuffled(rng, photo)) for photo in photos]
    return found


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)  # as the drawn photos
    return buffer.getvalue()
