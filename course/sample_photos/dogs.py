"""Draws one dog of a breed: body in one of four poses, head from the side or from the front.

Bodies are measured in body lengths with the ground at y = 0. All face right; the pen mirrors them.
"""

import numpy as np

from course.sample_photos.heads import head_front, head_side
from course.sample_photos.looks import Look, speckles
from course.sample_photos.pen import Overlay, Pen, ellipse, smooth, tinted, tube

POSES = ("stand", "stand", "sit", "lie", "portrait", "portrait")

# How far down the coat hangs, as a share of the leg, and how much it thickens the legs.
_SKIRT = {"long": 0.25, "silk": 0.85, "fluffy": 0.15, "corded": 0.85}
_FEATHER = {"long": 1.25, "silk": 1.5, "fluffy": 1.4, "corded": 1.8, "wire": 1.15, "curly": 1.35}


def _body_marks(pen: Pen, dog: Look, outline: np.ndarray, sitting: bool) -> tuple[Overlay, ...]:
    """What lies on the body: saddle, belly, chest and the breed's speckles."""
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
    wide, high, rng = x1 - x0, y1 - y0, pen.rng
    marks = list(speckles(pen, dog, (x0 + x1) / 2, (y0 + y1) / 2, wide / 2, high / 2))
    if dog.has("rump"):
        marks.append(
            (ellipse(x0 + 0.25 * wide, y0 + high / 2, 0.42 * wide, high), dog.colour("rump"))
        )
    if dog.has("belly"):
        marks.append((ellipse(x0 + wide / 2, y1, 0.6 * wide, 0.3 * high), dog.colour("belly")))
    if dog.has("saddle"):
        edge = np.array([(0, 0.65), (0.2, 0.5), (0.45, 0.62), (0.7, 0.5), (0.88, 0.3), (0.95, 0)])
        edge[:, 1] *= rng.uniform(0.85, 1.1)
        if sitting:  # the back of a sitting dog is its left edge
            edge = np.array([(0.1, 0.95), (0.3, 0.7), (0.5, 0.55), (0.7, 0.3), (0.8, 0)])
        saddle = smooth(np.vstack([edge, [(0.9, -0.3), (-0.3, -0.3), (-0.3, 0.9)]]))
        marks.append((saddle * (wide, high) + (x0, y0), dog.colour("saddle")))
    if dog.has("chest"):
        low = 0.35 if sitting else 0.55
        marks.append((ellipse(x1, y0 + low * high, 0.22 * wide, 0.45 * high), dog.colour("chest")))
    return tuple(marks)


# -------------------------------------------------------------------------------------------- tails

_TAILS = {  # tail -> points from the root, radii
    "whip": (
        [(0, 0.02), (-0.18, 0.02), (-0.36, -0.08), (-0.48, -0.24)],
        [0.05, 0.035, 0.025, 0.01],
    ),
    "sabre": ([(0, 0.02), (-0.13, 0.08), (-0.21, 0.26), (-0.32, 0.38)], [0.055, 0.05, 0.04, 0.015]),
    "brush": ([(0, 0.02), (-0.14, 0.08), (-0.22, 0.26), (-0.34, 0.40)], [0.06, 0.08, 0.09, 0.02]),
    "plume": ([(0, 0.02), (-0.18, -0.04), (-0.36, -0.03), (-0.54, 0.02)], [0.05, 0.07, 0.10, 0.02]),
    "curl": (
        [(0, 0), (-0.09, -0.16), (0.03, -0.3), (0.17, -0.22), (0.16, -0.1)],
        [0.06, 0.07, 0.08, 0.07, 0.03],
    ),
    "flag": ([(0.02, 0.04), (-0.03, -0.16), (-0.02, -0.32)], [0.055, 0.045, 0.02]),
    "stub": ([(0.02, 0.02), (-0.04, -0.03), (-0.07, -0.06)], [0.05, 0.045, 0.03]),
    "pompon": ([(0.02, 0.04), (-0.05, -0.12), (-0.08, -0.26)], [0.04, 0.03, 0.03]),
}


