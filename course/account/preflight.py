"""Before the first run on AWS: what is missing, and where to ask for it.

Every check is a question that costs nothing; none makes, changes or starts anything. It needs no
workspace: what `connect` would refuse is a line here, and the checks after it go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from course import workspace
from course.account import images, rights
from course.account.rights import DENIED
from course.jobs import LOG_GROUP
from course.workspace import ROOT, Workspace, WorkspaceError

Found = TypeVar("Found")

SAGEMAKER = "sagemaker.amazonaws.com"
JOBS_AT_ONCE = 2  # notebooks 02 and 03 run two training jobs at a time
ONE_BY_ONE = (
    "max_parallel_jobs=1 in notebook 02, and in 02 and 03 jobs.wait(trainer) after each "
    "trainer.train(...) (docs/aws-details.md, Only one instance)"
)
CPU_INSTANCES = ("ml.m5.xlarge", "ml.c5.xlarge")  # the first is COURSE_DEVICE=cpu's
FREE_BYTES = 5e9  # less does not hold the real photos (1.1 GB, zipped and unzipped) and PyTorch
# Credentials that are there, and that AWS no longer takes or never took.
STALE = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
SIGN_IN = "sign in again (`aws login`, `aws sso login`, `aws configure`) and restart the kernel"
POLICY = "docs/policy.json"
CONSOLE = "Service Quotas console, AWS services, Amazon SageMaker"
BY_HAND = {  # where to look when a question is refused
    "role": "IAM console, Roles",
    "logs": "CloudWatch console, Log groups",
    "bucket": "S3 console",
    "quotas": CONSOLE,
}


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


@dataclass(frozen=True)
class _Plan:
    """What `connect` has taken or would take; None where nobody knows it yet.

    Attributes:
        session: makes the boto3 session.
        spot: whether jobs run on spot instances, for which AWS has quotas of their own.
        problems: what is to be done, by the name of the check that cannot be made.
    """

    session: Callable[[], Any]
    region: str | None
    role: str | None
    bucket: str | None
    training_instance: str
    endpoint_instance: str
    spot: bool
    problems: Mapping[str, str] = field(default_factory=dict)


def preflight(ws: Workspace | None = None, clients: Mapping[str, Any] | None = None) -> Preflight:
    """Ask AWS whether the course can run: identity, region, role, logs, bucket, quotas, disk.

    What cannot be asked (no credentials, no permission, no network) becomes a line that says so.

    Args:
        ws: what `connect` returned; without it the environment is read, as `connect` reads it.
        clients: boto3 clients by service name, to be used instead of the session's own.
    """
    if (ws.mode if ws else _mode()) == "local":
        return Preflight((_local(),))
    if address := os.environ.get("AWS_ENDPOINT_URL"):
        text = f"AWS_ENDPOINT_URL ({address}) leads elsewhere: restart the kernel, or unset it"
        return Preflight((Line("address", False, text),))
    plan = _taken(ws) if ws else _wanted()
    client = partial(_client, plan, clients or {})
    who = _once(lambda: client("sts").get_caller_identity())
    checks = {
        "identity": lambda: _identity(plan, who()),
        "region": lambda: _region(plan),
        "role": lambda: _role(plan, client("iam")),
        "logs": lambda: _logs(client("logs")),
        "bucket": lambda: _bucket(plan, who, client("s3")),
        "quotas": lambda: _quotas(plan, client("service-quotas")),
        "disk": _disk,
    }
    settings = [Line(name, False, text) for name, text in plan.problems.items()]
    lines = [line for line in settings if line.name not in checks]
    for name, check in checks.items():
        known = [line for line in settings if line.name == name]
        lines += known or _guarded(name, check)
    return Preflight(tuple(lines))


def _mode() -> str:
    """The mode as far as it is settled: a wrong or open one is asked about AWS."""
    try:
        return workspace.chosen_mode()
    except WorkspaceError:
        return "aws"


def _local() -> Line:
    if not workspace.has_engine():
        return Line("local", False, workspace.without_engine())
    text = "nothing needs checking: all runs on this machine. COURSE_MODE=aws asks about AWS"
    return Line("local", True, text)


def _taken(ws: Workspace) -> _Plan:
    return _Plan(
        session=lambda: ws.session.boto_session,
        region=ws.region,
        role=ws.role,
        bucket=ws.bucket,
        training_instance=ws.training_instance,
        endpoint_instance=ws.endpoint_instance,
        spot=ws.spot,
    )


def _wanted() -> _Plan:
    """What `connect` would take from this environment."""
    import boto3

    problems: dict[str, str] = {}
    _known("mode", workspace.chosen_mode, problems)
    device = _known("device", workspace.chosen_device, problems) or "gpu"
    spot = _known("spot", workspace.chosen_spot, problems) or False
    region = _known("region", workspace.chosen_region, problems)
    role = _known("role", partial(_role_wanted, region), problems)
    if region is None:
        later = "not checked: differs by region, so set that first"
        problems |= {"logs": later, "bucket": later, "quotas": later}
    return _Plan(
        session=boto3.session.Session,
        region=region,
        role=role,
        bucket=None,
        training_instance=workspace.TRAINING_INSTANCES[device],
        endpoint_instance=workspace.ENDPOINT_INSTANCE,
        spot=spot,
        problems=problems,
    )


def _known(name: str, find: Callable[[], Found], problems: dict[str, str]) -> Found | None:
    """What `find` finds; else None, and why among the problems."""
    try:
        return find()
    except WorkspaceError as error:
        problems[name] = str(error).removesuffix(f"; {workspace.ALL_THAT_IS_MISSING}")
        return None


def _role_wanted(region: str | None) -> str:
    if os.environ.get("COURSE_ROLE") or not workspace.STUDIO.exists():
        return workspace.chosen_role("aws", None)
    if region is None:
        raise WorkspaceError(
            "not checked: Studio's own role is asked for in a region, set it first"
        )
    import boto3
    from sagemaker.core.helper.session_helper import Session

    return workspace.chosen_role("aws", Session(boto3.session.Session(region_name=region)))


def _mark(line: Line) -> str:
    return "OK" if line.ok else "TO DO"


def _once(ask: Callable[[], dict]) -> Callable[[], dict]:
    """`ask`, which is asked once only: later its answer is given again, a refusal too."""
    from botocore.exceptions import BotoCoreError, ClientError

    found: list = []

    def answer() -> dict:
        if not found:
            try:
                found.append(ask())
            except (BotoCoreError, ClientError) as error:
                found.append(error)
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    return answer


def _client(plan: _Plan, given: Mapping[str, Any], service: str) -> Any:
    """The client passed in, else one of the session's that gives up soon."""
    if service in given:
        return given[service]
    from botocore.config import Config

    soon = Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2})
    # Without a region boto3 asks STS and IAM at their global addresses; no other is asked then.
    return plan.session().client(service, region_name=plan.region, config=soon)


