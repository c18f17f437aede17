"""Which permissions a request needs, of the one who sends it and of the role that it hands over.

By AWS's service authorization reference: for each operation the actions and the resources that
they are checked against. And the part of IAM's evaluation that `docs/policy.json` and AWS's managed
policy AmazonSageMakerFullAccess use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from tools.dry_run.record import Call

SAGEMAKER = "sagemaker.amazonaws.com"
FULL_ACCESS = "AmazonSageMakerFullAccess"
# IAM's prefix of a service's actions, where it is not botocore's name.
PREFIXES = {"sagemaker-runtime": "sagemaker", "service-quotas": "servicequotas"}
# S3 checks most operations under another action's name.
S3_ACTIONS = {
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("PutObject",),
    "CreateMultipartUpload": ("PutObject",),
    "DeleteObjects": ("DeleteObject",),
    "HeadBucket": ("ListBucket",),
    "HeadObject": ("GetObject",),
    "ListBuckets": ("ListAllMyBuckets",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "UploadPart": ("PutObject",),
    "UploadPartCopy": ("PutObject",),
}
# The member of a SageMaker request that names a resource, and the resource's type in ARNs.
SAGEMAKER_NAMES = {
    "TrainingJobName": "training-job",
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
}
OF_ANYONE = {"sts:GetCallerIdentity"}  # "no permissions are required to perform this operation"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
WRITE_LOGS = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)
IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[^.]+)\.[^/]+/(?P<name>[^:@]+).*")


@dataclass(frozen=True)
class Need:
    """One action on one resource, and what IAM's conditions are compared with."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


# ------------------------------------------------------------------------------------- the caller


def of_caller(call: Call, role: str) -> list[Need]:
    """What whoever sends `call` must be allowed; empty for what everyone may.

    Args:
        role: ARN of the jobs' role, of the caller's own account.
    """
    if call.name in OF_ANYONE or call.region is None:
        return []
    find = {"s3": _s3, "iam": _iam, "logs": _logs, "sagemaker": _sagemaker}
    service = PREFIXES.get(call.service, call.service)
    needs = find[service](call, role) if service in find else None
    return needs or [Need(f"{service}:{call.operation}", "*")]


def _s3(call: Call, role: str) -> list[Need]:
    bucket, keys = call.params.get("Bucket"), [call.params.get("Key")]
    if call.operation == "DeleteObjects":
        keys = [item["Key"] for item in call.params["Delete"]["Objects"]]
    needs = [
        Need(f"s3:{action}", _s3_arn(bucket, key) if bucket else "*")
        for action in S3_ACTIONS.get(call.operation, (call.operation,))
        for key in keys
    ]
    if source := call.params.get("CopySource"):
        needs.append(Need("s3:GetObject", f"arn:aws:s3:::{source.lstrip('/').partition('?')[0]}"))
    # Encryption with `aws:kms` and no key's name takes S3's own key, which the account may use.
    if key := call.params.get("SSEKMSKeyId"):
        needs.append(Need("kms:GenerateDataKey", key))
    return needs


def _s3_arn(bucket: str, key: str | None = None) -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key is not None else f"arn:aws:s3:::{bucket}"


def _iam(call: Call, role: str) -> list[Need]:
    name, resource = call.params.get("RoleName"), call.params.get("PolicySourceArn")
    if name:  # a role is asked for without its path, and checked with it
        known = role.endswith(f"/{name}")
        resource = role if known else f"arn:aws:iam::{account(role)}:role/{name}"
    return [Need(f"iam:{call.operation}", resource or "*")]


def _logs(call: Call, role: str) -> list[Need]:
    group = call.params.get("logGroupName")
    if group is None:
        return []
    resource = f"arn:aws:logs:{call.region}:{account(role)}:log-group:{group}"
    if stream := call.params.get("logStreamName"):
        resource += f":log-stream:{stream}"
    return [Need(f"logs:{call.operation}", resource)]


def _sagemaker(call: Call, role: str) -> list[Need]:
    if arn := call.params.get("ResourceArn"):  # of tags
        return [Need(f"sagemaker:{call.operation}", arn)]
    if call.operation.startswith("List") and not call.operation.startswith("ListTrainingJobsFor"):
        return []  # lists are not of one resource
    arns = [
        f"arn:aws:sagemaker:{call.region}:{account(role)}:{kind}/{call.params[member]}"
        for member, kind in SAGEMAKER_NAMES.items()
        if member in call.params
    ]
    needs = [Need(f"sagemaker:{call.operation}", arn) for arn in arns]
    if call.params.get("Tags") and call.operation.startswith("Create"):
        named = [arn for arn in arns if f":{_made(call)}/" in arn]
        needs += [Need("sagemaker:AddTags", arn) for arn in named]
    passed = (("iam:PassedToService", SAGEMAKER),)
    return needs + [Need("iam:PassRole", arn, passed) for arn in sorted(roles(call))]


def _made(call: Call) -> str:
    """The type, in ARNs, of what a Create operation makes."""
    return SAGEMAKER_NAMES.get(call.operation.removeprefix("Create") + "Name", "")


def account(role: str) -> str:
    """The account, twelve digits, in an ARN of IAM."""
    return role.split(":")[4]


def roles(call: Call) -> set[str]:
    """The roles that a request hands to SageMaker."""
    return {
        value
        for path, value in strings(call.params)
        if path.rpartition(".")[2] in {"RoleArn", "ExecutionRoleArn"}
    }


