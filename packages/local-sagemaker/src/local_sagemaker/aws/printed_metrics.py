"""What a job's metric definitions find in the lines that it prints."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from local_sagemaker.runtime import log_text

UNREAD = "UnreadMetrics"  # our own member: by metric, what was found and is no number


@dataclass
class PrintedMetrics:
    """The metrics of one job, by its MetricDefinitions; the final value is the one printed last."""

    definitions: list[dict]
    final: dict[str, dict] = field(default_factory=dict)
    unread: dict[str, str | None] = field(default_factory=dict)

    def found(self, lines: list[str]) -> list[tuple[str, str | None]]:
        """Names of metrics and what was captured of each, in the order of the lines."""
        return [item for line in lines for item in captures(line, self.definitions).items()]

    def keep(self, found: list[tuple[str, str | None]], now: float) -> bool:
        """Take in what was found at `now`, in seconds since the epoch; False if nothing is new."""
        values = numbers(found)
        unread = {name: text for name, text in found if as_number(text) is None}
        if not values and not unread.keys() - self.unread.keys():
            return False
        for name, value in values:
            self.final[name] = {"MetricName": name, "Value": value, "Timestamp": now}
        self.unread = {**unread, **self.unread}  # what was captured first is kept
        return True

    def members(self) -> dict:
        """What a description has of metrics: final values, and captures that are no number."""
        members = {"FinalMetricDataList": list(self.final.values()), UNREAD: self.unread}
        return {name: value for name, value in members.items() if value}


def captures(line: str, definitions: list[dict]) -> dict[str, str | None]:
    """What the metric definitions (``Name``, ``Regex``) find in one log line.

    As on SageMaker the first group of the expression is the value; None if there is none. Of a
    progress bar's line, what it showed last counts.
    """
    found, states = {}, log_text.segments(line)
    texts = [*reversed(states), line] if len(states) > 1 else [line]
    for definition in definitions:
        tried = (re.search(definition["Regex"], text) for text in texts)
        if match := next(filter(None, tried), None):
            found[definition["Name"]] = match[1] if match.groups() else None
    return found


def as_number(text: str | None) -> float | None:
    """A captured value; None if it is no finite number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def numbers(found: list[tuple[str, str | None]]) -> list[tuple[str, float]]:
    """Those of the captured values that are numbers."""
    return [(name, value) for name, text in found if (value := as_number(text)) is not None]
