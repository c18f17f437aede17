"""List operations: SageMaker's filters, orders and pages over descriptions."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable

from local_sagemaker.core.errors import invalid
from local_sagemaker.core.kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL, Kind

PAGE = 10  # SageMaker's default MaxResults


def page(found: list[dict], request: dict, kind: Kind) -> dict:
    """The asked page of `found`, descriptions of one kind, with its NextToken."""
    name, tests = kind.name_member, _tests(kind)
    for member in tests.keys() & request.keys():
        found = [item for item in found if tests[member](item, request[member])]
    orders = {"Name": name, "Status": kind.status_member}
    order = orders.get(request.get("SortBy"), "CreationTime")
    default = "Descending" if kind.newest_first else "Ascending"
    descending = request.get("SortOrder", default) == "Descending"
    return cut(found, request, kind.listed, lambda item: [item[order], item[name]], descending)


def _tests(kind: Kind) -> dict[str, Callable[[dict, object], bool]]:
    """For each filter of the request whether it lets an item pass."""
    # The model says "after" for jobs, "greater than or equal to" for what endpoints are made of.
    inclusive = kind in {MODEL, ENDPOINT_CONFIG, ENDPOINT}
    return {
        "NameContains": lambda item, value: value in item[kind.name_member],
        "StatusEquals": lambda item, value: item.get(kind.status_member) == value,
        "CreationTimeAfter": lambda item, value: (
            item["CreationTime"] > value or (inclusive and item["CreationTime"] == value)
        ),
        "CreationTimeBefore": lambda item, value: item["CreationTime"] < value,
        "LastModifiedTimeAfter": lambda item, value: item["LastModifiedTime"] > value,
        "LastModifiedTimeBefore": lambda item, value: item["LastModifiedTime"] < value,
        "WarmPoolStatusEquals": lambda item, value: (
            item.get("WarmPoolStatus", {}).get("Status") == value
        ),
        "TrainingPlanArnEquals": lambda item, value: (
            item.get("ResourceConfig", {}).get("TrainingPlanArn") == value
        ),
    }


def cut(
    found: list[dict],
    request: dict,
    member: str,
    key: Callable[[dict], list],
    descending: bool = False,
    size: int = PAGE,
) -> dict:
    """One page of `found` as `member`, in the order of `key`, and the token of the next.

    A token names the last item that was shown, so that the next page neither repeats nor leaves out
    any that was there, whatever has come since.

    Args:
        key: what items are ordered by, as a list that JSON can hold; unlike for any two items.
        size: how many items a page holds unless the request says MaxResults.

    Raises:
        ApiError: ValidationException for a NextToken that this very listing did not give.
    """
    found = sorted(found, key=key, reverse=descending)
    if "NextToken" in request:
        last = _shown(request["NextToken"], request, member)
        found = [item for item in found if (key(item) < last if descending else key(item) > last)]
    shown = found[: request.get("MaxResults", size)]
    answer = {member: shown}
    if len(shown) < len(found):
        answer["NextToken"] = _token(key(shown[-1]), request, member)
    return answer


def _listing(request: dict, member: str) -> str:
    """What tells one listing from another: all but the page."""
    asked = {n: value for n, value in request.items() if n not in {"NextToken", "MaxResults"}}
    return hashlib.sha256(json.dumps([member, asked], sort_keys=True).encode()).hexdigest()[:16]


def _token(last: list, request: dict, member: str) -> str:
    text = json.dumps([_listing(request, member), last])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _shown(token: str, request: dict, member: str) -> list:
    try:
        listing, last = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        listing, last = None, None
    if listing != _listing(request, member) or not isinstance(last, list):
        raise invalid(
            f"Invalid NextToken '{token[:100]}': it must come from the previous page of this very "
            "request, with the same filters and order"
        )
    return last