def _guarded(name: str, check: Callable[[], Iterator[Line]]) -> list[Line]:
    """The check's lines, or one that says why it could not be made."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return list(check())
    except ClientError as error:
        return [Line(name, False, _refusal(name, error))]
    except BotoCoreError as error:
        return [Line(name, False, f"not checked: {_unasked(error)}")]


def _refusal(name: str, error: Any) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in DENIED:
        look = f", or look yourself: {BY_HAND[name]}" if name in BY_HAND else ""
        return (
            f"not checked: {code} for {error.operation_name}. Have your user's policy allow it "
            f"({POLICY}){look}"
        )
    if code in STALE:
        return f"not checked: the credentials are not valid ({code}): {SIGN_IN}"
    return f"not checked: {error.operation_name} answered {code} ({message})"


def _unasked(error: Exception) -> str:
    """Why nobody could be asked, and the way out where it is known."""
    from botocore import exceptions as known

    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError):
        return f"no credentials: {_credentials()}"
    if isinstance(error, known.ProfileNotFound):
        return f"{error}: {workspace.NO_PROFILE}"
    signed_out = (
        known.SSOError,
        known.TokenRetrievalError,
        known.CredentialRetrievalError,
        known.LoginError,
    )
    if isinstance(error, signed_out):
        return f"{error}: {SIGN_IN}"
    if isinstance(error, known.HTTPClientError | known.ConnectionError):
        return f"AWS cannot be reached: look at network, proxy and region ({error})"
    return f"{type(error).__name__}: {error}"


def _credentials() -> str:
    if workspace.STUDIO.exists():
        return "Studio brings its role's; restart the space, or look at its execution role"
    return "set AWS_PROFILE, or run `aws login` (or `aws configure sso`, or `aws configure`) first"


# ------------------------------------------------------------------------------------------ checks


def _identity(plan: _Plan, found: Mapping[str, str]) -> Iterator[Line]:
    account = found["Account"]
    owner = plan.role.split(":")[4] if plan.role else account
    who = f"{found['Arn'].rpartition(':')[2]} in account …{account[-4:]}"
    if account == owner:
        yield Line("identity", True, who)
    else:
        text = f"you are {who}, but the role is of account …{owner[-4:]}"
        yield Line("identity", False, f"{text}: set AWS_PROFILE or COURSE_ROLE to match")


def _region(plan: _Plan) -> Iterator[Line]:
    try:
        images.registry(plan.region)
    except ValueError as error:
        text = f"{error}: set AWS_DEFAULT_REGION to another, for instance us-east-1"
        yield Line("region", False, text)
    else:
        yield Line("region", True, plan.region)


def _role(plan: _Plan, iam: Any) -> Iterator[Line]:
    name = plan.role.rpartition("/")[2]
    try:
        role = rights.role(iam, name)
    except iam.exceptions.NoSuchEntityException:
        text = f"there is no role '{name}': make it in the IAM console (docs/aws.md), or set"
        yield Line("role", False, f"{text} COURSE_ROLE to the ARN of one that exists")
        return
    if role["Arn"] != plan.role:
        text = f"the role '{name}' has the ARN {role['Arn']}, not {plan.role}: set COURSE_ROLE to"
        yield Line("role", False, f"{text} the first")
    elif _trusts(role.get("AssumeRolePolicyDocument", {}), SAGEMAKER):
        yield _rights(plan, iam, name)
    else:
        text = f"'{name}' exists, but {SAGEMAKER} may not assume it: add that service in the IAM"
        yield Line("role", False, f"{text} console, Roles, {name}, Trust relationships")


def _rights(plan: _Plan, iam: Any, name: str) -> Line:
    """Whether the role, which SageMaker may assume, may do what jobs need."""
    account = plan.role.split(":")[4]
    bucket = plan.bucket or f"sagemaker-{plan.region}-{account}"
    denied = rights.missing(iam, plan.role, plan.region, bucket) if plan.region else None
    text = f"{name}, and SageMaker may assume it"
    if denied is None:
        text += "; what it may do is not checked: IAM tells that to administrators only"
    elif denied:
        may = f"'{name}' may not do what jobs need: {', '.join(denied)}"
        return Line("role", False, f"{may}. In the IAM console, {rights.ENOUGH}")
    else:
        text += " and may do all that jobs need"
    return Line("role", True, text)


def _logs(logs: Any) -> Iterator[Line]:
    """The notebooks read the logs of jobs by these two questions, after the money is spent."""
    place = {"logGroupName": LOG_GROUP}
    stream = {"logStreamName": "dog-breeds-preflight", "startFromHead": True, "limit": 1}
    nothing_there = logs.exceptions.ResourceNotFoundException  # so the question itself is allowed
    with contextlib.suppress(nothing_there):
        logs.describe_log_streams(**place, orderBy="LogStreamName", limit=1)
    with contextlib.suppress(nothing_there):
        logs.get_log_events(**place, **stream)
    yield Line("logs", True, f"the logs of jobs may be read ({LOG_GROUP})")


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


def _bucket(plan: _Plan, who: Callable[[], dict], s3: Any) -> Iterator[Line]:
    from botocore.exceptions import ClientError

    name = plan.bucket or f"sagemaker-{plan.region}-{who()['Account']}"  # as the SDK names it
    try:
        answer = s3.get_bucket_location(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        text = "is not there yet: connect() makes it, if your policy allows s3:CreateBucket"
        yield Line("bucket", True, f"{name} {text}")
        return
    constraint = answer.get("LocationConstraint") or "us-east-1"  # S3's oldest region has no name
    region = "eu-west-1" if constraint == "EU" else constraint
    if region != plan.region:
        text = f"{name} lies in {region}, the session in {plan.region}: jobs read only from"
        yield Line("bucket", False, f"{text} their own region. Set AWS_DEFAULT_REGION={region}")
    elif not _listable(s3, name):
        text = f"{name} is there, but you may not list it: have your policy allow s3:ListBucket on"
        yield Line("bucket", False, f"{text} it ({POLICY}); it must be of your own account")
    else:
        yield Line("bucket", True, f"{name} in {region}")


def _listable(s3: Any, bucket: str) -> bool:
    """Whether the bucket may be listed, which is the right that HeadBucket asks for."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in DENIED:
            return False
        raise
    return True


