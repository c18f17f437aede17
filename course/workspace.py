"""Where am I: on this machine's engine, or on AWS?"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course.account import images, standing

if TYPE_CHECKING:
    from sagemaker.core.helper.session_helper import Session

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "dog-breeds"
STUDIO = Path("/opt/ml/metadata/resource-metadata.json")  # only Studio and notebook instances
SHOWN_VERSIONS = ("sagemaker", "boto3", "torch", "smdebug")
LOCAL_INSTANCE = "ml.m5.large"  # only a name there: jobs take what the machine has
TRAINING_INSTANCES = {"gpu": "ml.g4dn.xlarge", "cpu": "ml.m5.xlarge"}  # on AWS, by COURSE_DEVICE
ENDPOINT_INSTANCE = "ml.m5.large"
IMAGE_SIZES = {
    "local": 112,
    "aws": 224,
}  # pixels a side; two processor cores need a third of the time
ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/\S+")
REGION_OF_THE_SESSION = "No region provided. Using default region."  # it is the one we have set
CHATTY_LOGGERS = ("boto3", "botocore", "s3transfer", "sagemaker", "urllib3")
ENGINE = "local-sagemaker"  # the extra `local`, which the student's environment leaves out
OF_SHELLS = {"_", "OLDPWD", "PWD", "SHLVL"}  # variables that a shell sets by itself
ALL_THAT_IS_MISSING = "course.preflight() lists all that is missing"
NO_PROFILE = (
    "set AWS_PROFILE to one that `aws configure list-profiles` names, or make it with "
    "`aws login --profile NAME` or `aws configure sso`"
)
# boto3 reads AWS_DEFAULT_REGION, and not AWS_REGION as other tools of AWS do.
NO_REGION = (
    "no region is set: set AWS_DEFAULT_REGION (boto3 does not read AWS_REGION), for instance "
    "`%env AWS_DEFAULT_REGION=us-east-1` in a cell above, or a region in the profile"
)


class WorkspaceError(RuntimeError):
    """The notebook cannot know where to run; the text says what to set."""


@dataclass(frozen=True)
class Workspace:
    """All that differs between this machine and AWS; the notebooks' cells do not.

    Attributes:
        mode: ``local`` or ``aws``.
        session: the SDK's session.
        role: ARN of the role that jobs and endpoints assume.
        bucket, prefix: everything the course stores lies under ``s3://{bucket}/{prefix}/``.
        training_instance, endpoint_instance: instance types to ask for.
        training_image, inference_image: container images (see `course.account.images`).
        debugger: ``managed``, where SageMaker Debugger evaluates the rules beside the job, or
            ``self``, where the job saves its tensors itself and `open_debugger` evaluates them.
        reports: folder for the profiler's reports; beside the notebooks, or ``COURSE_REPORTS``.
        image_size: pixels a side at which networks are trained.
        spot: whether jobs run on spot instances, which are cheaper and may be taken back.
    """

    mode: str
    session: Session
    role: str
    bucket: str
    prefix: str
    region: str
    training_instance: str
    endpoint_instance: str
    training_image: str
    inference_image: str
    debugger: str
    reports: Path
    image_size: int
    spot: bool = False

    def uri(self, *parts: str) -> str:
        """``s3://{bucket}/{prefix}/part/part``."""
        return "/".join([f"s3://{self.bucket}", self.prefix, *parts])


def connect() -> Workspace:
    """Settle where this notebook runs, say so, and return its workspace.

    Environment: ``COURSE_MODE`` is ``local`` (default outside Studio) or ``aws``. In AWS mode
    ``AWS_PROFILE`` chooses the account, ``COURSE_ROLE`` the execution role, and ``COURSE_DEVICE``
    (``gpu``, the default, or ``cpu``) the training jobs' instance and image. ``COURSE_DEBUGGER``
    is ``managed`` (default in local mode) or ``self`` (default on AWS, where SageMaker Debugger is
    closed to new accounts). ``COURSE_IMAGE_SIZE`` is the size of the photos in training, in pixels
    a side: 112 in local mode and 224 on AWS by default. With ``COURSE_SPOT=1``, jobs run on spot
    instances.

    Raises:
        WorkspaceError: if one of them is missing or wrong, or they contradict each other.
    """
    mode, device = chosen_mode(), chosen_device()
    debugger, image_size, spot = chosen_debugger(mode), chosen_image_size(mode), chosen_spot()
    choose_place()
    _quiet_libraries()
    # The SDK's own check of the role wants nine rights on EC2 that a job without a VPC never uses,
    # and refuses the role to whoever may simulate policies. `preflight` checks what jobs need.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    warnings.filterwarnings("ignore", category=UserWarning, module="pydantic")
    workspace = _workspace(mode, device, debugger, image_size, spot)
    print(_banner(workspace))
    print(_versions())
    print(_endpoints(workspace), end="")
    return workspace


