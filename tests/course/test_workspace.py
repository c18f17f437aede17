"""course.connect(): which mode, which engine, and what it refuses."""

import logging
import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError

from course import workspace
from course.account.standing import Standing
from course.workspace import WorkspaceError, connect


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """An environment without any of the variables that connect() reads."""
    read = (
        "COURSE_MODE",
        "COURSE_ROLE",
        "COURSE_DEVICE",
        "COURSE_DEBUGGER",
        "COURSE_IMAGE_SIZE",
        "COURSE_SPOT",
        "AWS_ENDPOINT_URL",
        "LOCAL_SAGEMAKER_URL",
    )
    for name in read:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(workspace, "STUDIO", tmp_path / "no-studio.json")
    monkeypatch.setenv("SMDEBUG_LOG_LEVEL", "info")
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")  # what connect() sets, undone at the end
    handlers = {name: logging.getLogger(name).handlers[:] for name in workspace.CHATTY_LOGGERS}
    yield monkeypatch
    for name, before in handlers.items():  # connect() quiets the SDK
        logging.getLogger(name).handlers[:] = before
        logging.getLogger(name).propagate = True


def test_a_wrong_mode_is_named(clean):
    clean.setenv("COURSE_MODE", "azure")
    with pytest.raises(WorkspaceError, match="'azure': set it to 'local' or 'aws'"):
        connect()


def test_studio_without_a_mode_asks(clean, tmp_path):
    studio = tmp_path / "resource-metadata.json"
    studio.write_text("{}")
    clean.setattr(workspace, "STUDIO", studio)
    with pytest.raises(WorkspaceError, match="COURSE_MODE=aws"):
        connect()


def test_aws_mode_refuses_a_local_address_left_over(clean):
    clean.setenv("COURSE_MODE", "aws")
    clean.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(WorkspaceError, match=r"AWS_ENDPOINT_URL \(http://127.0.0.1:1\)"):
        connect()


def test_aws_mode_without_a_region_says_which_variable_boto3_reads(clean):
    clean.setenv("COURSE_MODE", "aws")
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        clean.delenv(name, raising=False)
    clean.setenv("AWS_REGION", "us-east-1")
    clean.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(WorkspaceError, match=r"set AWS_DEFAULT_REGION \(boto3 does not read AWS_"):
        connect()


def test_aws_mode_with_a_profile_that_does_not_exist(clean):
    clean.setenv("COURSE_MODE", "aws")
    clean.setenv("AWS_PROFILE", "dogs")
    clean.setenv("AWS_CONFIG_FILE", os.devnull)
    clean.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(WorkspaceError, match=r"\(dogs\) could not be found.*list-profiles"):
        connect()


def test_aws_mode_outside_studio_asks_for_the_role(clean):
    with pytest.raises(WorkspaceError, match="COURSE_ROLE"):
        workspace.chosen_role("aws", session=None)
    clean.setenv("COURSE_ROLE", "arn:aws:iam::123456789012:role/mine")
    assert workspace.chosen_role("aws", session=None) == "arn:aws:iam::123456789012:role/mine"


@pytest.mark.parametrize(
    "role", ["mine", "arn:aws:iam::123456789012:user/me", "arn:aws:iam::1:role/x"]
)
def test_a_role_that_is_no_arn_is_named(clean, role):
    clean.setenv("COURSE_ROLE", role)
    with pytest.raises(WorkspaceError, match=f"'{role}', which is no role's ARN"):
        workspace.chosen_role("aws", session=None)


class Nothing:
    """A client of SageMaker in an account in which nothing stands."""

    def get_paginator(self, operation):
        assert operation == "list_endpoints"
        return SimpleNamespace(paginate=lambda **_: [{"Endpoints": []}])


class Session:
    """As much of the SDK's session as a workspace asks for."""

    boto_session = SimpleNamespace(client=lambda name: Nothing())

    def default_bucket(self):
        return "sagemaker-us-east-1-123456789012"


def aws_workspace(patch, device):
    from sagemaker.core.helper import session_helper

    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("COURSE_MODE", "aws")
    patch.setenv("COURSE_ROLE", "arn:aws:iam::123456789012:role/mine")
    patch.setenv("COURSE_DEVICE", device)
    patch.delenv("AWS_PROFILE", raising=False)
    patch.setattr(session_helper, "Session", Session)
    return connect()


