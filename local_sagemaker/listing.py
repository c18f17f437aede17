"""List operations: SageMaker's filters, orders and pages over descriptions."""

from __future__ import annotations

from local_sagemaker.validation import invalid

PAGE = 10  # SageMaker's default MaxResults
ORDERS = {"Name": "{kind}Name", "CreationTime": "CreationTime", "Status": "{kind}Status"}


def page(found: list[dict], request: dict, kind: str) -> dict:
    """The asked page of `found` as ``{kind}Summaries`` (or ``{kind}s``) with its NextToken.

    Args:
        found: descriptions with ``{kind}Name``, ``CreationTime`` and, if any, ``{kind}Status``.
        kind: the resource as the API's members name it, such as ``TrainingJob``.
    """
    name, status = f"{kind}Name", f"{kind}Status"
    tests = {
        "NameContains": lambda item, value: value in item[name],
        "StatusEquals": lambda item, value: item.get(status) == value,
        "CreationTimeAfter": lambda item, value: item["CreationTime"] > value,
        "CreationTimeBefore": lambda item, value: item["CreationTime"] < value,
        "LastModifiedTimeAfter": lambda item, value: item["LastModifiedTime"] > value,
        "LastModifiedTimeBefore": lambda item, value: item["LastModifiedTime"] < value,
    }
    for member, test in tests.items():
        if member in request:
            found = [item for item in found if test(item, request[member])]
    order = ORDERS.get(request.get("SortBy", "CreationTime"), "CreationTime").format(kind=kind)
    descending = request.get("SortOrder", "Descending") == "Descending"
    found = sorted(found, key=lambda item: item[order], reverse=descending)
    return cut(found, request, MEMBERS.get(kind, f"{kind}Summaries"))


MEMBERS = {kind: f"{kind}s" for kind in ("Model", "EndpointConfig", "Endpoint")}


def cut(found: list[dict], request: dict, member: str) -> dict:
    """One page of `found`; the token is the number of items before the next page."""
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise invalid(f"Invalid NextToken '{token}'")
    first, count = int(token), request.get("MaxResults", PAGE)
    answer = {member: found[first : first + count]}
    if first + count < len(found):
        answer["NextToken"] = str(first + count)
    return answer
