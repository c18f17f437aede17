"""What stands in a region and costs money, and the removal of what the course made there.

    python -m course.cleanup                 list it; nothing is changed
    python -m course.cleanup --delete        stop the course's jobs, delete its endpoints and models
    python -m course.cleanup --delete --data ... and its photos, models and tensors in S3
    python -m course.cleanup --region eu-west-1

What the course made is told by its tag, project=dog-breeds, and nothing else is ever changed. The
command also finds what an interrupted notebook left: an endpoint that nobody will ask any more, a
model without an endpoint, a job that goes on. Look in each region that you have used.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from course import workspace
from course.account import standing, stored
from course.account.standing import NAME

DRY = "nothing was changed: `python -m course.cleanup --delete` removes what is marked `course`"


def main(arguments: list[str] | None = None) -> int:
    """List, and remove if asked to; the exit code is 1 if something could not be removed."""
    parser = argparse.ArgumentParser(
        description="List what stands in a region, and remove what the course made there."
    )
    parser.add_argument("--delete", action="store_true", help="remove what the course made")
    parser.add_argument("--data", action="store_true", help="its objects in S3, too")
    parser.add_argument("--region", help="default: that of the environment or profile")
    options = parser.parse_args(arguments)
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        workspace.choose_place()
        return _run(options)
    except (workspace.WorkspaceError, BotoCoreError, ClientError) as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    import boto3

    session = boto3.session.Session(region_name=options.region or workspace.chosen_region())
    sagemaker = session.client("sagemaker")
    things = standing.found(sagemaker)
    print(f"region {session.region_name}\n{standing.table(things)}")
    left: list = []
    if options.delete:
        left = standing.remove(sagemaker, things)
    if options.data or not options.delete:
        _data(session, options.delete)
    if not options.delete:
        print(DRY)
    return 1 if left else 0


def _data(session: Any, delete: bool) -> None:
    """Count the course's objects in the SDK's default bucket, and delete them if asked to."""
    account = session.client("sts").get_caller_identity()["Account"]
    bucket, s3 = f"sagemaker-{session.region_name}-{account}", session.client("s3")
    try:
        prefixes = stored.folders(session.client("sagemaker"), bucket)
        found = stored.objects(s3, bucket, prefixes)
    except s3.exceptions.NoSuchBucket:
        print(f"S3: there is no bucket {bucket}")
        return
    gigabytes = sum(size for _, size in found) / 1e9
    print(f"S3: {len(found):,} objects of {NAME} in {bucket}, {gigabytes:.2f} GB")
    if delete:
        print(f"S3: {stored.remove(s3, bucket, [key for key, _ in found]):,} objects deleted")


if __name__ == "__main__":
    sys.exit(main())
