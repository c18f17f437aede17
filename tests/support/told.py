"""What a text, a title or a document tells in numbers, and the formulas to check them by."""

from __future__ import annotations

import math
import re


def found(pattern: str, text: str) -> tuple[str, ...]:
    """The groups of the only place in a text that matches."""
    places = re.findall(pattern, text)
    assert len(places) == 1, (pattern, text)
    return places[0] if isinstance(places[0], tuple) else (places[0],)


def whole(text: str) -> int:
    """1234 of `1,234`."""
    return int(text.replace(",", ""))


def near(text: str, value: float) -> bool:
    """Whether a printed number is this value, rounded to the digits that are printed."""
    digits = text.replace(",", "").removesuffix("%")
    step = 10.0 ** -len(digits.partition(".")[2]) if "e" not in digits else 0.1 * abs(value)
    return abs(float(digits) - value * (100 if text.endswith("%") else 1)) <= 0.51 * step


def milliseconds(text: str) -> float:
    """1500.0 of `1.5 s`."""
    number, unit = text.split()
    return float(number.replace(",", "")) * {"µs": 1e-3, "ms": 1, "s": 1e3}[unit]


def flat(title: str) -> str:
    """A title on one line."""
    return title.replace("\n", " ")


def lines(axis: dict, **wanted: str) -> list[dict]:
    """The lines of a figure's axes with this marker, style or colour: see `drawn_as_text`."""
    return [e for e in axis["lines"] if all(e[key] == value for key, value in wanted.items())]


def sections(document: str) -> dict[str, str]:
    """The sections of a document in Markdown, by heading."""
    parts = re.split(r"^## (.+)\n", document, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows_of(section: str) -> list[list[str]]:
    """The rows of the first table of a section, its headings first."""
    found_rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in row] for row in found_rows if set("".join(row)) - set("- ")]


def wilson(right: int, photos: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval by his formula, not by the course's library."""
    share, spread = right / photos, z * z / photos
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / photos + spread / (4 * photos)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float, float]:
    """The difference of two shares, each right answers of photos, with Newcombe's interval."""
    p, q = first[0] / first[1], second[0] / second[1]
    (low, high), (least, most) = wilson(*first), wilson(*second)
    below, above = math.hypot(p - low, most - q), math.hypot(high - p, q - least)
    return p - q, p - q - below, p - q + above
