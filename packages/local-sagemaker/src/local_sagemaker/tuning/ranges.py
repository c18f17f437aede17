"""Parameter ranges of a tuning job: AWS's rules for them, and how many values they hold."""

from __future__ import annotations

import math

from local_sagemaker.core.errors import invalid

KINDS = ("Categorical", "Continuous", "Integer")
LARGEST = 2**53  # of integers, which the search computes with as floats
MAX_RANGES = 30  # AWS: over all kinds together


def completed(asked: dict) -> dict:
    """Ranges as Describe shows them: every kind is there, and each scale is named."""
    found = {**asked}
    for kind in KINDS:
        items = asked.get(f"{kind}ParameterRanges", [])
        scaled = {} if kind == "Categorical" else {"ScalingType": "Auto"}
        found[f"{kind}ParameterRanges"] = [{**scaled, **item} for item in items]
    return found


def of(asked: dict) -> dict[str, dict]:
    """All parameter ranges by name, each with its ``Type``, checked.

    Raises:
        ApiError: ValidationException for limits that are no numbers, out of order, or cannot be
            scaled as asked, and for names and categories that stand there twice.
    """
    if asked.get("AutoParameters"):
        raise invalid("AutoParameters: local_sagemaker does not choose ranges; name them")
    items = [
        {**item, "Type": kind} for kind in KINDS for item in asked.get(f"{kind}ParameterRanges", [])
    ]
    if not items:
        raise invalid("The ParameterRanges hold no range")
    if len(items) > MAX_RANGES:
        raise invalid(f"{len(items)} parameter ranges are more than {MAX_RANGES}")
    found = {item["Name"]: item for item in items}
    if len(found) < len(items):
        names = [item["Name"] for item in items]
        raise invalid(f"Each hyperparameter has one range, and in {names} a name stands twice")
    for item in items:
        _check_categories(item) if item["Type"] == "Categorical" else _check_limits(item)
    return found


def limits(item: dict) -> tuple[float, float]:
    """The lowest and the highest value of a range of numbers."""
    number = int if item["Type"] == "Integer" else float
    return number(item["MinValue"]), number(item["MaxValue"])


def combinations(found: dict[str, dict]) -> float:
    """How many different choices of values there are; infinite with a continuous range."""
    return math.prod(_size(item) for item in found.values())


def _size(item: dict) -> float:
    if item["Type"] == "Categorical":
        return len(item["Values"])
    low, high = limits(item)
    return high - low + 1 if item["Type"] == "Integer" else math.inf


def _check_categories(item: dict) -> None:
    if not item["Values"]:
        raise invalid(f"the categorical range '{item['Name']}' has no values")
    if len(set(item["Values"])) < len(item["Values"]):
        raise invalid(f"the categorical range '{item['Name']}' has a value twice")


def _check_limits(item: dict) -> None:
    name, scaling = item["Name"], item.get("ScalingType", "Auto")
    try:
        low, high = limits(item)
        if not math.isfinite(float(high) - float(low)) or (
            item["Type"] == "Integer" and max(abs(low), abs(high)) > LARGEST
        ):
            raise ValueError
    except (ValueError, OverflowError):
        text = f"'{item['MinValue']}' and '{item['MaxValue']}'"
        raise invalid(f"the limits {text} of '{name}' are no {item['Type']} numbers") from None
    if low >= high:
        raise invalid(f"the range '{name}' needs MinValue < MaxValue, not {low} and {high}")
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(f"Logarithmic scaling of '{name}' needs MinValue > 0, not {low}")
    if scaling == "ReverseLogarithmic" and item["Type"] == "Integer":
        raise invalid(f"ReverseLogarithmic scaling is for continuous ranges, not for '{name}'")
    if scaling == "ReverseLogarithmic" and not 0 <= low < high < 1:
        raise invalid(f"ReverseLogarithmic scaling of '{name}' needs 0 <= MinValue < MaxValue < 1")
