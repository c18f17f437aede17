"""Draws a dog's head, from the front or from the side, in skull widths around its centre."""

import numpy as np

from course.sample_photos.looks import Look, speckles
from course.sample_photos.pen import Colour, Overlay, Pen, ellipse, smooth, tinted, tube

_EARS_SIDE = {
    "prick": [(-0.3, -0.28), (-0.24, -0.92), (0.1, -0.4)],
    "bat": [(-0.3, -0.2), (-0.36, -0.72), (-0.2, -1.0), (0, -0.85), (0.08, -0.36)],
    "button": [(-0.26, -0.38), (-0.08, -0.62), (0.16, -0.46), (0.2, -0.1), (0.0, -0.28)],
    "drop": [
        (-0.3, -0.35),
        (-0.1, -0.45),
        (0.02, -0.1),
        (-0.05, 0.32),
        (-0.25, 0.42),
        (-0.42, 0.1),
    ],
    "long": [
        (-0.3, -0.28),
        (-0.08, -0.35),
        (0.04, 0.1),
        (0.02, 0.62),
        (-0.22, 0.82),
        (-0.45, 0.45),
    ],
    "rose": [(-0.1, -0.4), (-0.38, -0.52), (-0.55, -0.28), (-0.32, -0.18)],
    "butterfly": [(-0.2, -0.2), (-0.6, -0.75), (-0.3, -1.08), (0.05, -0.85), (0.1, -0.35)],
}
_EARS_FRONT = {  # the right one
    "prick": [(0.1, -0.4), (0.42, -1.0), (0.5, -0.2)],
    "bat": [(0.1, -0.38), (0.2, -0.85), (0.42, -1.08), (0.6, -0.8), (0.5, -0.22)],
    "button": [(0.12, -0.42), (0.4, -0.64), (0.64, -0.4), (0.54, -0.04), (0.36, -0.26)],
    "drop": [(0.22, -0.42), (0.5, -0.42), (0.68, -0.1), (0.7, 0.3), (0.52, 0.4), (0.42, 0.0)],
    "long": [(0.22, -0.4), (0.52, -0.35), (0.7, 0.1), (0.78, 0.7), (0.55, 0.85), (0.42, 0.2)],
    "rose": [(0.22, -0.42), (0.55, -0.52), (0.68, -0.32), (0.48, -0.22)],
    "butterfly": [(0.12, -0.35), (0.35, -0.9), (0.78, -1.08), (0.9, -0.6), (0.54, -0.1)],
}
_BEHIND = ("prick", "bat", "butterfly")  # ears that stand behind the skull's outline
_INK = (26, 22, 24)
_TONGUE = (222, 112, 118)
_GLEAM = (150, 146, 150)


def _ear_coat(dog: Look) -> str:
    hairy = {"long": "long", "silk": "silk", "fluffy": "dense", "curly": "curly"}
    return hairy.get(dog.breed.coat, "")


def _ear(pen: Pen, dog: Look, points: list[tuple[float, float]], dim: float = 1.0) -> None:
    outline = np.array(points)
    if dog.breed.ears not in ("prick", "button"):
        outline = smooth(outline)
    middle = outline.mean(axis=0)
    marks = speckles(pen, dog, *middle, 0.2, 0.3) if not dog.has("ears") else ()
    colour = tinted(dog.colour("ears", "eyepatch", "head"), dim * 0.88)
    pen.part(outline, colour, _ear_coat(dog), marks)
    if dog.breed.ears in ("prick", "bat"):
        inner = middle + (outline - middle) * 0.5 + (0, 0.08)
        pen.part(inner, tinted((198, 146, 134), dim * (0.8 if sum(colour) < 260 else 1)))


def _eye(pen: Pen, x: float, y: float, r: float) -> None:
    pen.dot(x, y, r * 1.18, r * 1.15, (40, 30, 28))
    pen.dot(x, y, r * 0.95, r * 0.95, (96, 60, 34))
    pen.dot(x, y, r * 0.62, r * 0.66, (14, 12, 14))
    pen.dot(x + 0.3 * r, y - 0.35 * r, r * 0.3, r * 0.3, (252, 252, 252))