@pytest.mark.parametrize("before", [None, "true"])
def test_the_sdks_own_check_of_the_role_is_off_unless_somebody_wants_it(clean, before):
    """It would refuse a role that lacks nine rights on EC2, to those who may simulate policies."""
    from sagemaker.core.helper import iam_role_resolver

    clean.setenv("SAGEMAKER_VALIDATE_ROLE", before or "")
    if before is None:
        clean.delenv("SAGEMAKER_VALIDATE_ROLE")
    aws_workspace(clean, "gpu")
    asked = []
    clean.setattr(
        iam_role_resolver, "_evaluate_permissions", lambda *_: asked.append(_) or (True, [])
    )
    clean.setattr(iam_role_resolver, "_role_trusts_service", lambda *_: True)
    role = "arn:aws:iam::123456789012:role/mine"
    session = SimpleNamespace(boto_session=boto3.session.Session())
    found = iam_role_resolver.resolve_and_validate_role(role, "training", session)
    assert found == role
    assert bool(asked) == (before == "true")


def test_versions_are_of_what_is_installed(clean, capsys):
    clean.setattr(workspace, "SHOWN_VERSIONS", ("boto3", "no-such-package", "sagemaker"))
    aws_workspace(clean, "gpu")
    shown = capsys.readouterr().out.strip().splitlines()[-1]
    assert re.fullmatch(r"boto3 [\d.]+ · sagemaker [\d.]+", shown)


def test_a_standing_endpoint_is_told_with_its_price(clean, capsys):
    moment = datetime(2026, 11, 29, 9, tzinfo=UTC)
    mine = Standing("endpoint", "dog-breeds-1", "arn", "InService", moment, True, 0.115)
    theirs = Standing("endpoint", "cats", "arn", "InService", moment, False, 0.115)
    clean.setattr(workspace.standing, "found", lambda *_: [mine, theirs])
    aws_workspace(clean, "gpu")
    said = capsys.readouterr().out
    assert "STANDING since 2026-11-29 09:00: endpoint dog-breeds-1, 0.115 USD an hour, 84 " in said
    assert "python -m course.cleanup --delete" in said and "cats" not in said


def test_connect_goes_on_where_endpoints_may_not_be_listed(clean, capsys):
    def refused(*_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListEndpoints")

    clean.setattr(workspace.standing, "found", refused)
    aws_workspace(clean, "gpu")
    assert "which endpoints stand could not be asked" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["", "gpu"])
def test_on_aws_jobs_train_on_a_gpu(clean, capsys, device):
    ws = aws_workspace(clean, device)
    assert ws.training_instance == "ml.g4dn.xlarge" and "-cu133-" in ws.training_image
    said = capsys.readouterr().out
    assert "02-hpo 2.94 USD" in said and "CPU" not in said


def test_course_device_takes_a_cpu_instance_its_image_and_its_price(clean, capsys):
    ws = aws_workspace(clean, "cpu")
    assert ws.training_instance == "ml.m5.xlarge" and "-cpu-" in ws.training_image
    said = capsys.readouterr().out
    assert "training on a CPU (ml.m5.xlarge, COURSE_DEVICE=cpu)" in said
    assert "02-hpo 0.92 USD" in said and "04-deploy-query 0.12 USD" in said


def test_a_wrong_device_is_named_in_either_mode(clean):
    clean.setenv("COURSE_DEVICE", "tpu")
    for mode in ("aws", "local"):
        clean.setenv("COURSE_MODE", mode)
        with pytest.raises(WorkspaceError, match=r"'tpu': set it to 'cpu' .*ml\.m5\.xlarge"):
            connect()


@pytest.mark.parametrize(
    ("mode", "asked", "expected"),
    [
        ("local", "", "managed"),
        ("aws", "", "self"),
        ("local", "self", "self"),
        ("aws", "managed", "managed"),
    ],
)
def test_who_evaluates_the_rules(clean, mode, asked, expected):
    clean.setenv("COURSE_DEBUGGER", asked)
    assert workspace.chosen_debugger(mode) == expected


def test_a_wrong_debugger_is_named(clean):
    clean.setenv("COURSE_DEBUGGER", "cloud")
    with pytest.raises(WorkspaceError, match=r"'cloud': set it to 'managed' .* or to 'self'"):
        connect()


def test_on_aws_the_notebook_evaluates_the_rules(clean, capsys):
    assert aws_workspace(clean, "gpu").debugger == "self"


def test_reports_lie_beside_the_notebooks_or_where_they_are_told_to(clean, capsys):
    clean.delenv("COURSE_REPORTS", raising=False)
    assert aws_workspace(clean, "gpu").reports == Path("reports")
    clean.setenv("COURSE_REPORTS", "elsewhere/kept")
    assert aws_workspace(clean, "gpu").reports == Path("elsewhere/kept")


def test_local_mode_without_the_engine_says_what_to_do(clean):
    clean.setattr(workspace, "ENGINE", "no-such-engine")
    with pytest.raises(WorkspaceError, match=r"no-such-engine,.*make install.*COURSE_MODE=aws"):
        connect()


