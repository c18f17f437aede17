"""Before the first run on AWS: what is missing, and where to ask for it.

Every check is a question that costs nothing; none makes, changes or starts anything.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, NamedTuple
from urllib.parse import unquote

from course import images
from course.workspace import ROOT, Workspace

SAGEMAKER = "sagemaker.amazonaws.com"
JOBS_AT_ONCE = 2  # notebook 02 runs two training jobs at a time
CPU_INSTANCES = ("ml.m5.xlarge", "ml.c5.xlarge")  # in place of a GPU that the account lacks
FREE_BYTES = 5e9  # less does not hold the real photos (1.1 GB, zipped and unzipped) and PyTorch
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
POLICY = "docs/policy.json"


class Line(NamedTuple):
    """One check: its name, whether it passed, and what was found or what to do."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Preflight:
    """What `preflight` found: a line for each check, shown as a table."""

    lines: tuple[Line, ...]

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(line.ok for line in self.lines)

    def __str__(self) -> str:
        return "\n".join(f"{_mark(line):<6} {line.name:<14} {line.text}" for line in self.lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cell = "<td style='text-align:left'>{}</td>".format
        rows = (
            "".join(cell(escape(text)) for text in (_mark(line), line.name, line.text))
            for line in self.lines
        )
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def preflight(ws: Workspace, clients: Mapping[str, Any] | None = None) -> Preflight:
    """Ask AWS whether the course can run: identity, region, role, bucket, quotas, disk.

    What cannot be asked (no credentials, no permission, no network) becomes a line that says so.

    Args:
        clients: boto3 clients by service name, to be used instead of the session's own.
    """
    if ws.mode == "local":
        return Preflight((Line("local", True, "nothing needs checking: all runs on this machine"),))
    client = partial(_client, ws, clients or {})
    checks = {
        "identity": lambda: _identity(ws, client("sts")),
        "region": lambda: _region(ws),
        "role": lambda: _role(ws, client("iam")),
        "bucket": lambda: _bucket(ws, client("s3")),
        "quotas": lambda: _quotas(ws, client("service-quotas")),
        "disk": _disk,
    }
    return Preflight(tuple(line for name in checks for line in _guarded(name, checks[name])))


def _mark(line: Line) -> str:
    return "OK" if line.ok else "TO DO"


def _client(ws: Workspace, given: Mapping[str, Any], service: str) -> Any:
    """The client passed in, else one of the session's that gives up soon."""
    if service in given:
        return given[service]
    from botocore.config import Config

    soon = Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2})
    return ws.session.boto_session.client(service, region_name=ws.region, config=soon)