def _smile(pen: Pen, x: float, y: float, wide: float, tongue: bool) -> None:
    if tongue:
        pen.part(ellipse(x, y + 0.13, 0.1, 0.17), _TONGUE)
        pen.line([(x, y + 0.05), (x, y + 0.22)], tinted(_TONGUE, 0.8), 0.02)
    for side in (-1, 1):
        curve = [
            (x, y - 0.1),
            (x, y),
            (x + side * wide * 0.6, y + 0.06),
            (x + side * wide, y - 0.02),
        ]
        pen.line(smooth(curve, closed=False), _INK, 0.028)


def _head_coat(dog: Look) -> str:
    short = {"long": "", "silk": "dense", "dense": "", "wire": "wire", "fluffy": "dense"}
    return short.get(dog.breed.coat, dog.breed.coat if dog.has("fringe") else "")


def _worn(dog: Look, *shapes: tuple[str, np.ndarray]) -> list[Overlay]:
    """Those of the shapes whose mark the breed carries."""
    return [(outline, dog.colour(mark)) for mark, outline in shapes if dog.has(mark)]


def _add(pen: Pen, dog: Look, mark: str, outline: np.ndarray, coat: str = "") -> None:
    """A part for a mark such as a beard, where the breed carries it."""
    if dog.has(mark):
        pen.part(outline, dog.colour(mark), coat)


def _beard_coat(dog: Look) -> str:
    return "wire" if dog.breed.coat == "wire" else "long"


def _topknot_coat(dog: Look) -> str:
    return "curly" if dog.breed.coat == "curly" else "silk"


def _muzzle_colour(dog: Look) -> Colour:
    return dog.colour("muzzle", "mask", "blaze", "face", "head")


# ---------------------------------------------------------------------------------- from the front

_FACE = smooth([(-0.42, -0.12), (0, -0.25), (0.42, -0.12), (0.36, 0.5), (-0.36, 0.5)])
_VEIL_HALF = [(0.42, -0.42), (0.52, 0.1), (0.3, 0.22)]
_VEIL = smooth([(0, -0.58), *_VEIL_HALF, (0, 0.06), *[(-x, y) for x, y in reversed(_VEIL_HALF)]])


def head_front(pen: Pen, dog: Look) -> None:
    """A head that looks at us, turned a little to one side."""
    s, yaw = dog.shape, pen.rng.normal(0, 0.07)
    broad = float(np.clip(0.84 + 0.35 * s["jowl"] - 0.14 * s["snout"], 0.74, 1.14))
    behind = dog.breed.ears in _BEHIND
    _add(pen, dog, "mane", ellipse(0, 0.12, 0.86, 0.82), "fluffy")
    if behind:
        _ears_front(pen, dog, broad)
    pen.part(
        _skull(s["jowl"], broad), dog.colour("head"), _head_coat(dog), _front_marks(pen, dog, yaw)
    )
    for y in (-0.34, -0.27) if dog.has("wrinkles") else ():
        fold = smooth([(-0.16, y), (0, y + 0.05), (0.16, y)], closed=False)
        pen.line(fold, dog.colour("wrinkles"), 0.025)
    if not behind:
        _ears_front(pen, dog, broad)
    down = 0.15 + 0.12 * s["snout"]
    rx, ry = 0.19 + 0.11 * s["jowl"] - 0.03 * s["snout"], 0.17 + 0.08 * s["snout"]
    _muzzle_front(pen, dog, yaw, down, rx, ry)
    _eyes_front(pen, dog, yaw, broad)
    _add(pen, dog, "topknot", ellipse(0, -0.42, 0.42, 0.3), _topknot_coat(dog))
    _nose_front(pen, dog, yaw, down, rx, ry)