# --------------------------------------------------------------------------------------- the role


def of_role(call: Call, role: str) -> list[Need]:
    """What SageMaker must be allowed as the role of `call`: empty for requests without one.

    AWS documents it under "SageMaker roles" for CreateTrainingJob, CreateModel and the tuning job.
    """
    if call.service != "sagemaker" or not roles(call):
        return []
    needs = [Need("cloudwatch:PutMetricData", "*"), Need("ecr:GetAuthorizationToken", "*")]
    for path, value in strings(call.params):
        if value.startswith("s3://"):
            needs += _objects(path, value)
        elif image := IMAGE.fullmatch(value):
            arn = f"arn:aws:ecr:{image['region']}:{image['account']}:repository/{image['name']}"
            needs += [Need(action, arn) for action in PULL]
    group = "Endpoints/any" if call.operation == "CreateModel" else "TrainingJobs"
    arn = f"arn:aws:logs:{call.region}:{account(role)}:log-group:/aws/sagemaker/{group}"
    return [*needs, *(Need(action, f"{arn}:log-stream:any") for action in WRITE_LOGS)]


def _objects(path: str, uri: str) -> list[Need]:
    """What a job does with what lies at an S3 address, judged by where the request names it."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    # A prefix stands for all below it; an archive is one object, and so is its own prefix.
    objects = _s3_arn(bucket, prefix if prefix.endswith(".gz") else f"{prefix}/any".lstrip("/"))
    reads = [Need("s3:ListBucket", _s3_arn(bucket)), Need("s3:GetObject", objects)]
    writes = [Need("s3:PutObject", objects)]
    if "Checkpoint" in path:
        return reads + writes
    return writes if "Output" in path else reads


def strings(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """All strings of a request, with their places: ``Channels.0.Uri``."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, member in items:
            yield from strings(member, f"{path}.{name}" if path else str(name))


# ----------------------------------------------------------------------------------------- policy


@dataclass
class Policy:
    """An IAM policy that remembers what it was asked.

    Attributes:
        used: (Sid, action) of each permission that was needed so far.
    """

    statements: list[dict]
    used: set[tuple[str, str]] = field(default_factory=set)

    def allows(self, need: Need) -> bool:
        """Whether some statement allows `need`, and none denies it.

        Raises:
            ValueError: a statement uses what is not understood here.
        """
        matching = [(s, a) for s in self.statements for a in _matching(s, need)]
        if any(statement["Effect"] == "Deny" for statement, _ in matching):
            return False
        self.used |= {(statement["Sid"], action) for statement, action in matching}
        return bool(matching)

    def unused(self) -> list[tuple[str, str]]:
        """(Sid, action) of all that it allows and that was not needed."""
        allowed = {
            (statement["Sid"], action)
            for statement in self.statements
            if statement["Effect"] == "Allow"
            for action in listed(statement["Action"])
        }
        return sorted(allowed - self.used)


def _matching(statement: dict, need: Need) -> Iterator[str]:
    """The actions of a statement, as it writes them, under which it speaks of `need`."""
    known = {"Sid", "Effect", "Action", "Resource", "NotResource", "Condition"}
    if unknown := set(statement) - known:
        raise ValueError(f"{statement.get('Sid')}: {sorted(unknown)} is not understood here")
    if _concerns(statement, need.resource) and _holds(statement, need):
        for action in listed(statement["Action"]):
            if _pattern(action.lower()).fullmatch(need.action.lower()):
                yield action


def _concerns(statement: dict, resource: str) -> bool:
    """Whether the statement speaks of `resource`. IAM's variables in a pattern match nothing."""
    named = [_pattern(r) for r in listed(statement.get("Resource", statement.get("NotResource")))]
    found = any(pattern.fullmatch(resource) for pattern in named)
    return found if "Resource" in statement else not found


COMPARED = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": lambda value, wanted: bool(_pattern(wanted).fullmatch(value)),
    "ArnLike": lambda value, wanted: bool(_pattern(wanted).fullmatch(value)),
}


def _holds(statement: dict, need: Need) -> bool:
    context = dict(need.context)
    return all(
        _true(operator, context.get(key), listed(wanted), statement["Sid"])
        for operator, conditions in statement.get("Condition", {}).items()
        for key, wanted in conditions.items()
    )


def _true(operator: str, value: str | None, wanted: list[str], sid: str) -> bool:
    """Whether a condition holds for a value of the request; None is a value that it lacks.

    Raises:
        ValueError: the operator is not understood here.
    """
    if operator == "Null":
        return (value is None) == (wanted == ["true"])
    base = operator.removesuffix("IfExists")
    if base not in COMPARED:
        raise ValueError(f"{sid}: condition {operator} is not understood here")
    if value is None:
        return operator != base
    return any(COMPARED[base](value, text) for text in wanted)


def full_access() -> Policy:
    """AWS's managed policy AmazonSageMakerFullAccess, in the version that moto holds."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    document = json.loads(aws_managed_policies_data)[FULL_ACCESS]["Document"]
    return Policy(document["Statement"])


def listed(value: str | Iterable[str]) -> list[str]:
    """IAM's grammar lets a list of one stand without its brackets."""
    return [value] if isinstance(value, str) else list(value)


@cache
def _pattern(text: str) -> re.Pattern:
    """IAM's wildcards: * for any characters, the colon and slash included, ? for one."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
