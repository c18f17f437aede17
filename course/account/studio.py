"""What stands in SageMaker Studio: apps that run, and the disks of spaces.

Neither has the course's tag, and a space may hold more than the course: both are only listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course.account.prices import HOURS_A_MONTH, STUDIO_DISK, hourly
from course.account.standing import ORDER, Standing, is_denied

RUNNING = {"InService", "Pending"}
SYSTEM = "system"  # the instance of Studio Classic's own server, which is free


def found(sagemaker: Any) -> list[Standing]:
    """The apps and the spaces of all domains in the region, as far as the caller may list them."""
    from botocore.exceptions import ClientError

    made: list[Standing] = []
    for ask in (_apps, _spaces):
        try:
            made += ask(sagemaker)
        except ClientError as error:
            if not is_denied(error):
                raise
    return made


def _apps(sagemaker: Any) -> Iterator[Standing]:
    pages = sagemaker.get_paginator("list_apps").paginate(**ORDER)
    for app in (item for page in pages for item in page["Apps"]):
        if app["Status"] in RUNNING:
            owner = app.get("SpaceName") or app.get("UserProfileName", "")
            name, made = f"{owner}/{app['AppType']}", app["CreationTime"]
            price = _of_instance(app.get("ResourceSpec", {}).get("InstanceType", ""))
            yield Standing("Studio app", name, "", app["Status"], made, ours=False, hourly=price)


def _of_instance(instance_type: str) -> float | None:
    try:
        return 0.0 if instance_type == SYSTEM else hourly(instance_type)
    except ValueError:
        return None


def _spaces(sagemaker: Any) -> Iterator[Standing]:
    pages = sagemaker.get_paginator("list_spaces").paginate(**ORDER)
    for space in (item for page in pages for item in page["Spaces"]):
        storage = space.get("SpaceSettingsSummary", {}).get("SpaceStorageSettings", {})
        gigabytes = storage.get("EbsStorageSettings", {}).get("EbsVolumeSizeInGb")
        if gigabytes:
            price, made = gigabytes * STUDIO_DISK.usd / HOURS_A_MONTH, space["CreationTime"]
            name, size = space["SpaceName"], f"{gigabytes} GB"
            yield Standing("Studio space", name, "", size, made, ours=False, hourly=price)