def _tail(pen: Pen, dog: Look, x: float, y: float, turn: float = 0.0) -> None:
    points, radii = _TAILS[dog.breed.tail]
    coat, thick = dog.breed.coat, 1.0
    if coat in ("fluffy", "long", "silk", "corded") and dog.breed.tail != "whip":
        thick = 1.4
    pen = pen.moved(x, y, 1.0, turn + pen.rng.normal(0, 0.18))
    outline = tube(points, [r * thick for r in radii])
    marks = speckles(pen, dog, *outline.mean(axis=0), 0.2, 0.2)
    if dog.has("tip"):
        marks += ((ellipse(*points[-1], 0.15, 0.13), dog.colour("tip")),)
    pen.part(outline, dog.colour("saddle", "rump"), coat, marks)
    if dog.breed.tail == "pompon":
        pen.part(ellipse(*points[-1], 0.12, 0.12), dog.colour("pompons"), "curly")


# --------------------------------------------------------------------------------------------- legs


def _leg(pen: Pen, dog: Look, points: list[tuple[float, float]], far: bool) -> None:
    """A leg through points from the shoulder or hip to the foot, darker on the far side."""
    clipped = dog.has("pompons")
    bone = dog.shape["bone"] * (0.8 if clipped else _FEATHER.get(dog.breed.coat, 1.0))
    radii = np.interp(np.arange(len(points)), [0, 1, len(points)], [1.9, 1.15, 0.85]) * bone
    dim = 0.72 if far else 1.0
    foot = points[-1]
    upper, lower = dog.colour("coat"), dog.colour("legs")
    marks = [
        (mark, tinted(c, dim))
        for mark, c in speckles(pen, dog, foot[0], foot[1] / 2 - 0.1, bone * 1.5, 0.2)
    ]
    if dog.has("legs"):
        (x0, y0), knee = points[-1], points[-2]
        marks.append(
            (ellipse(x0, y0, 4 * bone, abs(knee[1] - y0) * 1.15 + bone), tinted(lower, dim))
        )
    if dog.has("feet"):
        marks.append((ellipse(*foot, 3 * bone, 3.2 * bone), tinted(dog.colour("feet"), dim)))
    coat = {"silk": "long", "curly": "" if clipped else "curly"}.get(dog.breed.coat, dog.breed.coat)
    toe = dog.colour("feet", "legs")
    pen.part(
        ellipse(foot[0] + 0.7 * bone, foot[1] - 0.6 * bone, 1.5 * bone, 0.8 * bone),
        tinted(toe, dim),
    )
    straight = [*points[:-1], (foot[0], foot[1] - 0.9 * bone)]
    pen.part(tube(straight, radii.tolist()), tinted(upper, dim), coat, tuple(marks))
    if clipped:
        ball = ellipse(foot[0], foot[1] - 2.4 * bone, 2.1 * bone, 1.9 * bone)
        pen.part(ball, tinted(dog.colour("pompons"), dim), "curly")


def _stand(pen: Pen, dog: Look) -> tuple[float, float]:
    """A standing body; returns where the neck begins."""
    s, rng = dog.shape, pen.rng
    half, leg, deep = s["length"] / 2, s["leg"], s["depth"]
    top, low = -(leg + deep), -leg + _SKIRT.get(dog.breed.coat, 0) * leg
    tuck = s["tuck"] * deep * 0.5
    hip, shoulder = -0.76 * half, 0.72 * half
    swing = rng.normal(0, 0.3, 4) * leg * 0.5

    def hind(step: float, far: bool) -> None:
        foot = hip - 0.05 + step + (0.1 if far else 0)
        knee = (hip + 0.08 + step * 0.4, -0.62 * leg)
        _leg(pen, dog, [(hip, top + 0.55 * deep), knee, (foot - 0.05, -0.3 * leg), (foot, 0)], far)

    def fore(step: float, far: bool) -> None:
        foot = shoulder + 0.02 + step + (0.1 if far else 0)
        elbow = (shoulder + step * 0.3 + (0.08 if far else 0), -0.6 * leg)
        _leg(pen, dog, [(shoulder, top + 0.6 * deep), elbow, (foot, 0)], far)

    _tail(pen, dog, -0.97 * half, top + 0.12 * deep)
    hind(swing[0], True)
    fore(swing[1], True)
    outline = smooth(
        [
            (-1.0 * half, top + 0.40 * deep),
            (-0.86 * half, top + 0.06 * deep),
            (-0.2 * half, top + 0.02 * deep),
            (0.6 * half, top - 0.02 * deep),
            (0.98 * half, top + 0.22 * deep),
            (1.04 * half, top + 0.6 * deep),
            (0.7 * half, low),
            (0.0, low - 0.35 * tuck),
            (-0.55 * half, low - tuck),
            (-0.92 * half, low - 0.3 * deep),
        ]
    )
    behind = dog.breed.coat in ("silk", "corded")  # a coat to the ground hides the near legs
    if behind:
        hind(swing[2], False)
        fore(swing[3], False)
    pen.part(outline, dog.colour("coat"), dog.breed.coat, _body_marks(pen, dog, outline, False))
    if not behind:
        hind(swing[2], False)
        fore(swing[3], False)
    if dog.has("pompons"):
        mane = ellipse(0.55 * half, top + 0.5 * deep, 0.55 * half, 0.62 * deep)
        pen.part(mane, dog.colour("pompons"), "curly")
    return 0.66 * half, top + 0.28 * deep


