"""Rules' parameters as the API and notebooks give them: by name, often as strings."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping


class RuleError(ValueError):
    """A rule or a parameter that is not there, or a value it cannot have."""


def require(condition: bool, what: str) -> None:
    """Refuse a parameter's value.

    Raises:
        ValueError: `what` is wrong.
    """
    if not condition:
        raise ValueError(what)


def fill(
    rule: str,
    known: Mapping[str, object],
    types: Mapping[str, type],
    given: Mapping[str, object],
) -> dict[str, object]:
    """The parameters of `rule` that are `known` with their defaults, and those that are `given`.

    What is given may be a string, and is made a value of its type; None leaves the default.

    Raises:
        RuleError: there is no such parameter, or a value is of the wrong kind.
    """
    if unknown := sorted(given.keys() - known.keys()):
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise RuleError(f"{rule} has no parameter '{unknown[0]}'; {there}")
    try:
        converted = {key: _converted(value, types[key], key) for key, value in given.items()}
    except ValueError as error:
        raise RuleError(f"{rule}: {error}") from None
    return {**known, **{key: value for key, value in converted.items() if value is not None}}


def _converted(value: object, wanted: type, name: str) -> object:
    if value is None:
        return None
    kinds = set(typing.get_args(wanted)) or {wanted}
    if list[str] in kinds:
        words = value if isinstance(value, (list, tuple)) else str(value).split(",")
        return [word for each in words if (word := str(each).strip())]
    if str in kinds:
        return str(value)
    convert, what = next(CONVERSIONS[kind] for kind in CONVERSIONS if kind in kinds)
    try:
        return convert(str(value).strip())
    except (KeyError, ValueError):
        raise ValueError(f"{name} '{value}' is not {what}") from None


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _whole(text: str) -> int:
    """A whole number, which AWS's documentation takes as 10.0 too."""
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def _number(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError(text)
    return value


CONVERSIONS: dict[type, tuple[Callable[[str], object], str]] = {
    bool: (_boolean, "True or False"),
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
}