def choose_place() -> str:
    """Point boto3 at the local engine or at AWS, as the environment says; return the mode.

    Raises:
        WorkspaceError: the mode is not set or is misspelt, or the engine or AWS cannot be reached.
    """
    mode = chosen_mode()
    if mode == "local":
        _use_local_engine()
    else:
        _check_aws()
    return mode


def asked(mode: str, session: Any) -> str:
    """Which side a command asks: this machine's engine, or which account of AWS; and the region.

    Args:
        mode: ``local`` or ``aws``.
        session: boto3's, with the region that is asked.
    """
    if mode == "local":
        who = "LOCAL: the engine on this machine, no AWS account (COURSE_MODE=aws asks that)"
    else:
        account = session.client("sts").get_caller_identity()["Account"]
        who = f"AWS: account …{account[-4:]}"
    return f"{who}, region {session.region_name}"


class _OnlyWarnings(logging.Handler):
    """Hands warnings and errors on to the root logger.

    Some of the SDK's loggers set levels of their own, so a level of their parent's does not do.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(lambda record: record.getMessage() != REGION_OF_THE_SESSION)

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().handle(record)


def _quiet_libraries() -> None:
    """Let boto3 and the SDK log warnings only, smdebug errors; a notebook's own lines stay."""
    for logger in map(logging.getLogger, CHATTY_LOGGERS):
        if logger.propagate:
            logger.propagate = False
            logger.addHandler(_OnlyWarnings())
    # smdebug warns "No tensors were saved" of any collection that is found by a pattern.
    os.environ.setdefault("SMDEBUG_LOG_LEVEL", "error")


def chosen_mode() -> str:
    """``local`` or ``aws``; in Studio it must be said.

    Raises:
        WorkspaceError: it is open or misspelt.
    """
    mode = os.environ.get("COURSE_MODE", "")
    if not mode and STUDIO.exists():
        raise WorkspaceError(
            "This is SageMaker Studio, where both ways are possible. Choose in a cell above: "
            "%env COURSE_MODE=aws (runs on your account, costs money) or %env COURSE_MODE=local "
            "(runs in this notebook's machine)."
        )
    if mode not in {"", "local", "aws"}:
        raise WorkspaceError(f"COURSE_MODE is '{mode}': set it to 'local' or 'aws'")
    return mode or "local"


def chosen_device() -> str:
    """What training jobs on AWS compute on; the local engine has its own machine.

    Raises:
        WorkspaceError: it is neither ``gpu`` nor ``cpu``.
    """
    device = os.environ.get("COURSE_DEVICE") or "gpu"
    if device not in TRAINING_INSTANCES:
        raise WorkspaceError(
            f"COURSE_DEVICE is '{device}': set it to 'cpu' for training on "
            f"{TRAINING_INSTANCES['cpu']}, or to 'gpu' for {TRAINING_INSTANCES['gpu']}"
        )
    return device


def chosen_debugger(mode: str) -> str:
    """Who evaluates the Debugger rules: ``managed`` or ``self``.

    Raises:
        WorkspaceError: it is neither.
    """
    debugger = os.environ.get("COURSE_DEBUGGER") or ("managed" if mode == "local" else "self")
    if debugger not in {"managed", "self"}:
        raise WorkspaceError(
            f"COURSE_DEBUGGER is '{debugger}': set it to 'managed' (SageMaker Debugger evaluates "
            "the rules; on AWS only for accounts that used it before August 2026), or to 'self' "
            "(the notebook evaluates them)"
        )
    return debugger