def _sit(pen: Pen, dog: Look) -> tuple[float, float]:
    """A sitting body; returns where the neck begins."""
    s, rng = dog.shape, pen.rng
    long, leg, deep, bone = s["length"], s["leg"], s["depth"], s["bone"]
    high = leg + 0.62 * deep + 0.1 * long
    rump, chest = (-0.34 * long, -0.42 * deep), (0.12 * long, -high)
    front = chest[0] + 0.06 + rng.normal(0, 0.02)
    _tail(pen, dog, rump[0] - 0.25 * deep, -0.2 * deep, 0.2)
    _leg(
        pen,
        dog,
        [(chest[0] + 0.05, 0.75 * chest[1]), (front + 0.08, chest[1] / 2), (front + 0.1, 0)],
        True,
    )
    middle = (0.45 * rump[0] + 0.4 * chest[0], 0.5 * (rump[1] + chest[1]) - 0.04)
    outline = tube([rump, middle, chest], [0.44 * deep, 0.50 * deep, 0.40 * deep])
    pen.part(outline, dog.colour("coat"), dog.breed.coat, _body_marks(pen, dog, outline, True))
    _leg(
        pen,
        dog,
        [(chest[0] + 0.02, 0.72 * chest[1]), (front - 0.02, chest[1] / 2), (front, 0)],
        False,
    )
    thigh = ellipse(-0.24 * long, -0.34 * deep, 0.44 * deep, 0.34 * deep)
    marks = speckles(pen, dog, -0.24 * long, -0.34 * deep, 0.4 * deep, 0.3 * deep)
    pen.part(thigh, dog.colour("rump", "coat"), dog.breed.coat, marks)
    toe = dog.colour("feet", "legs")
    pen.part(tube([(-0.2 * long, -bone), (0.02 * long, -0.8 * bone)], [bone, 0.8 * bone]), toe)
    if dog.has("pompons"):
        pen.part(
            ellipse(chest[0], 0.75 * chest[1], 0.5 * deep, 0.6 * deep),
            dog.colour("pompons"),
            "curly",
        )
    return chest[0] + 0.02, chest[1] + 0.05 * deep


def _lie(pen: Pen, dog: Look) -> tuple[float, float]:
    """A body lying on the belly, paws ahead; returns where the neck begins."""
    s = dog.shape
    half, deep, bone = s["length"] / 2, s["depth"], s["bone"]
    top, reach = -1.0 * deep, 0.5 * s["leg"] + 0.15
    _tail(pen, dog, -0.97 * half, -0.3 * deep, -0.25)
    paw = [(0.6 * half, -0.35 * deep), (0.95 * half, -1.3 * bone)]
    _leg(pen, dog, [*paw, (0.9 * half + reach + 0.1, -0.02)], True)
    outline = smooth(
        [
            (-1.0 * half, -0.3 * deep),
            (-0.8 * half, top + 0.12 * deep),
            (-0.1 * half, top + 0.06 * deep),
            (0.65 * half, top - 0.12 * deep),
            (1.02 * half, top + 0.25 * deep),
            (0.98 * half, -0.1 * deep),
            (0.3 * half, 0.0),
            (-0.8 * half, 0.0),
        ]
    )
    pen.part(outline, dog.colour("coat"), dog.breed.coat, _body_marks(pen, dog, outline, False))
    thigh = ellipse(-0.55 * half, -0.36 * deep, 0.42 * deep, 0.36 * deep)
    marks = speckles(pen, dog, -0.55 * half, -0.36 * deep, 0.4 * deep, 0.3 * deep)
    pen.part(thigh, dog.colour("rump", "coat"), dog.breed.coat, marks)
    toe = dog.colour("feet", "legs")
    pen.part(tube([(-0.5 * half, -bone), (-0.05 * half, -0.8 * bone)], [bone, 0.8 * bone]), toe)
    _leg(pen, dog, [*paw, (0.9 * half + reach, 0.0)], False)
    if dog.has("pompons"):
        pen.part(
            ellipse(0.55 * half, 0.55 * top, 0.5 * half, 0.6 * deep), dog.colour("pompons"), "curly"
        )
    return 0.68 * half, top + 0.2 * deep


