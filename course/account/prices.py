"""AWS's prices: all instance types that the course can use, serverless endpoints, Studio's disks.

On-demand prices in US dollars, region us-east-1; other regions have other prices, and no table is a
bill: look at yours. None of them was checked on an account of ours. `Price.source` says where each
was read, `SOURCES` what that means.
"""

from __future__ import annotations

from typing import NamedTuple

PRICED = "us-east-1, November 2026"  # where and when the prices below were read
SOURCES = {
    "list": "AWS's published price list",
    "api": "readings of AWS's Price List API that others published on 2026-07-30 and 2026-09-16",
    "quoted": "AWS's pricing page as others quote it; that training costs the same is not checked",
    "tables": "tables in several public repositories that agree, read on 2026-11-29",
}


class Price(NamedTuple):
    """US dollars, and where that was read: a key of `SOURCES`."""

    usd: float
    source: str


HOURLY = {  # of one instance, for training jobs and endpoints; ml.t3 for Studio and notebooks
    "ml.t3.medium": Price(0.05, "api"),
    "ml.t3.large": Price(0.10, "tables"),
    "ml.m5.large": Price(0.115, "api"),
    "ml.m5.xlarge": Price(0.23, "list"),
    "ml.m5.2xlarge": Price(0.461, "tables"),
    "ml.c5.xlarge": Price(0.204, "quoted"),
    "ml.g4dn.xlarge": Price(0.736, "list"),
    "ml.g4dn.2xlarge": Price(0.94, "tables"),
    "ml.g5.xlarge": Price(1.408, "tables"),
    "ml.g5.2xlarge": Price(1.515, "tables"),
    "ml.g6.xlarge": Price(1.127, "tables"),
    "ml.g6.2xlarge": Price(1.222, "tables"),
}
# A serverless endpoint costs nothing while nobody asks it. Per GB of its memory and second of
# answering; what AWS charges for the data beside that was found in no source.
SERVERLESS = Price(0.00002, "tables")
STUDIO_DISK = Price(0.112, "api")  # a GB of a space's disk, a month, whether or not the space runs
HOURS_A_MONTH = 730


def hourly(instance_type: str) -> float:
    """US dollars for one instance and hour.

    Raises:
        ValueError: the price is not in the table.
    """
    if instance_type not in HOURLY:
        raise ValueError(f"no price for '{instance_type}': known are {', '.join(HOURLY)}")
    return HOURLY[instance_type].usd