def chosen_image_size(mode: str) -> int:
    """The size of the photos in training, in pixels a side.

    Raises:
        WorkspaceError: it is not a whole number of at least 32.
    """
    size = os.environ.get("COURSE_IMAGE_SIZE") or str(IMAGE_SIZES[mode])
    if not size.isdecimal() or int(size) < 32:
        raise WorkspaceError(
            f"COURSE_IMAGE_SIZE is '{size}': set it to a whole number of pixels, at least 32"
        )
    return int(size)


def chosen_spot() -> bool:
    """Whether jobs run on spot instances.

    Raises:
        WorkspaceError: ``COURSE_SPOT`` is neither 1 nor 0.
    """
    spot = os.environ.get("COURSE_SPOT") or "0"
    if spot not in {"0", "1"}:
        raise WorkspaceError(
            f"COURSE_SPOT is '{spot}': set it to '1' for jobs on spot instances, or to '0'"
        )
    return spot == "1"


def has_engine() -> bool:
    """Whether the local engine is installed in this environment."""
    try:
        version(ENGINE)
    except PackageNotFoundError:
        return False
    return True


def without_engine() -> str:
    """What to do where the local engine cannot run."""
    return (
        f"local mode needs the package {ENGINE}, which this environment lacks, as those of "
        "requirements-aws.txt and environment.yml do. Either run `make install` and take .venv as "
        "the kernel, or work on AWS: COURSE_MODE=aws"
    )


def _use_local_engine() -> None:
    """Point this process at the engine that is running, or start one for this repository."""
    if "LOCAL_SAGEMAKER_URL" in os.environ:  # inside `local-sagemaker run`
        return
    if not has_engine():
        raise WorkspaceError(without_engine())
    engine = [sys.executable, "-m", "local_sagemaker.cli"]
    state = ["--state", str(ROOT / ".local_sagemaker")]
    if subprocess.run([*engine, "status", *state], capture_output=True).returncode != 0:
        started = subprocess.run([*engine, "start", *state], capture_output=True, text=True)
        if started.returncode != 0:
            raise WorkspaceError(f"the local engine does not start: {started.stderr.strip()}")
    _take_variables([*engine, "env", *state])


def _take_variables(command: list[str]) -> None:
    """Let a shell evaluate what `command` prints, and take the variables that it has then."""
    show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    script = f'set -e; told="$("$@")"; eval "$told"; unset told; {shlex.join(show)}'
    shell = ["sh", "-c", script, "sh", *command]
    said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    for name in OF_SHELLS:
        found.pop(name, None)
    for name in set(os.environ) - set(found) - OF_SHELLS:
        del os.environ[name]
    os.environ.update(found)


def _check_aws() -> None:
    address = os.environ.get("AWS_ENDPOINT_URL")
    if address:
        raise WorkspaceError(
            f"COURSE_MODE is 'aws', but AWS_ENDPOINT_URL ({address}) leads elsewhere, as local "
            "mode leaves it: restart the kernel, or unset AWS_ENDPOINT_URL"
        )


def _workspace(mode: str, device: str, debugger: str, image_size: int, spot: bool) -> Workspace:
    region = chosen_region()
    os.environ.setdefault("AWS_DEFAULT_REGION", region)  # sagemaker.serve asks at import

    from sagemaker.core.helper.session_helper import Session

    session, here = Session(), mode == "local"
    return Workspace(
        mode=mode,
        session=session,
        role=chosen_role(mode, session),
        bucket=_default_bucket(session),
        prefix=PREFIX,
        region=region,
        training_instance=LOCAL_INSTANCE if here else TRAINING_INSTANCES[device],
        endpoint_instance=ENDPOINT_INSTANCE,
        training_image=images.training(region, "cpu" if here else device),
        inference_image=images.inference(region),
        debugger=debugger,
        reports=Path(os.environ.get("COURSE_REPORTS") or "reports"),
        image_size=image_size,
        spot=spot,
    )


