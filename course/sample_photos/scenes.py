"""What is behind and before the dog: a blurred place, and grass, balls and light over it.

A place is painted small and enlarged: that blurs it, as a lens does, and costs little.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from course.sample_photos.pen import Colour, tinted

_SHRINK = 4  # the place is painted this many times smaller than the canvas


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    column = np.linspace(top, bottom, 16).astype(np.uint8)[:, None]
    return Image.fromarray(column).resize(size, Image.Resampling.BILINEAR)


def _vary(rng: np.random.Generator, colour: Colour, by: int = 18) -> Colour:
    return tuple(np.clip(np.array(colour) + rng.integers(-by, by + 1, 3), 0, 255).tolist())


def _meadow(rng, size, horizon):
    wide, high = size
    image = _gradient(size, _vary(rng, (112, 168, 222)), _vary(rng, (214, 230, 240)))
    brush = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 4)):
        x, y, r = rng.uniform(0, wide), rng.uniform(0, horizon * 0.6), rng.uniform(4, 12)
        brush.ellipse((x - 2 * r, y - r / 2, x + 2 * r, y + r / 2), fill=(246, 248, 250))
    hills = _vary(rng, (104, 146, 92))
    for _ in range(3):
        x, r = rng.uniform(0, wide), rng.uniform(0.25, 0.6) * wide
        brush.ellipse((x - r, horizon - r / 4, x + r, horizon + r), fill=_vary(rng, hills, 12))
    grass = _vary(rng, (112, 158, 66), 26)
    image.paste(
        _gradient((wide, high - horizon), tinted(grass, 1.1), tinted(grass, 0.7)), (0, horizon)
    )
    return image


def _park(rng, size, horizon):
    wide, _ = size
    image = _meadow(rng, size, horizon)
    brush = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 7)):
        x, r = rng.uniform(0, wide), rng.uniform(0.08, 0.2) * wide
        y = horizon - r * rng.uniform(0.6, 1.4)
        brush.rectangle((x - r / 7, y, x + r / 7, horizon + 2), fill=_vary(rng, (92, 70, 52)))
        leaves = _vary(rng, (66, 112, 58), 30)
        for _ in range(4):
            dx, dy = rng.uniform(-0.6, 0.6, 2) * r
            brush.ellipse(
                (x + dx - r / 1.6, y + dy - r / 1.6, x + dx + r / 1.6, y + dy + r / 1.6),
                fill=_vary(rng, leaves, 10),
            )
    return image


def _beach(rng, size, horizon):
    wide, high = size
    image = _gradient(size, _vary(rng, (120, 180, 226)), _vary(rng, (236, 228, 214)))
    brush = ImageDraw.Draw(image)
    shore = horizon + int(0.08 * high)
    brush.rectangle((0, horizon - int(0.08 * high), wide, shore), fill=_vary(rng, (62, 136, 160)))
    brush.rectangle((0, shore - 2, wide, shore), fill=(240, 244, 244))
    sand = _vary(rng, (216, 190, 146))
    image.paste(_gradient((wide, high - shore), sand, tinted(sand, 0.85)), (0, shore))
    return image


def _snow(rng, size, horizon):
    wide, high = size
    image = _gradient(size, _vary(rng, (168, 190, 214)), _vary(rng, (226, 232, 240)))
    brush = ImageDraw.Draw(image)
    for x in rng.uniform(0, wide, 8):
        h, w = rng.uniform(0.15, 0.4) * high, rng.uniform(0.04, 0.08) * wide
        brush.polygon(
            (x - w, horizon + 2, x + w, horizon + 2, x, horizon - h), fill=_vary(rng, (66, 92, 88))
        )
    image.paste(_gradient((wide, high - horizon), (238, 242, 248), (196, 208, 226)), (0, horizon))
    return image


def _room(rng, size, horizon):
    wide, high = size
    wall = _vary(
        rng, ((196, 178, 152), (150, 172, 176), (206, 200, 190), (172, 132, 118))[rng.integers(4)]
    )
    image = _gradient(size, tinted(wall, 1.08), tinted(wall, 0.92))
    brush = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(0, wide), rng.uniform(0, horizon * 0.5)
        w, h = rng.uniform(0.08, 0.16, 2) * wide
        brush.rectangle(
            (x, y, x + w, y + h), fill=_vary(rng, (120, 140, 150), 60), outline=(90, 70, 54)
        )
    floor = _vary(rng, ((150, 106, 70), (124, 112, 104), (178, 152, 120))[rng.integers(3)])
    image.paste(_gradient((wide, high - horizon), floor, tinted(floor, 0.8)), (0, horizon))
    for x in range(-wide, 2 * wide, max(8, wide // 9)):
        brush.line((wide / 2 + (x - wide / 2) * 0.6, horizon, x, high), fill=tinted(floor, 0.82))
    return image


def _sofa(rng, size, horizon):
    wide, high = size
    image = _room(rng, size, horizon)
    brush = ImageDraw.Draw(image)
    cloth = _vary(
        rng, ((150, 74, 70), (72, 104, 132), (116, 128, 98), (196, 168, 120))[rng.integers(4)]
    )
    x, w = rng.uniform(-0.2, 0.25) * wide, rng.uniform(0.7, 1.0) * wide
    top = horizon - 0.28 * high
    brush.rounded_rectangle((x, top, x + w, horizon + 0.1 * high), 9, fill=cloth)
    for i in range(2):
        left = x + i * w / 2
        box = (left + 2, horizon - 0.08 * high, left + w / 2 - 2, horizon + 0.08 * high)
        brush.rounded_rectangle(box, 6, fill=tinted(cloth, 1.15))
    return image


def _street(rng, size, horizon):
    wide, high = size
    brick = _vary(rng, ((168, 92, 70), (180, 168, 150), (140, 124, 116))[rng.integers(3)], 20)
    image = Image.new("RGB", size, tinted(brick, 0.86))
    brush = ImageDraw.Draw(image)
    for row, y in enumerate(range(0, horizon, 7)):
        for x in range(-12 + 8 * (row % 2), wide, 16):
            brush.rectangle((x, y, x + 14, y + 5), fill=_vary(rng, brick, 9))
    pavement = _vary(rng, (150, 148, 146))
    image.paste(_gradient((wide, high - horizon), pavement, tinted(pavement, 0.85)), (0, horizon))
    return image


PLACES = (_meadow, _park, _beach, _snow, _room, _sofa, _street)


def place(
    rng: np.random.Generator, size: tuple[int, int], ground: float, shadow: tuple[float, float]
) -> Image.Image:
    """A blurred place of `size` pixels, and the dog's shadow.

    `ground` is the height in pixels on which the dog stands, `shadow` the shadow's centre and
    half width in pixels.
    """
    small = (max(8, size[0] // _SHRINK), max(8, size[1] // _SHRINK))
    horizon = int(np.clip(ground / _SHRINK - rng.uniform(0.1, 0.3) * small[1], 8, small[1] - 6))
    image = PLACES[rng.integers(len(PLACES))](rng, small, horizon)
    y, x, half = ground / _SHRINK, shadow[0] / _SHRINK, shadow[1] / _SHRINK
    box = [int(v) for v in (x - half, y - half / 7, x + half, y + half / 7)]
    mask = Image.new("L", small)
    ImageDraw.Draw(mask).ellipse(box, fill=110)
    image.paste((34, 34, 38), (0, 0), mask)
    # Paler than the dog: what is out of focus and far off always is, and it leaves the coat to see.
    image = ImageEnhance.Color(image).enhance(0.7)
    return image.resize(size, Image.Resampling.BILINEAR)


def foreground(rng: np.random.Generator, image: Image.Image, ground: float) -> None:
    """Grass before the paws, sometimes a ball or a leaf near the lens."""
    wide, high = image.size
    brush = ImageDraw.Draw(image)
    if rng.random() < 0.4:
        green = _vary(rng, (92, 138, 56), 22)
        base = min(high, ground + 0.05 * high)
        roots, tops = rng.uniform(0, wide, 46), rng.uniform(0.04, 0.13, 46) * high
        for x, h, lean in zip(roots, tops, rng.uniform(-9, 9, 46), strict=True):
            brush.polygon(
                (x - 4, base, x + 4, base, x + lean, base - h), fill=_vary(rng, green, 16)
            )
        brush.rectangle((0, base - 2, wide, high), fill=green)
    if rng.random() < 0.25:
        x, r = rng.uniform(0.1, 0.9) * wide, rng.uniform(0.035, 0.07) * wide
        ball = _vary(rng, ((214, 60, 52), (226, 196, 44), (52, 110, 196))[rng.integers(3)], 12)
        y = min(high, ground + 0.05 * high)
        brush.ellipse((x - r, y - 2 * r, x + r, y), fill=tinted(ball, 0.78))
        brush.ellipse((x - 0.9 * r, y - 2 * r, x + 0.7 * r, y - 0.4 * r), fill=ball)


def photograph(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Half the size, in the light of the day, with the grain of a sensor."""
    small = image.reduce(2)
    warm, bright = rng.normal(0, 0.04), rng.uniform(0.8, 1.14)
    gain = np.array([1 + warm, 1, 1 - warm]) * bright
    lift = rng.uniform(0, 18)
    table = np.clip(np.arange(256)[None] * gain[:, None] + lift, 0, 255).astype(np.uint8)
    pixels = np.asarray(small.point(table.ravel().tolist()), np.int16)
    grain = rng.normal(0, rng.uniform(1, 5), pixels.shape[:2]).astype(np.int16)
    return Image.fromarray(np.clip(pixels + grain[..., None], 0, 255).astype(np.uint8))
