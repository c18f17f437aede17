"""What the course would cost on AWS.

On-demand prices in US dollars an hour, region us-east-1; other regions have other prices, and no
table is a bill: look at yours. Checked in November 2026, none of them on an account of ours:

- ml.g4dn.xlarge and ml.m5.xlarge against AWS's published list;
- ml.m5.large as an endpoint (``USE1-Host:ml.m5.large``, 0.115) and ml.t3.medium as a Studio space
  (``USE1-Studio:JupyterLab-ml.t3.medium``, 0.05) against readings of AWS's Price List API that
  others published on 2026-07-30 and 2026-09-16;
- ml.c5.xlarge (0.204) against AWS's pricing page as others quote it, for endpoints; that training
  costs the same is not checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course.workspace import Workspace

PRICED = "us-east-1, November 2026"  # where and when the prices below were read
GPU = "ml.g4dn.xlarge"  # what the course asks for on AWS
HOURLY = {
    "ml.t3.medium": 0.05,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.c5.xlarge": 0.204,
    "ml.g4dn.xlarge": 0.736,
}
STORED = 0.05  # notebook 01: 1.1 GB of photos in S3 for a month
# The most that the jobs of a notebook may run, in hours of one instance: their limits, added up.
TRAINING_HOURS = {
    "02-hpo": (6 + 2) * 0.5,  # six trials and two repetitions, each stopped after half an hour
    "03-train-debug-profile": 8 * 0.5,  # eight jobs, the same limit
}
ENDPOINT_HOURS = {"04-deploy-query": 1.0}  # an endpoint deleted within the hour


def at_most(training_instance: str, endpoint_instance: str) -> dict[str, float]:
    """US dollars that each notebook may cost at most, by its name.

    Raises:
        ValueError: if the price of an instance is not in the table.
    """
    jobs = {name: dollars(h * 3600, training_instance) for name, h in TRAINING_HOURS.items()}
    asked = {name: dollars(h * 3600, endpoint_instance) for name, h in ENDPOINT_HOURS.items()}
    return {"01-data-to-s3": STORED} | jobs | asked


def ceiling(ws: Workspace, jobs: int, hours: float) -> str:
    """A sentence: what AWS charges at most for `jobs` that may run for `hours` each.

    In local mode it is about the GPU instance that the course asks for on AWS.
    """
    instance = ws.training_instance if ws.mode == "aws" else GPU
    most = dollars(jobs * hours * 3600, instance)
    return (
        f"On AWS at most {most:.2f} USD: {jobs} jobs, each stopped after {hours:g} h, on "
        f"{instance} at {HOURLY[instance]:g} USD an hour ({PRICED})."
    )


def dollars(seconds: float, instance_type: str) -> float:
    """US dollars for `seconds` of one instance.

    Raises:
        ValueError: if the price of `instance_type` is not in the table.
    """
    if instance_type not in HOURLY:
        known = ", ".join(HOURLY)
        raise ValueError(f"no price for '{instance_type}': known are {known}")
    return seconds / 3600 * HOURLY[instance_type]