def _bust(pen: Pen, dog: Look) -> tuple[float, float]:
    """Chest and shoulders from the front, cut by the lower edge of the picture."""
    s = dog.shape
    wide, neck = 0.42 * s["depth"] + s["head"] * 0.42, 0.30 * s["head"] + 0.25 * s["depth"]
    outline = smooth(
        [
            (-neck, -0.62),
            (neck, -0.62),
            (1.1 * wide, -0.25),
            (1.35 * wide, 0.25),
            (1.3 * wide, 0.9),
            (-1.3 * wide, 0.9),
            (-1.35 * wide, 0.25),
            (-1.1 * wide, -0.25),
        ]
    )
    marks = list(speckles(pen, dog, 0, 0, wide, 0.6))
    if dog.has("saddle"):
        for side in (-1, 1):
            marks.append((ellipse(side * 1.5 * wide, 0.2, 0.7 * wide, 0.8), dog.colour("saddle")))
    for mark in ("belly", "chest", "ruff"):
        if dog.has(mark):
            marks.append((ellipse(0, 0.1, 0.62 * wide, 0.62), dog.colour(mark)))
    pen.part(outline, dog.colour("coat"), dog.breed.coat, tuple(marks))
    return 0.0, -0.62


def _neck(pen: Pen, dog: Look, root: tuple[float, float], head: tuple[float, float]) -> None:
    s = dog.shape
    thick = 0.30 * s["depth"] + 0.1 * s["head"]
    low = (root[0] - 0.02, root[1] + 0.1)
    outline = tube([low, head], [1.15 * thick, 0.36 * s["head"] + 0.02])
    middle = (np.array(low) + head) / 2
    marks = list(speckles(pen, dog, *middle, 0.2, 0.25))
    if dog.has("saddle"):
        marks.append((ellipse(low[0] - 0.15, low[1] - 0.1, 0.17, 0.2), dog.colour("saddle")))
    if dog.has("chest"):
        marks.append((ellipse(middle[0] + 0.17, middle[1] + 0.15, 0.13, 0.26), dog.colour("chest")))
    if dog.has("ruff"):
        marks.append((ellipse(middle[0], middle[1] + 0.06, 0.4, 0.16), dog.colour("ruff")))
    pen.part(outline, dog.colour("coat"), dog.breed.coat, tuple(marks))


def _collar(pen: Pen, dog: Look, head: tuple[float, float], front: bool) -> None:
    if dog.breed.coat not in ("smooth", "dense", "wire") or pen.rng.random() < 0.5:
        return
    colour = ((196, 44, 52), (40, 92, 180), (32, 138, 96), (228, 150, 36))[pen.rng.integers(4)]
    size = dog.shape["head"]
    drop, wide = (0.62, 0.42) if front else (0.55, 0.36)
    x = head[0] - (0 if front else 0.22 * size)
    curve = [
        (x - wide * size, head[1] + (drop - 0.1) * size),
        (x, head[1] + drop * size),
        (x + wide * size, head[1] + (drop - 0.1) * size),
    ]
    pen.line(smooth(curve, closed=False), colour, 0.05)
    pen.dot(x, head[1] + (drop + 0.06) * size, 0.028, 0.03, (232, 200, 90))


_BODIES = {"stand": _stand, "sit": _sit, "lie": _lie, "portrait": _bust}


def draw(pen: Pen, dog: Look, pose: str, front: bool) -> None:
    """Draw the dog in a pose of `POSES`; `front`: it looks at us."""
    s, rng = dog.shape, pen.rng
    root = _BODIES[pose](pen, dog)
    if pose == "portrait":
        head = (rng.normal(0, 0.02), root[1] - 0.30 * s["head"] - 0.05)
    else:
        rise = s["neck"] * rng.uniform(0.75, 1.05) + 0.12
        head = (root[0] + rise * rng.uniform(0.35, 0.75), root[1] - rise)
        _neck(pen, dog, root, head)
    _collar(pen, dog, head, front)
    own = pen.moved(*head, s["head"] * (1.12 if front else 1.0), rng.normal(0, 0.1))
    (head_front if front else head_side)(own, dog)
