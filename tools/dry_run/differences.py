"""Where the requests of one run differ from those of another, names of the run's own aside."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tools.dry_run.record import Call

# What every run names anew: jobs after the time, tuned jobs after their number, steps.
OWN_NAMES = (
    (re.compile(r"-\d{3}-[0-9a-f]{8}\b"), "-(tuned job)"),
    (re.compile(r"\b20\d{12}(-\d{4})?\b"), "(time)"),
    (re.compile(r"\b\d{6}-\d{4}\b|\b\d{10}(\.\d+)?\b"), "(time)"),
    (re.compile(r"\b0\d{8}(\d{3})?\b"), "(step)"),  # in the names of Debugger's files
)
# Members that belong to the way of a request and not to what it asks.
TRANSPORT = re.compile(r"Checksum\w*|ContentEncoding|ContentMD5|IfMatch|Range|UploadId")
MOMENTS = {"StartTime", "EndTime"}
# Where the next page of an answer begins.
TOKENS = {"NextToken", "nextToken", "ContinuationToken", "Marker"}
# Parts of an upload follow from an object's size, which a trained network's archive does not fix.
PARTS = {"s3:UploadPart", "s3:CompleteMultipartUpload"}
READING = re.compile(r"(Get|List|Describe|Head|Filter|Simulate)")
UNORDERED = {"s3:PutObject"}  # the notebooks upload by eight threads
ANSWERED = re.compile(r"^(arn:aws:sagemaker:)[a-z0-9-]+:")
ABSENT = "(absent)"


class Difference(NamedTuple):
    """A member of an operation's request (or ``request`` itself) and both its values."""

    operation: str
    path: str
    first: str
    second: str


def differences(
    first: Sequence[Call],
    second: Sequence[Call],
    first_facts: Mapping[str, str],
    second_facts: Mapping[str, str],
) -> list[Difference]:
    """All that `second` asks otherwise than `first`, each kind of difference once.

    Args:
        first_facts, second_facts: by name, texts of one run that stand for the same thing in both
            (``{"bucket": "sagemaker-us-east-1-123456789012"}``). Their difference is no
            difference of the requests; they are compared by whoever chose them.
    """
    one, two = _grouped(first, first_facts), _grouped(second, second_facts)
    found: dict[Difference, None] = {}
    for operation in sorted(set(one) | set(two)):
        for a, b in _paired(operation, one[operation], two[operation]):
            found.update(dict.fromkeys(_between(operation, a, b)))
    return list(found)


def _grouped(calls: Sequence[Call], facts: Mapping[str, str]) -> defaultdict[str, list[dict]]:
    groups: defaultdict[str, list[dict]] = defaultdict(list)
    for call in calls:
        if call.name not in PARTS:
            groups[call.name].append(_normal(call, facts))
    return groups


def _normal(call: Call, facts: Mapping[str, str]) -> dict:
    """A request without what is its run's own: flat, from path to value."""
    params = {"(status)": call.status, **call.params}
    if str(params.get("Key", "")).endswith(".tar.gz"):
        params.pop("Body", None)  # an archive's length follows from the times within
    return {path: _plain(path, value, facts) for path, value in _leaves(params)}


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The members that are no structures; lists of named things by name, not by position."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            if not TRANSPORT.fullmatch(name):
                yield from _leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for number, member in enumerate(value):
            yield from _leaves(member, f"{path}.{number}")
    else:
        yield path, value


def _plain(path: str, value: object, facts: Mapping[str, str]) -> str:
    if path in MOMENTS:
        return "(time)"
    if path in TOKENS:
        return "(page)"
    text = value if isinstance(value, str) else json.dumps(value)
    if path == "ResourceArn":  # as an answer gave it: the engine's resources are all in one region
        text = ANSWERED.sub(r"\1(region):", text)
    for name, own in facts.items():
        text = text.replace(own, f"({name})")
    for pattern, name in OWN_NAMES:
        text = pattern.sub(name, text)
    return text


def _paired(
    operation: str, first: list[dict], second: list[dict]
) -> Iterator[tuple[dict | None, dict | None]]:
    """What is to be compared with what: writes in their order, of reads what was not asked alike.

    How often a state is polled says nothing, so equal reads count once.
    """
    reading = READING.match(operation.partition(":")[2])
    if reading or operation in UNORDERED:
        one, two = (_distinct(first), _distinct(second)) if reading else (first, list(second))
        left = []
        for request in one:  # what has its like on the other side is done with
            if request in two:
                two.remove(request)
            else:
                left.append(request)
        yield from _nearest(left, two)
        return
    for number in range(max(len(first), len(second))):
        yield (
            first[number] if number < len(first) else None,
            second[number] if number < len(second) else None,
        )


def _nearest(first: list[dict], second: list[dict]) -> Iterator[tuple[dict | None, dict | None]]:
    """Each request of `second` with the one of `first` that differs least; the rest alone."""
    left = list(first)
    for request in second:
        nearest = min(left, key=lambda a: len(set(a.items()) ^ set(request.items())), default=None)
        if nearest is not None:
            left.remove(nearest)
        yield nearest, request
    yield from ((request, None) for request in left)


def _distinct(requests: list[dict]) -> list[dict]:
    return list({_text(request): request for request in requests}.values())


def _text(request: dict) -> str:
    return json.dumps(request, sort_keys=True)


def _between(operation: str, first: dict | None, second: dict | None) -> Iterator[Difference]:
    if first is None or second is None:
        told = {k: v for k, v in (first or second or {}).items() if k != "(status)"}
        text = ", ".join(f"{name}={value}" for name, value in told.items()) or "(no parameters)"
        yield Difference(
            operation, "request", ABSENT if first is None else text, ABSENT if first else text
        )
        return
    for path in [*first, *(path for path in second if path not in first)]:
        a, b = first.get(path, ABSENT), second.get(path, ABSENT)
        if a != b:
            yield Difference(operation, path, a, b)
