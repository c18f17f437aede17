"""The reports of AWS's own profiler rules: ``profiler-reports/<Rule>.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from open_debugger.profiler.reading.lines import LeftOut

NAME = re.compile(r"(?:^|/)profiler-reports/(?P<rule>[^/]+)\.json$")
COUNTS = ("RuleTriggered", "Violations", "Datapoints")


def collect(files: Iterable[tuple[str, bytes]], left: LeftOut) -> dict[str, dict]:
    """The reports in the files, by their rule; of one rule's the first."""
    reports: dict[str, dict] = {}
    for file, data in files:
        try:
            rule = file.rpartition("/")[2].removesuffix(".json")
            reports.setdefault(rule, parse(data))
        except ValueError as error:
            left.file(file, f"not a rule's report: {error}")
    return reports


def parse(data: bytes) -> dict:
    """One report: RuleTriggered, Violations, Datapoints, Details and RuleParameters (a text).

    Members that AWS may add are kept as they are.

    Raises:
        ValueError: it is none; the text says why.
    """
    try:
        report = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(report, dict):
        raise ValueError("not a JSON object")
    for key in COUNTS:
        if type(report.get(key)) is not int or report[key] < 0:
            raise ValueError(f"{key} is {_short(report.get(key))}, not a count")
    for key, kind in (("Details", dict), ("RuleParameters", str)):
        if report.get(key) is None:
            report[key] = kind()
        if not isinstance(report[key], kind):
            raise ValueError(f"{key} is {_short(report[key])}")
    return report


def parameters(report: dict) -> dict[str, float | str | None]:
    """A report's RuleParameters, "threshold:50\\ncpu_threshold:90", by their names."""
    pairs = (line.partition(":") for line in report["RuleParameters"].splitlines())
    return {name.strip(): _value(text.strip()) for name, colon, text in pairs if colon}


def _value(text: str) -> float | str | None:
    if text == "None":
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if text.lstrip("+-").isdecimal() else number


def _short(value: object) -> str:
    return repr(value)[:40]
