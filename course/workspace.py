"""Where am I: on this machine's engine, or on AWS?"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from course import costs, images

if TYPE_CHECKING:
    from sagemaker.core.helper.session_helper import Session

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "dog-breeds"
STUDIO = Path("/opt/ml/metadata/resource-metadata.json")  # only Studio and notebook instances
SHOWN_VERSIONS = ("sagemaker", "boto3", "torch", "smdebug")
INSTANCES = {
    "local": {"training": "ml.m5.large", "endpoint": "ml.m5.large", "device": "cpu"},
    "aws": {"training": "ml.g4dn.xlarge", "endpoint": "ml.m5.large", "device": "gpu"},
}


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
        training_image, inference_image: container images (see `course.images`).
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

    def uri(self, *parts: str) -> str:
        """``s3://{bucket}/{prefix}/part/part``."""
        return "/".join([f"s3://{self.bucket}", self.prefix, *parts])


def connect() -> Workspace:
    """Settle where this notebook runs, say so, and return its workspace.

    Environment: ``COURSE_MODE`` is ``local`` (default outside Studio) or ``aws``; in AWS mode
    ``AWS_PROFILE`` chooses the account and ``COURSE_ROLE`` the execution role.

    Raises:
        WorkspaceError: if mode, role or address are missing or contradict each other.
    """
    mode = _mode()
    if mode == "local":
        _use_local_engine()
    else:
        _check_aws()
    logging.disable(logging.INFO)  # the SDK's talk is no part of the lesson; warnings stay
    warnings.filterwarnings("ignore", category=UserWarning, module="pydantic")
    workspace = _workspace(mode)
    print(_banner(workspace))
    print(" · ".join(f"{name} {version(name)}" for name in SHOWN_VERSIONS))
    return workspace


def _mode() -> str:
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


def _use_local_engine() -> None:
    """Point this process at the engine that is running, or start one for this repository."""
    if "LOCAL_SAGEMAKER_URL" in os.environ:  # inside `local-sagemaker run`
        return
    engine = [sys.executable, "-m", "local_sagemaker.cli"]
    state = ["--state", str(ROOT / ".local_sagemaker")]
    if subprocess.run([*engine, "status", *state], capture_output=True).returncode != 0:
        started = subprocess.run([*engine, "start", *state], capture_output=True, text=True)
        if started.returncode != 0:
            raise WorkspaceError(f"the local engine does not start: {started.stderr.strip()}")
    lines = subprocess.run([*engine, "env", *state], capture_output=True, text=True, check=True)
    for words in map(shlex.split, lines.stdout.splitlines()):
        if words[0] == "unset":
            os.environ.pop(words[1], None)
        else:
            name, _, value = words[1].partition("=")
            os.environ[name] = value


def _check_aws() -> None:
    address = os.environ.get("AWS_ENDPOINT_URL")
    if address:
        raise WorkspaceError(
            f"COURSE_MODE is 'aws', but AWS_ENDPOINT_URL ({address}) leads elsewhere, as local "
            "mode leaves it: restart the kernel, or unset AWS_ENDPOINT_URL"
        )


def _workspace(mode: str) -> Workspace:
    import boto3

    region = boto3.session.Session().region_name
    if region is None:
        raise WorkspaceError("no region is set: set AWS_REGION, for instance to us-east-1")
    os.environ.setdefault("AWS_DEFAULT_REGION", region)  # sagemaker.serve asks at import

    from sagemaker.core.helper.session_helper import Session

    session, chosen = Session(), INSTANCES[mode]
    return Workspace(
        mode=mode,
        session=session,
        role=_role(mode, session),
        bucket=_default_bucket(session),
        prefix=PREFIX,
        region=region,
        training_instance=chosen["training"],
        endpoint_instance=chosen["endpoint"],
        training_image=images.training(region, chosen["device"]),
        inference_image=images.inference(region),
    )


def _default_bucket(session: Session) -> str:
    """The SDK's default bucket, made on first use."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return session.default_bucket()
    except (BotoCoreError, ClientError) as error:
        raise WorkspaceError(
            f"the account's default bucket cannot be had: {error}. Check AWS_PROFILE and the "
            "credentials (`aws sts get-caller-identity` must answer), and that this user may "
            "list and create buckets"
        ) from error


def _role(mode: str, session: Session) -> str:
    if mode == "local":
        return os.environ["SAGEMAKER_ROLE"]
    if role := os.environ.get("COURSE_ROLE"):
        return role
    if not STUDIO.exists():
        raise WorkspaceError(
            "outside Studio the jobs' role must be named: set COURSE_ROLE to the ARN of a role "
            "with the policy AmazonSageMakerFullAccess that sagemaker.amazonaws.com may assume"
        )
    from sagemaker.core.helper.session_helper import get_execution_role

    return get_execution_role(session)


def _banner(ws: Workspace) -> str:
    if ws.mode == "local":
        return (
            "LOCAL: every job runs on this machine; free, no account, no network.\n"
            f"bucket {ws.bucket}, prefix {ws.prefix}"
        )
    account = ws.role.split(":")[4]
    most = ", ".join(f"{name} ${value:.2f}" for name, value in costs.AT_MOST.items())
    banner = (
        f"AWS: account …{account[-4:]}, region {ws.region}, role {ws.role.rpartition('/')[2]}\n"
        f"bucket {ws.bucket}, prefix {ws.prefix}\n"
        f"costs at most: {most}"
    )
    return "\n".join(
        filter(None, [banner, images.unpatched(ws.training_image, ws.inference_image)])
    )
