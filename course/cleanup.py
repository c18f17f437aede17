"""What stands in a region and costs money, and the removal of what the course made there.

    python -m course.cleanup                 list it; nothing is changed
    python -m course.cleanup --delete        stop the course's jobs, delete its endpoints and models
    python -m course.cleanup --delete --data ... and its photos, models and tensors in S3
    python -m course.cleanup --region eu-west-1

What the course made is told by its tag, project=dog-breeds, and nothing else is ever changed. The
command also finds what an interrupted notebook left: an endpoint that nobody will ask any more, a
model without an endpoint, a job that goes on. Look in each region that you have used. The first
line says who was asked: with COURSE_MODE=aws an account of AWS, else this machine's engine.

Apps and disks of SageMaker Studio, notebook instances and whatever others made are listed, and
stay. So do logs, and objects in S3 that nothing with the tag refers to; the command names them.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from course import workspace
from course.account import standing, stored, studio
from course.account.standing import NAME

LOGS = "logs stay in CloudWatch, some megabytes: the end of notebook 04 shows how to delete them"
STOPPING = "jobs that are stopping may still store something: run this again in some minutes"
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
        mode = workspace.choose_place()
        return _run(options, mode)
    except (workspace.WorkspaceError, BotoCoreError, ClientError) as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, mode: str) -> int:
    import boto3

    session = boto3.session.Session(region_name=options.region or workspace.chosen_region())
    sagemaker = session.client("sagemaker")
    things = [*standing.found(sagemaker), *studio.found(sagemaker)]
    print(f"{workspace.asked(mode, session)}\n{standing.table(things)}")
    of_data, left = options.data or not options.delete, []
    place = _place(session) if of_data else ()  # now: what leads to an archive goes before it
    if options.delete:
        left = standing.remove(sagemaker, things)
    if of_data:
        _data(session.client("s3"), *place, options.delete)
        if options.delete and any(each.ours and each.kind.endswith(" job") for each in things):
            print(STOPPING)
    if not options.delete:
        print(DRY)
    return 1 if left else 0


def _place(session: Any) -> tuple[str, list[str]]:
    """The SDK's default bucket, and the folders there that are the course's."""
    account = session.client("sts").get_caller_identity()["Account"]
    bucket = f"sagemaker-{session.region_name}-{account}"
    return bucket, stored.folders(session.client("sagemaker"), bucket)


def _data(s3: Any, bucket: str, folders: list[str], delete: bool) -> None:
    """Count the course's objects, delete them if asked to, and name those that stay."""
    try:
        found = dict(stored.objects(s3, bucket, folders))
        others = stored.unreferenced(s3, bucket, found)
    except s3.exceptions.NoSuchBucket:
        print(f"S3: there is no bucket {bucket}")
        return
    print(f"S3: {_amount(len(found), sum(found.values()))}, of {NAME} in {bucket}")
    if delete:
        print(f"S3: {stored.remove(s3, bucket, list(found)):,} objects deleted")
    for folder, amount in others.items():
        print(
            f"S3: left in {folder}/: {_amount(*amount)}; nothing with the course's tag refers to "
            f"this. If it is yours: aws s3 rm s3://{bucket}/{folder}/ --recursive"
        )
    print(LOGS)


def _amount(count: int, size: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}, {size / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
