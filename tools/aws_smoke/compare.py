"""Where the answers of two records differ: members, their types, and values that should be equal.

Values that differ from run to run by their nature, such as times and metrics, are not compared;
that they are there, and of which type they are, is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

ABSENT = "(absent)"
# Members whose values are a run's own.
OWN = re.compile(
    r"(Seconds|Time|Timestamp|Value|Bytes|Length|ETag|Checksum\w+|Token|VersionId|Image|lr)$"
)


class Difference(NamedTuple):
    """A request's step and operation, a member of the answer, and both its values."""

    step: str
    operation: str
    path: str
    first: str
    second: str


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[Difference]:
    """All in which two records differ, in the order of the requests."""
    one, two = _by_step(first), _by_step(second)
    asked = [step for step in dict.fromkeys([*one, *two]) if not _denied(one, step)]
    return [
        Difference(*step, *found)
        for step in asked
        if not _denied(two, step)
        for found in _between(one.get(step, {}), two.get(step, {}))
    ]


def told(found: list[Difference], first: str, second: str) -> str:
    """The differences as text, one a line, by the names of the records."""
    return "\n".join(
        f"{each.step}, {each.operation}, {each.path}: {first} {each.first}, {second} {each.second}"
        for each in found
    )


def _by_step(record: dict[str, Any]) -> dict[tuple[str, str], dict[str, set[str]]]:
    """By step and operation, the values of each member; of all answers, if it was asked more."""
    steps: dict[tuple[str, str], dict[str, set[str]]] = {}
    for entry in record["answers"]:
        members = steps.setdefault((entry["step"], entry["operation"]), defaultdict(set))
        content = {name: entry[name] for name in ("answer", "error") if name in entry}
        for path, value in _leaves(content):
            members[path].add(value)
    return steps


def _denied(record: dict[tuple[str, str], dict[str, set[str]]], step: tuple[str, str]) -> bool:
    """Whether the account's policies forbade the request: that says nothing of the answer."""
    codes = record.get(step, {}).get("error.code", set())
    return any("AccessDenied" in code for code in codes)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The members that are no structures, of a list's items all at the same path."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _leaves(item, f"{path}[]")
    else:
        refusal = path.startswith("error")  # what AWS says in its errors is to be compared
        own = isinstance(value, float) or (OWN.search(path) and not refusal)
        yield path, f"({type(value).__name__})" if own else repr(value)


def _between(one: dict[str, set[str]], two: dict[str, set[str]]) -> Iterator[tuple[str, str, str]]:
    for path in dict.fromkeys([*one, *two]):
        if one.get(path) != two.get(path):
            yield path, _text(one.get(path)), _text(two.get(path))


def _text(values: set[str] | None) -> str:
    return ", ".join(sorted(values)) if values else ABSENT
