"""One dog of a breed: its own proportions and colours, and the speckles of its coat."""

from dataclasses import dataclass

import numpy as np

from course.sample_photos import breeds
from course.sample_photos.pen import Colour, Overlay, Pen, blob


@dataclass(frozen=True)
class Look:
    """One dog of a breed: its proportions and its colours, a little unlike its siblings'."""

    breed: breeds.Breed
    shape: dict[str, float]
    paint: dict[str, Colour]

    def colour(self, *places: str) -> Colour:
        """The colour of the first of these places that has one of its own, else the coat's."""
        for place in places:
            if place in self.paint:
                return self.paint[place]
        return self.paint["coat"]

    def has(self, mark: str) -> bool:
        """Whether the breed carries this mark."""
        return mark in self.breed.marks


def look(breed: breeds.Breed, rng: np.random.Generator) -> Look:
    """A dog of this breed: proportions vary by some 5 %, the coat's lightness by some 10 %."""
    factors = np.clip(rng.normal(1, 0.05, len(breeds.PROPORTIONS)), 0.88, 1.12)
    shape = {
        key: getattr(breed, key) * factor
        for key, factor in zip(breeds.PROPORTIONS, factors.tolist(), strict=True)
    }
    light, hue = rng.normal(1, 0.08), rng.normal(0, 4, 3)
    paint = {
        place: tuple(
            np.clip(np.array(breeds.COLOURS[name]) * light + hue, 6, 250).astype(int).tolist()
        )
        for place, name in {"coat": breed.colour, **breed.marks}.items()
    }
    return Look(breed, shape, paint)


def speckles(pen: Pen, dog: Look, x: float, y: float, rx: float, ry: float) -> tuple[Overlay, ...]:
    """Spots, ticks, stripes and patches on a part around (x, y)."""
    rng, area, found = pen.rng, 4 * rx * ry, []

    def scatter(mark: str, density: float, low: float, high: float) -> None:
        for _ in range(int(density * area + rng.random()) if dog.has(mark) else 0):
            dx, dy = rng.uniform(-1, 1, 2)
            outline = blob(rng, x + dx * rx, y + dy * ry, rng.uniform(low, high))
            found.append((outline, dog.colour(mark)))

    scatter("spots", 75, 0.022, 0.048)
    scatter("ticks", 220, 0.008, 0.02)
    scatter("merle", 60, 0.02, 0.06)
    scatter("patches", 7, 0.1, 0.22)
    for at in np.arange(-1, 1, 0.05 / rx) if dog.has("stripes") else ():
        left, top = x + at * rx + rng.normal(0, 0.008), y - ry * rng.uniform(0.5, 1)
        drop = ry * rng.uniform(0.8, 1.6)
        stripe = [(left, top), (left + 0.018, top), (left - 0.03, top + drop)]
        found.append((np.array(stripe), dog.colour("stripes")))
    return tuple(found)