def _ears_front(pen: Pen, dog: Look, broad: float) -> None:
    for side in (-1, 1):
        _ear(pen, dog, [(side * broad * x, y) for x, y in _EARS_FRONT[dog.breed.ears]])


def _skull(jowl: float, broad: float) -> np.ndarray:
    right = [(0.34, -0.42), (0.48, -0.1), (0.40 + 0.12 * jowl, 0.2), (0.26 + 0.12 * jowl, 0.44)]
    left = [(-x, y) for x, y in reversed(right)]
    return smooth([(0, -0.5), *right, (0, 0.5), *left]) * (broad, 1)


def _front_marks(pen: Pen, dog: Look, yaw: float) -> tuple[Overlay, ...]:
    found = list(speckles(pen, dog, 0, -0.2, 0.45, 0.35)) if not dog.has("head") else []
    for side in (-1, 1) if dog.breed.ears != "prick" else (1,):
        found += _worn(dog, ("eyepatch", ellipse(side * 0.3 + yaw, -0.12, 0.22, 0.3)))
    blaze = [(-0.06, -0.55), (0.06, -0.55), (0.1 + yaw, -0.1)]
    blaze += [(0.22 + yaw, 0.3), (-0.22 + yaw, 0.3), (-0.1 + yaw, -0.1)]
    mask = ellipse(yaw, 0.2, 0.38, 0.4)
    return (*found, *_worn(dog, ("face", _FACE), ("mask", mask), ("blaze", smooth(blaze))))


def _muzzle_front(pen: Pen, dog: Look, yaw: float, down: float, rx: float, ry: float) -> None:
    _add(pen, dog, "beard", ellipse(yaw, down + 0.2, rx + 0.08, ry + 0.18), _beard_coat(dog))
    _smile(pen, yaw, down + 0.6 * ry + 0.06, 0.7 * rx, bool(pen.rng.random() < 0.45))
    around = np.array([(-0.6, -1), (0.6, -1), (1, 0.3), (0.5, 1), (-0.5, 1), (-1, 0.3)])
    shape = smooth(around * (rx, ry) + (yaw, down))
    pen.part(shape, tinted(_muzzle_colour(dog), 1.04), _head_coat(dog))


def _eyes_front(pen: Pen, dog: Look, yaw: float, broad: float) -> None:
    if dog.has("fringe"):
        return _add(pen, dog, "fringe", _VEIL, _head_coat(dog) or "long")
    size = 0.072 + 0.022 * (dog.shape["snout"] < 0.3)
    for side in (-1, 1):
        _add(pen, dog, "brows", ellipse(side * 0.21 * broad + 0.6 * yaw, -0.22, 0.075, 0.055))
        _eye(pen, side * 0.23 * broad + 0.6 * yaw, -0.08, size)


def _nose_front(pen: Pen, dog: Look, yaw: float, down: float, rx: float, ry: float) -> None:
    y, low, muzzle = down - 0.55 * ry, down + 0.55 * ry, _muzzle_colour(dog)
    pen.part(ellipse(yaw, y, 0.105 + 0.02 * dog.shape["jowl"], 0.075), _INK)
    pen.dot(yaw - 0.03, y - 0.03, 0.03, 0.014, _GLEAM)
    dark = (12, 10, 12) if sum(muzzle) < 240 else tinted(muzzle, 0.45)
    for side in (-1, 1):
        lip = [(yaw + side * 0.45 * rx, low + 0.03), (yaw + side * 0.8 * rx, low - 0.04)]
        curve = [(yaw, y + 0.07), (yaw, low - 0.05), *lip]
        pen.line(smooth(curve, closed=False), dark, 0.022)


# ------------------------------------------------------------------------------------ from the side

_VEIL_SIDE = smooth(
    [(-0.3, -0.45), (0.1, -0.54), (0.4, -0.3), (0.5, 0.08), (0.2, 0.16), (-0.2, 0.1)]
)
_BLAZE_SIDE = smooth([(0.2, -0.55), (0.5, -0.3), (0.5, 0), (0.32, -0.12), (0.24, -0.3)])
_FOLD_SIDE = smooth([(0.0, -0.36), (0.2, -0.26), (0.26, -0.1)], closed=False)