def _quotas(plan: _Plan, service_quotas: Any) -> Iterator[Line]:
    pages = service_quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    yield _training_quota(plan.training_instance, plan.spot, quotas)
    yield _quota("endpoint quota", f"{plan.endpoint_instance} for endpoint usage", 1, quotas)


def _training_quota(instance: str, spot: bool, quotas: Mapping[str, float]) -> Line:
    name = training_quota(instance, spot)
    line = _quota("training quota", name, JOBS_AT_ONCE, quotas)
    if line.ok:
        return line
    if quotas.get(name, 0) >= 1:
        return line._replace(text=f"{line.text}. Until then: {ONE_BY_ONE}")
    if spot and quotas.get(training_quota(instance), 0) >= 1:
        return line._replace(
            text=f"{line.text}. Until then without spot instances, which the account has a quota "
            "for: %env COURSE_SPOT=0 above the first cell"
        )
    return line._replace(text=f"{line.text}. {_meanwhile(instance, spot, quotas)}")


def _quota(check: str, name: str, wanted: int, quotas: Mapping[str, float]) -> Line:
    if name not in quotas:
        found = "is not listed for this account (unlisted ones are mostly 0)"
    elif quotas[name] < wanted:
        found = f"is {quotas[name]:.0f}"
    else:
        return Line(check, True, f"'{name}' is {quotas[name]:.0f}")
    return Line(check, False, f"'{name}' {found}. Request {wanted}: {CONSOLE}, this name")


