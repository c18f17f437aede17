"""Requests for lists: those that rely on a default order, and those that read one page of several.

Both work in an account that holds little. In a full one, the order that nobody asked for is another
than expected, and what is sought lies on a page that nobody reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache

from tools.dry_run.record import Call, service_model

# The members that choose an order. Without them, AWS takes another default for each operation.
ORDERS = ("SortBy", "SortOrder", "orderBy", "startFromHead")
# Requests of the SDK that name no order, with their members, and why that does no harm.
ORDERED_LATER = {
    (
        "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
        ("HyperParameterTuningJobName", "MaxResults"),
    ): ("the SDK's analytics(): it reads all pages, and notebook 02 sorts the table"),
}
# Who takes the first match of a list, newest first, need not read the pages behind it.
NEWEST = {"StatusEquals": "Completed", "SortBy": "CreationTime", "SortOrder": "Descending"}
LOG_EVENTS = "logs:GetLogEvents"  # its last page repeats the token, so botocore knows no pages


def problems(calls: Iterable[Call]) -> Iterator[str]:
    """A line for each request that is answered as wished only in an empty account."""
    answered = [call for call in calls if call.service != "?" and call.status < 300]
    yield from _default_orders(answered)
    yield from _single_pages(answered)


def _default_orders(calls: Iterable[Call]) -> Iterator[str]:
    for call in calls:
        if (call.name, tuple(sorted(set(call.params) - _tokens(call)))) in ORDERED_LATER:
            continue
        missing = [name for name in _orders(call) if name not in call.params]
        if missing and not ("startFromHead" in missing and "nextToken" in call.params):
            yield (
                f"{call.name} relies on the default of {' and '.join(missing)}, which AWS chooses "
                "for each operation: name the order"
            )


def _orders(call: Call) -> list[str]:
    shape = service_model(call.service).operation_model(call.operation).input_shape
    return [name for name in ORDERS if shape is not None and name in shape.members]


def _single_pages(calls: Iterable[Call]) -> Iterator[str]:
    last: dict[str, Call] = {}
    for call in calls:
        pages = _pages(call.service, call.operation)
        if call.name == LOG_EVENTS:
            if "nextToken" in call.params or _listing(call) not in last:
                last[_listing(call)] = call
        elif pages and call.params.get(pages.get("limit_key")) != 1:  # 1 asks: is there any?
            last[_listing(call)] = call
    for call in last.values():
        if _has_unread_pages(call) and not NEWEST.items() <= call.params.items():
            yield (
                f"{call.name} {json.dumps(call.params)[:200]} was answered with one page of "
                "several, and no other was asked for: follow the pages to the end"
            )


def _has_unread_pages(call: Call) -> bool:
    return "nextToken" not in call.params if call.name == LOG_EVENTS else call.more


def _listing(call: Call) -> str:
    """What all requests for the pages of one list have in common."""
    left_out = {*_tokens(call), "startFromHead"}  # which a token implies
    asked = {name: value for name, value in call.params.items() if name not in left_out}
    return json.dumps([call.name, asked], sort_keys=True)


def _tokens(call: Call) -> set[str]:
    """The members of a request that name a page."""
    pages = _pages(call.service, call.operation) or {"input_token": "nextToken"}
    named = pages["input_token"]
    return {named} if isinstance(named, str) else set(named)


@cache
def _pages(service: str, operation: str) -> dict | None:
    """How botocore follows the pages of an operation; None if it knows of none."""
    import botocore.session
    from botocore.exceptions import DataNotFoundError

    try:
        model = botocore.session.get_session().get_paginator_model(service)
        return model.get_paginator(operation)
    except (DataNotFoundError, ValueError):
        return None