def head_side(pen: Pen, dog: Look) -> None:
    """A head in profile."""
    tip = 0.40 + 0.52 * dog.shape["snout"]
    ear = _EARS_SIDE[dog.breed.ears]
    _add(pen, dog, "mane", ellipse(-0.2, 0.22, 0.72, 0.75), "fluffy")
    if dog.breed.ears in _BEHIND:
        _ear(pen, dog, [(x + 0.2, y) for x, y in ear], 0.8)
    _jaw_side(pen, dog, tip)
    skull = ellipse(-0.02, -0.04, 0.47, 0.44 + 0.05 * dog.shape["jowl"])
    pen.part(skull, dog.colour("head"), _head_coat(dog), _side_marks(pen, dog))
    _snout_side(pen, dog, tip)
    _eye_side(pen, dog)
    _add(pen, dog, "topknot", ellipse(-0.05, -0.42, 0.36, 0.26), _topknot_coat(dog))
    _ear(pen, dog, ear)


def _jaw_side(pen: Pen, dog: Look, tip: float) -> None:
    _add(pen, dog, "beard", ellipse(tip - 0.14, 0.36, 0.2, 0.2), _beard_coat(dog))
    if pen.rng.random() < 0.4:
        tongue = [(tip - 0.2, 0.3), (tip - 0.06, 0.42), (tip - 0.05, 0.54)]
        pen.part(tube(tongue, [0.06, 0.07, 0.05]), _TONGUE)
    jaw = tube([(0.12, 0.24), (tip - 0.16, 0.30)], [0.18, 0.07 + 0.03 * dog.shape["jowl"]])
    pen.part(jaw, tinted(_muzzle_colour(dog), 0.82), _head_coat(dog))


def _side_marks(pen: Pen, dog: Look) -> tuple[Overlay, ...]:
    found = speckles(pen, dog, -0.05, -0.15, 0.4, 0.35) if not dog.has("head") else ()
    return (
        *found,
        *_worn(
            dog,
            ("eyepatch", ellipse(0.1, -0.15, 0.24, 0.3)),
            ("face", ellipse(0.25, 0.2, 0.4, 0.36)),
            ("mask", ellipse(0.36, 0.16, 0.32, 0.34)),
            ("blaze", _BLAZE_SIDE),
        ),
    )


def _snout_side(pen: Pen, dog: Look, tip: float) -> None:
    jowl, muzzle, coat = dog.shape["jowl"], _muzzle_colour(dog), _head_coat(dog)
    end = 0.13 + 0.06 * jowl
    ridge = [(0.1, 0.1), (0.5 * tip, 0.13), (tip - end, 0.17)]
    pen.part(tube(ridge, [0.30, 0.2 + 0.04 * jowl, end]), muzzle, coat)
    if jowl > 0.55:
        pen.part(ellipse(tip - 0.26, 0.28, 0.2, 0.08 + 0.1 * jowl), tinted(muzzle, 0.94), coat)
    else:
        mouth = [(tip - 0.05, 0.27), (0.6 * tip, 0.31), (0.3, 0.26)]
        pen.line(smooth(mouth, closed=False), tinted(muzzle, 0.45), 0.022)
    if dog.has("wrinkles"):
        pen.line(_FOLD_SIDE, dog.colour("wrinkles"), 0.025)
    pen.part(ellipse(tip - 0.03, 0.08, 0.085, 0.075), _INK)
    pen.dot(tip - 0.02, 0.05, 0.03, 0.015, _GLEAM)


def _eye_side(pen: Pen, dog: Look) -> None:
    if dog.has("fringe"):
        return _add(pen, dog, "fringe", _VEIL_SIDE, _head_coat(dog) or "long")
    _add(pen, dog, "brows", ellipse(0.23, -0.27, 0.08, 0.05))
    _eye(pen, 0.2, -0.12, 0.075)
