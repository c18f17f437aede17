"""What models, endpoint configurations and endpoints share: made, described, listed, deleted."""

from __future__ import annotations

import time

from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.kinds import Kind
from local_sagemaker.core.listing import page
from local_sagemaker.core.store import Store


def get(store: Store, kind: Kind, name: str) -> dict:
    """A resource's description.

    Raises:
        ApiError: there is none.
    """
    found = store.get(kind.stored, name)
    if found is None:
        raise invalid(f'Could not find {kind.text} "{kind.arn(name)}".')
    return found


def make(store: Store, kind: Kind, request: dict, **members) -> dict:
    """Store a new resource: its request, its ARN, its times and `members`.

    Raises:
        ApiError: the name is taken.
    """
    name, now = request[kind.name_member], time.time()
    times = {"CreationTime": now, "LastModifiedTime": now}
    with store.lock:
        if store.get(kind.stored, name):
            raise invalid(f'Cannot create already existing {kind.text} "{kind.arn(name)}".')
        body = {**request, kind.arn_member: kind.arn(name), **times, **members}
        store.put(kind.stored, name, body)
    return {kind.arn_member: kind.arn(name)}


def listed(store: Store, kind: Kind, request: dict) -> dict:
    """The answer to a List operation."""
    return page(store.all(kind.stored), request, kind)


def delete(store: Store, kind: Kind, request: dict) -> dict:
    """Carry out a Delete operation.

    Raises:
        ApiError: there is none of this name.
    """
    with store.lock:
        get(store, kind, request[kind.name_member])
        store.remove(kind.stored, request[kind.name_member])
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
