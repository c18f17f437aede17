"""What the course costs on AWS: at most, by its limits, and so far, by billable seconds.

    python -m course.costs                                  what it has cost so far
    python -m course.costs --budget 10 --email you@...      an alarm when the account's bill grows

The prices, with their dates and sources, are in `course/account/prices.py`.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from course.account import budget, spending
from course.account.prices import PRICED, hourly

if TYPE_CHECKING:
    from course.workspace import Workspace

GPU, ENDPOINT = "ml.g4dn.xlarge", "ml.m5.large"  # what the course asks for on AWS
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
        f"{instance} at {hourly(instance):g} USD an hour ({PRICED})."
    )


def whole_course(ws: Workspace) -> str:
    """A sentence: what AWS charges at most for one run of the four notebooks.

    In local mode it is about the instances that the course asks for on AWS.
    """
    aws = ws.mode == "aws"
    training, endpoint = (ws.training_instance, ws.endpoint_instance) if aws else (GPU, ENDPOINT)
    most = at_most(training, endpoint)
    parts = ", ".join(f"{name[:2]} {part:.2f}" for name, part in most.items())
    return (
        f"On AWS at most {sum(most.values()):.2f} USD for one run of the course (notebook "
        f"{parts}), if the endpoint exists for an hour; {hourly(endpoint):.2f} USD for each "
        "further hour."
    )


def dollars(seconds: float, instance_type: str) -> float:
    """US dollars for `seconds` of one instance.

    Raises:
        ValueError: if the price of `instance_type` is not in the table.
    """
    return seconds / 3600 * hourly(instance_type)


def main(arguments: list[str] | None = None) -> int:
    """Print what was spent, or make a budget; the exit code is 1 if AWS refuses."""
    parser = argparse.ArgumentParser(description="What the course has cost on AWS so far.")
    parser.add_argument("--budget", type=float, metavar="USD", help="a month: make an alarm for it")
    parser.add_argument("--email", help="whom AWS writes to; with --budget")
    parser.add_argument("--region", help="default: that of the environment or profile")
    options = parser.parse_args(arguments)
    if (options.budget is None) != (options.email is None):
        parser.error("a budget needs both --budget USD and --email ADDRESS")
    from botocore.exceptions import BotoCoreError, ClientError

    from course import workspace

    try:
        mode = workspace.choose_place()
        return _told(options, mode)
    except (workspace.WorkspaceError, BotoCoreError, ClientError) as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1


def _told(options: argparse.Namespace, mode: str) -> int:
    import boto3

    from course import workspace

    session = boto3.session.Session(region_name=options.region or workspace.chosen_region())
    if options.budget is None:
        print(f"{workspace.asked(mode, session)}; prices: {PRICED}")
        print(spending.told(session.client("sagemaker"), local=mode == "local"))
        return 0
    if mode == "local":
        print("FAILED a budget watches an AWS account: set COURSE_MODE=aws", file=sys.stderr)
        return 1
    account = session.client("sts").get_caller_identity()["Account"]
    print(budget.make(session.client("budgets"), account, options.budget, options.email))
    return 0


if __name__ == "__main__":
    sys.exit(main())