def test_an_engine_elsewhere_needs_none_here(clean):
    """Inside `local-sagemaker run` the engine's own environment is another process's."""
    clean.setattr(workspace, "ENGINE", "no-such-engine")
    clean.setenv("LOCAL_SAGEMAKER_URL", "http://127.0.0.1:1")
    workspace._use_local_engine()


def test_the_engine_is_what_the_extra_local_installs():
    project = tomllib.loads((workspace.ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["local"] == [workspace.ENGINE]
    assert workspace.has_engine()


def test_aws_mode_without_credentials_says_what_to_check(clean):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        clean.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        clean.setenv(name, os.devnull)
    clean.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clean.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clean.setenv("COURSE_MODE", "aws")
    clean.setenv("COURSE_ROLE", "arn:aws:iam::123456789012:role/mine")
    with pytest.raises(WorkspaceError, match=r"Unable to locate credentials.*get-caller-identity"):
        connect()


def test_importing_course_leaves_sagemaker_alone():
    code = "import course, sys; print('sagemaker' in sys.modules, 'boto3' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


FIRST_CELL = """
import course, boto3, logging
logging.basicConfig(level=logging.INFO)
ws = course.connect()
chatty = logging.getLogger("sagemaker.serve.model_builder")
chatty.setLevel(logging.DEBUG)  # as ModelBuilder does
chatty.info("chatter")
chatty.warning("heed this")
logging.info("of the notebook itself")
from sagemaker.core.utils.utils import SageMakerClient
SageMakerClient()  # would warn that it takes the session's region
boto3.client("s3").put_object(Bucket=ws.bucket, Key="seen", Body=b"x")
print(ws.mode, ws.uri("data", "train"), ws.training_instance)
"""


AGAIN = "from course import workspace; workspace._use_local_engine()"


def run(code, environment, folder):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_local_mode_finds_or_starts_an_engine_by_itself(tmp_path):
    """The repository's own state folder is used, so the test works on a copy of the package."""
    copied = tmp_path / "repository"
    shutil.copytree(workspace.ROOT / "course", copied / "course")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COURSE_"))}
    environment.pop("LOCAL_SAGEMAKER_URL", None)
    environment["PYTHONPATH"] = str(copied)
    engine = [sys.executable, "-m", "local_sagemaker.cli"]
    state = ["--state", str(copied / ".local_sagemaker")]
    try:
        first = run(FIRST_CELL, environment, tmp_path)
        assert first.returncode == 0, first.stderr
        assert first.stderr.splitlines() == [
            "WARNING:sagemaker.serve.model_builder:heed this",
            "INFO:root:of the notebook itself",
        ]
        assert "LOCAL: every job runs on this machine" in first.stdout
        assert "127.0.0.1" not in first.stdout  # outputs are committed: no port in them
        expected = "local s3://sagemaker-us-east-1-123456789012/dog-breeds/data/train ml.m5.large"
        assert expected in first.stdout
        before = subprocess.run([*engine, "status", *state], capture_output=True, text=True)
        assert run(AGAIN, environment, tmp_path).returncode == 0  # finds the same engine
        after = subprocess.run([*engine, "status", *state], capture_output=True, text=True)
        assert before.returncode == after.returncode == 0
        assert before.stdout.split()[:3] == after.stdout.split()[:3]  # address and process
    finally:
        subprocess.run([*engine, "stop", *state], check=True, capture_output=True)


def test_the_image_size_is_the_modes_own_or_the_environments(clean):
    assert workspace.chosen_image_size("local") == 112
    assert workspace.chosen_image_size("aws") == 224
    clean.setenv("COURSE_IMAGE_SIZE", "96")
    assert workspace.chosen_image_size("aws") == 96


@pytest.mark.parametrize("size", ["small", "31", "-64", "64.5"])
def test_an_image_size_that_is_none_is_refused(clean, size):
    clean.setenv("COURSE_IMAGE_SIZE", size)
    with pytest.raises(workspace.WorkspaceError, match=f"COURSE_IMAGE_SIZE is '{size}'"):
        workspace.chosen_image_size("local")


@pytest.mark.parametrize(
    ("given", "expected"), [(None, False), ("", False), ("0", False), ("1", True)]
)
def test_spot_instances_are_asked_for_by_name(clean, given, expected):
    if given is not None:
        clean.setenv("COURSE_SPOT", given)
    assert workspace.chosen_spot() is expected


def test_a_wrong_wish_for_spot_instances_is_named(clean):
    clean.setenv("COURSE_SPOT", "yes")
    with pytest.raises(workspace.WorkspaceError, match="COURSE_SPOT is 'yes': set it to '1'"):
        workspace.chosen_spot()