def _meanwhile(instance: str, spot: bool, quotas: Mapping[str, float]) -> str:
    """What trains today, in an account without the instance that was asked for."""
    others = [one for one in CPU_INSTANCES if one != instance]
    allowed = [one for one in others if quotas.get(training_quota(one, spot), 0) >= 1]
    if not allowed:
        too = " and ".join(f"'{training_quota(one, spot)}'" for one in others)
        return f"It has no {too} either: request one of them as well; until then use local mode"
    steps = []
    if instance not in CPU_INSTANCES:
        steps.append("%env COURSE_DEVICE=cpu above the first cell")
    if allowed[0] != CPU_INSTANCES[0]:
        other = f"dataclasses.replace(ws, training_instance='{allowed[0]}')"
        steps.append(f"import dataclasses; ws = {other} after it")
    why = "and fewer breeds (docs/aws-details.md, No GPU yet)"
    return f"Until then on a CPU: {', '.join(steps)}, {why}"


def training_quota(instance: str, spot: bool = False) -> str:
    """AWS's name of the quota for jobs on `instance`; spot instances have one of their own."""
    return f"{instance} for {'spot ' if spot else ''}training job usage"


def _disk() -> Iterator[Line]:
    free = shutil.disk_usage(ROOT).free
    if free >= FREE_BYTES:
        yield Line("disk", True, f"{free / 1e9:.0f} GB free")
    else:
        text = f"{free / 1e9:.1f} GB free, less than {FREE_BYTES / 1e9:.0f}: in Studio stop the"
        yield Line(
            "disk", False, f"{text} space and raise its storage to 30 GB; elsewhere make room"
        )
