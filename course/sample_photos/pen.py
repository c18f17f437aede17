"""Drawing shaded, furry shapes with Pillow: the tools that `dogs` and `scenes` use.

Shapes are outlines: float arrays of shape (n, 2), y pointing down. A `Pen` carries them from the
drawn thing's own units to pixels.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]

_STEPS = 5  # points drawn for each control point of a curve
_T = (np.arange(_STEPS) / _STEPS)[:, None]
# Catmull-Rom basis: weights of the four neighbouring control points along one span.
_BASIS = 0.5 * np.hstack(
    [-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, _T**3 - _T**2]
)

# The round end of a limb: cosine and sine of five angles from one side to the other.
_CAP = np.array([(np.cos(angle), np.sin(angle)) for angle in np.deg2rad([-60, -30, 0, 30, 60])])


def smooth(points: np.ndarray, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve of shape (m, 2) through the control points of shape (n, 2)."""
    points = np.asarray(points, float)
    if closed:
        padded = np.vstack([points[-1:], points, points[:2]])
    else:
        padded = np.vstack([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    spans = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)])
    curve = np.einsum("tk,kns->nts", _BASIS, spans).reshape(-1, points.shape[1])
    return curve if closed else np.vstack([curve, points[-1:]])


def tube(centres: np.ndarray, radii: list[float]) -> np.ndarray:
    """The outline of a bent limb: a curve through `centres`, as thick as `radii` say."""
    line = smooth(np.column_stack([np.asarray(centres, float), radii]), closed=False)
    along = np.gradient(line[:, :2], axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    across = along[:, ::-1] * (1, -1)
    sides = across * line[:, 2:]
    start = line[0, :2] + line[0, 2] * (_CAP[:, 1:] * across[0] - _CAP[:, :1] * along[0])
    end = line[-1, :2] + line[-1, 2] * (_CAP[:, 1:] * across[-1] + _CAP[:, :1] * along[-1])
    return np.vstack([start, line[:, :2] + sides, end[::-1], (line[:, :2] - sides)[::-1]])


def ellipse(x: float, y: float, rx: float, ry: float, n: int = 20) -> np.ndarray:
    """An ellipse's outline of `n` points."""
    angle = np.arange(n) * (2 * np.pi / n)
    return np.column_stack([x + rx * np.cos(angle), y + ry * np.sin(angle)])


def blob(rng: np.random.Generator, x: float, y: float, radius: float) -> np.ndarray:
    """An irregular round patch."""
    angle = np.arange(9) * (2 * np.pi / 9)
    r = radius * rng.uniform(0.7, 1.25, 9)
    return np.column_stack([x + r * np.cos(angle), y + r * np.sin(angle)])


# Coat -> (length of the tufts, distance between them, how much they hang), in heads or bodies.
_TUFTS = {
    "dense": (0.012, 0.035, 0.3),
    "long": (0.035, 0.06, 0.9),
    "silk": (0.030, 0.05, 1.0),
    "fluffy": (0.055, 0.07, 0.2),
    "wire": (0.028, 0.04, 0.3),
    "curly": (0.035, 0.085, 0.0),
    "corded": (0.040, 0.05, 1.0),
}


def fur(outline: np.ndarray, coat: str, unit: float, rng: np.random.Generator) -> np.ndarray:
    """The outline with the tufts of a coat on it; `unit` is the length of one unit in pixels."""
    if coat not in _TUFTS:
        return outline
    length, gap, hang = _TUFTS[coat]
    ring = np.vstack([outline, outline[:1]])
    travelled = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    steps = 4 if coat == "curly" else 2
    count = steps * max(6, int(travelled[-1] / (gap * unit)))
    at = np.arange(count) * travelled[-1] / count
    points = np.column_stack([np.interp(at, travelled, ring[:, i]) for i in (0, 1)])
    away = points - points.mean(axis=0)
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
    if coat == "curly":
        height = np.abs(np.sin(np.arange(count) * np.pi / steps))
    else:
        height = (np.arange(count) % 2) * rng.uniform(0.3, 1.3, count)
    away[:, 1] += hang
    return points + away * (height * length * unit)[:, None]


@lru_cache(maxsize=8)
def _shading(side: int) -> Image.Image:
    """Light on a ball, as grey values that multiply a colour; `side` is -1 (left) or 1 (right)."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    z = np.sqrt(np.clip(1 - 0.8 * (x**2 + y**2), 0, 1))
    lit = np.clip(0.32 * side * x - 0.62 * y + 0.6 * z, 0, 1)
    return Image.fromarray((255 * np.clip(0.58 + 0.50 * lit, 0, 1)).astype(np.uint8))


def tinted(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor < 1) or lighter (> 1)."""
    red, green, blue = colour  # thousands of calls a picture: no loop
    return (
        min(255, max(0, int(red * factor))),
        min(255, max(0, int(green * factor))),
        min(255, max(0, int(blue * factor))),
    )


Overlay = tuple[np.ndarray, Colour]


@dataclass(frozen=True)
class Pen:
    """Paints on `image`. `frame` (2, 3) turns own units into pixels; `unit` is one in pixels."""

    image: Image.Image
    rng: np.random.Generator
    frame: np.ndarray
    unit: float
    side: int = 1

    def moved(self, x: float, y: float, scale: float, turn: float = 0.0, flip: bool = False):
        """A pen for a part of the drawing, whose origin is (x, y) in this pen's units."""
        cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
        own = np.array([[-cos if flip else cos, -sin], [-sin if flip else sin, cos]])
        frame = np.hstack([self.frame[:, :2] @ own, self.pixels([[x, y]]).T])
        return replace(self, frame=frame, unit=self.unit * scale)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points in pixels."""
        return np.asarray(points, float) @ self.frame[:, :2].T + self.frame[:, 2]

    def dot(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """A plain ellipse."""
        self.flat(ellipse(x, y, rx, ry), colour)

    def flat(self, outline: np.ndarray, colour: Colour) -> None:
        """A plain shape."""
        ImageDraw.Draw(self.image).polygon(self.pixels(outline).ravel().tolist(), fill=colour)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """A line of `width` units."""
        pixels = self.pixels(points).ravel().tolist()
        wide = max(1, round(width * self.unit))
        ImageDraw.Draw(self.image).line(pixels, fill=colour, width=wide, joint="curve")

    def part(
        self, outline: np.ndarray, colour: Colour, coat: str = "", marks: tuple[Overlay, ...] = ()
    ) -> None:
        """A shaded part in its coat, with the marks (outline, colour) that lie on it."""
        shape = fur(self.pixels(outline), coat, self.unit, self.rng)
        low, high = shape.min(axis=0), shape.max(axis=0)
        left, top = np.maximum(np.floor(low), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(high) + 1, self.image.size).astype(int).tolist()
        if right <= left or bottom <= top:
            return
        size, corner = (right - left, bottom - top), np.array([left, top])
        fill = Image.new("RGB", size, tinted(colour, 1.08))
        brush = ImageDraw.Draw(fill)
        for mark, paint in marks:
            local = self.pixels(mark) - corner
            brush.polygon(local.ravel().tolist(), fill=tinted(paint, 1.08))
        local = (shape - corner).ravel().tolist()
        self._strokes(brush, fill, coat)
        light = _shading(self.side)
        span = np.maximum(high - low, 1)
        box = np.concatenate([(corner - low) / span, (corner + size - low) / span]) * light.width
        light = light.resize(size, Image.Resampling.BILINEAR, np.clip(box, 0, light.width).tolist())
        fill = ImageChops.multiply(fill, Image.merge("RGB", [light] * 3))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon(local, fill=255)
        self.image.paste(fill, (left, top), mask)

    def _strokes(self, brush: ImageDraw.ImageDraw, fill: Image.Image, coat: str) -> None:
        """The hairs of the coat, each a little lighter or darker than what it lies on."""
        if coat not in _TUFTS:
            return
        length, gap, hang = _TUFTS[coat]
        area = fill.width * fill.height / self.unit**2
        count = min(160, int(area / gap / 0.07))
        where = self.rng.uniform(0, 1, (count, 2)) * fill.size
        lean = self.rng.uniform(-1, 1, count) * (1 - 0.7 * hang)
        shade = self.rng.uniform(0.72, 1.2, count)
        reach = length * self.unit * (3.5 if hang > 0.8 else 1.8)
        below = fill.load()  # what the strokes before it have left
        for (x, y), across, factor in zip(
            where.tolist(), lean.tolist(), shade.tolist(), strict=True
        ):
            colour = tinted(below[int(x), int(y)], factor)
            if coat == "curly":
                brush.arc((x - reach, y - reach, x + reach, y + reach), 0, 230, colour, 2)
            else:
                width = 4 if coat == "corded" else 2
                brush.line((x, y, x + across * reach, y + reach), fill=colour, width=width)