def _guarded(name: str, check: Callable[[], Iterator[Line]]) -> list[Line]:
    """The check's lines, or one that says why it could not be made."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return list(check())
    except ClientError as error:
        return [Line(name, False, _refusal(error))]
    except BotoCoreError as error:
        return [Line(name, False, f"not checked: {_unasked(error)}")]


def _refusal(error: Any) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in DENIED:
        return (
            f"not checked: {code} for {error.operation_name}. Have your user's policy allow it "
            f"({POLICY}), or check by hand"
        )
    return f"not checked: {error.operation_name} answered {code} ({message})"


def _unasked(error: Exception) -> str:
    """Why nobody could be asked, and the way out where it is known."""
    from botocore import exceptions as known

    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError):
        return "no credentials: set AWS_PROFILE, or run `aws configure` first"
    if isinstance(error, known.HTTPClientError | known.ConnectionError):
        return f"AWS cannot be reached: look at network, proxy and region ({error})"
    return f"{type(error).__name__}: {error}"


# ------------------------------------------------------------------------------------------ checks


def _identity(ws: Workspace, sts: Any) -> Iterator[Line]:
    found = sts.get_caller_identity()
    account, owner = found["Account"], ws.role.split(":")[4]
    who = f"{found['Arn'].rpartition(':')[2]} in account …{account[-4:]}"
    if account == owner:
        yield Line("identity", True, who)
    else:
        text = f"you are {who}, but the role is of account …{owner[-4:]}"
        yield Line("identity", False, f"{text}: set AWS_PROFILE or COURSE_ROLE to match")


def _region(ws: Workspace) -> Iterator[Line]:
    try:
        images.registry(ws.region)
    except ValueError as error:
        yield Line("region", False, f"{error}: set AWS_REGION to another, for instance us-east-1")
    else:
        yield Line("region", True, ws.region)


def _role(ws: Workspace, iam: Any) -> Iterator[Line]:
    name = ws.role.rpartition("/")[2]
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        text = f"there is no role '{name}': make it in the IAM console (docs/aws.md), or set"
        yield Line("role", False, f"{text} COURSE_ROLE to the ARN of one that exists")
        return
    if _trusts(role.get("AssumeRolePolicyDocument", {}), SAGEMAKER):
        yield Line("role", True, f"{name}, and SageMaker may assume it")
    else:
        text = f"'{name}' exists, but {SAGEMAKER} may not assume it: add that service in the IAM"
        yield Line("role", False, f"{text} console, Roles, {name}, Trust relationships")


def _trusts(document: str | dict, service: str) -> bool:
    """Whether a trust policy lets `service` assume its role; conditions are not weighed."""
    if isinstance(document, str):
        document = json.loads(unquote(document))
    return any(
        statement.get("Effect") == "Allow"
        and {"sts:AssumeRole", "sts:*", "*"} & set(_listed(statement.get("Action")))
        and service in _services(statement.get("Principal"))
        for statement in _listed(document.get("Statement"))
    )


def _services(principal: Any) -> list:
    return _listed(principal.get("Service")) if isinstance(principal, dict) else []


def _listed(value: Any) -> list:
    """IAM's grammar lets a list of one stand without its brackets."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _bucket(ws: Workspace, s3: Any) -> Iterator[Line]:
    from botocore.exceptions import ClientError

    try:
        answer = s3.get_bucket_location(Bucket=ws.bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        yield Line("bucket", True, f"{ws.bucket} is not there yet and will be made")
        return
    constraint = answer.get("LocationConstraint") or "us-east-1"  # S3's oldest region has no name
    region = "eu-west-1" if constraint == "EU" else constraint
    if region == ws.region:
        yield Line("bucket", True, f"{ws.bucket} in {region}")
    else:
        text = f"{ws.bucket} lies in {region}, the session in {ws.region}: jobs read only from"
        yield Line("bucket", False, f"{text} their own region. Set AWS_REGION={region}")


def _quotas(ws: Workspace, service_quotas: Any) -> Iterator[Line]:
    pages = service_quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    yield _training_quota(ws, quotas)
    yield _quota("endpoint quota", f"{ws.endpoint_instance} for endpoint usage", 1, quotas)


def _training_quota(ws: Workspace, quotas: Mapping[str, float]) -> Line:
    name = _training(ws.training_instance)
    line = _quota("training quota", name, JOBS_AT_ONCE, quotas)
    if line.ok:
        return line
    if quotas.get(name, 0) >= 1:
        return line._replace(text=f"{line.text}. Until then: max_parallel_jobs=1 in notebook 02")
    return line._replace(text=f"{line.text}. {_without_gpu(quotas)}")


def _quota(check: str, name: str, wanted: int, quotas: Mapping[str, float]) -> Line:
    if name not in quotas:
        found = "is not listed for this account (unlisted GPU quotas are mostly 0)"
    elif quotas[name] < wanted:
        found = f"is {quotas[name]:.0f}"
    else:
        return Line(check, True, f"'{name}' is {quotas[name]:.0f}")
    place = "Service Quotas console, AWS services, Amazon SageMaker"
    return Line(check, False, f"'{name}' {found}. Request {wanted}: {place}, this name")


def _without_gpu(quotas: Mapping[str, float]) -> str:
    """What runs today on an account without a GPU."""
    allowed = [one for one in CPU_INSTANCES if quotas.get(_training(one), 0) >= 1]
    instance = (allowed or CPU_INSTANCES)[0]
    return (
        f"Until then on a CPU: ws = dataclasses.replace(ws, training_instance='{instance}', "
        "training_image=course.images.training(ws.region, 'cpu')), and with fewer breeds "
        "(COURSE_CLASSES=12 for drawn ones, or a folder with 12 of your class folders)"
    )


def _training(instance: str) -> str:
    return f"{instance} for training job usage"


def _disk() -> Iterator[Line]:
    free = shutil.disk_usage(ROOT).free
    if free >= FREE_BYTES:
        yield Line("disk", True, f"{free / 1e9:.0f} GB free")
    else:
        text = f"{free / 1e9:.1f} GB free, less than {FREE_BYTES / 1e9:.0f}: the real photos and a"
        yield Line("disk", False, f"{text} CPU build of PyTorch want a 30 GB volume in Studio")
