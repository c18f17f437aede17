"""What models, endpoint configurations and endpoints share: made, described, listed, deleted."""

from __future__ import annotations

import time

from local_sagemaker import ACCOUNT, REGION
from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.listing import page
from local_sagemaker.core.store import Store

KINDS = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}
# Where two spellings exist, both are AWS's.
NAMES = {"Model": "model", "EndpointConfig": "endpoint configuration", "Endpoint": "endpoint"}


def arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{KINDS[kind]}/{name}"


def get(store: Store, kind: str, name: str) -> dict:
    """A resource's description.

    Raises:
        ApiError: there is none.
    """
    found = store.get(KINDS[kind], name)
    if found is None:
        raise invalid(f'Could not find {NAMES[kind]} "{arn(kind, name)}".')
    return found


def make(store: Store, kind: str, request: dict, **members) -> dict:
    """Store a new resource: its request, its ARN, its times and `members`.

    Raises:
        ApiError: the name is taken.
    """
    name, now = request[f"{kind}Name"], time.time()
    times = {"CreationTime": now, "LastModifiedTime": now}
    with store.lock:
        if store.get(KINDS[kind], name):
            raise invalid(f'Cannot create already existing {NAMES[kind]} "{arn(kind, name)}".')
        body = {**request, f"{kind}Arn": arn(kind, name), **times, **members}
        store.put(KINDS[kind], name, body)
    return {f"{kind}Arn": arn(kind, name)}


def listed(store: Store, kind: str, request: dict) -> dict:
    """The answer to a List operation."""
    return page(store.all(KINDS[kind]), request, kind)


def delete(store: Store, kind: str, request: dict) -> dict:
    """Carry out a Delete operation.

    Raises:
        ApiError: there is none of this name.
    """
    with store.lock:
        get(store, kind, request[f"{kind}Name"])
        store.remove(KINDS[kind], request[f"{kind}Name"])
    return {}


def refuse(request: dict, where: str, members: dict[str, str]) -> None:
    """Refuse a request that asks for what is not done here.

    Args:
        where: the path of `request` in what the caller sent, such as ``PrimaryContainer.``.
        members: why not, by the member's name.

    Raises:
        ApiError: ValidationException, naming the member.
    """
    for member, why in members.items():
        if request.get(member):
            raise ApiError("ValidationException", f"{where}{member} is not served here: {why}")