def chosen_region() -> str:
    """The region of the environment or of the profile.

    Raises:
        WorkspaceError: neither names one, or the profile is unknown.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        region = boto3.session.Session().region_name
    except ProfileNotFound as error:
        raise WorkspaceError(f"{error}: {NO_PROFILE}") from error
    if region is None:
        raise WorkspaceError(NO_REGION)
    return region


def _default_bucket(session: Session) -> str:
    """The SDK's default bucket, made on first use."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return session.default_bucket()
    except (BotoCoreError, ClientError) as error:
        raise WorkspaceError(
            f"the account's default bucket cannot be had: {error}. Check AWS_PROFILE and the "
            "credentials (`aws sts get-caller-identity` must answer), and that this user may "
            f"list and create buckets; {ALL_THAT_IS_MISSING}"
        ) from error


def chosen_role(mode: str, session: Session | None) -> str:
    """ARN of the execution role: named, or Studio's own.

    Raises:
        WorkspaceError: there is none, or it is no ARN.
    """
    if mode == "local":
        return os.environ["SAGEMAKER_ROLE"]
    if role := os.environ.get("COURSE_ROLE"):
        return _checked(role)
    if not STUDIO.exists():
        raise WorkspaceError(
            "outside Studio the jobs' role must be named: set COURSE_ROLE to the ARN of a role "
            "with the policy AmazonSageMakerFullAccess that sagemaker.amazonaws.com may assume "
            f"(docs/aws.md makes one); {ALL_THAT_IS_MISSING}"
        )
    return _studio_role(session)


def _checked(role: str) -> str:
    if not ROLE_ARN.fullmatch(role):
        raise WorkspaceError(
            f"COURSE_ROLE is '{role}', which is no role's ARN: it reads "
            "arn:aws:iam::ACCOUNT:role/NAME and stands in the IAM console, Roles, at the role"
        )
    return role


def _studio_role(session: Session | None) -> str:
    from botocore.exceptions import BotoCoreError, ClientError
    from sagemaker.core.helper.session_helper import get_execution_role

    try:
        return get_execution_role(session)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise WorkspaceError(
            f"Studio's execution role cannot be found ({error}): set COURSE_ROLE to its ARN, which "
            f"stands in the SageMaker console at the domain; {ALL_THAT_IS_MISSING}"
        ) from error


def _banner(ws: Workspace) -> str:
    if ws.mode == "local":
        return (
            "LOCAL: every job runs on this machine; free, no account, no network.\n"
            f"bucket {ws.bucket}, prefix {ws.prefix}"
        )
    from course import costs  # late, so that `python -m course.costs` imports it once

    account = ws.role.split(":")[4]
    prices = costs.at_most(ws.training_instance, ws.endpoint_instance)
    most = ", ".join(f"{name} {value:.2f} USD" for name, value in prices.items())
    banner = (
        f"AWS: account …{account[-4:]}, region {ws.region}, role {ws.role.rpartition('/')[2]}\n"
        f"bucket {ws.bucket}, prefix {ws.prefix}\n"
        f"costs at most: {most}"
    )
    old = images.unpatched(ws.training_image, ws.inference_image)
    return "\n".join(filter(None, [banner, _on_cpu(ws), old]))


def _versions() -> str:
    """The versions of what matters; the student's environment on AWS has no torch."""
    shown = []
    for name in SHOWN_VERSIONS:
        with contextlib.suppress(PackageNotFoundError):
            shown.append(f"{name} {version(name)}")
    return " · ".join(shown)


def _endpoints(ws: Workspace) -> str:
    """A line for each endpoint of the course that stands, with its price; empty without any."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = standing.found(ws.session.boto_session.client("sagemaker"), ("endpoint",))
    except (BotoCoreError, ClientError) as error:
        return f"which endpoints stand could not be asked ({error})\n"
    free = "free on this machine, whose memory it uses"
    return "".join(
        f"STANDING since {each.created:%Y-%m-%d %H:%M}: endpoint {each.name}, "
        f"{free if ws.mode == 'local' else standing.price(each)}. "
        "`python -m course.cleanup --delete` removes it\n"
        for each in found
        if each.ours
    )


def _on_cpu(ws: Workspace) -> str:
    """A line that says so, when training jobs run without a GPU."""
    if "-cpu-" not in ws.training_image:
        return ""
    return (
        f"training on a CPU ({ws.training_instance}, COURSE_DEVICE=cpu): an epoch takes many times "
        "as long and the jobs' time limits stay, so use fewer breeds (docs/aws-details.md, No GPU "
        "yet)"
    )
