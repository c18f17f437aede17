"""What the jobs' role is allowed to do, as far as whoever asks is allowed to know."""

from __future__ import annotations

from typing import Any

DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
IMAGES = "763104351884"  # the account of AWS's deep learning images in most regions
ENOUGH = "attach docs/policy.json's `role` or AmazonSageMakerFullAccess to it"


def role(iam: Any, name: str) -> dict:
    """IAM's description of the role `name`, with its trust policy.

    AmazonSageMakerFullAccess allows no GetRole, but it allows ListRoles, which describes all roles.

    Raises:
        ClientError: NoSuchEntity if there is none, or the refusal if neither question is allowed.
    """
    from botocore.exceptions import ClientError

    try:
        return iam.get_role(RoleName=name)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        refusal = error
    try:
        pages = iam.get_paginator("list_roles").paginate()
        found = [each for page in pages for each in page["Roles"] if each["RoleName"] == name]
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        raise refusal from error
    if found:
        return found[0]
    told = {"Error": {"Code": "NoSuchEntity", "Message": f"there is no role {name}"}}
    raise iam.exceptions.NoSuchEntityException(told, "ListRoles")


def missing(iam: Any, arn: str, region: str, bucket: str) -> list[str] | None:
    """The actions that jobs need and that IAM would deny to the role; None if IAM does not tell.

    IAM simulates a role's policies only for whoever has iam:SimulatePrincipalPolicy. Neither the
    course's policy nor AmazonSageMakerFullAccess grants that.
    """
    from botocore.exceptions import ClientError

    denied = []
    for resource, actions in needed(arn.split(":")[4], region, bucket).items():
        try:
            pages = iam.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=arn, ActionNames=actions, ResourceArns=[resource]
            )
            results = [result for page in pages for result in page["EvaluationResults"]]
        except ClientError as error:
            if error.response["Error"]["Code"] in DENIED:
                return None
            raise
        denied += [each["EvalActionName"] for each in results if each["EvalDecision"] != "allowed"]
    return denied


def needed(account: str, region: str, bucket: str) -> dict[str, list[str]]:
    """What a job's role must be allowed: actions, by the resource on which they are tried."""
    group = f"arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs"
    return {
        f"arn:aws:s3:::{bucket}": ["s3:ListBucket"],
        f"arn:aws:s3:::{bucket}/dog-breeds/any": ["s3:GetObject", "s3:PutObject"],
        f"arn:aws:ecr:{region}:{IMAGES}:repository/pytorch": [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ],
        "*": ["cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"],
        f"{group}:log-stream:any": [
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
        ],
    }
