"""course.connect(): which mode, which engine, and what it refuses."""

import logging
import os
import shutil
import subprocess
import sys

import pytest

from course import workspace
from course.workspace import WorkspaceError, connect


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """An environment without any of the variables that connect() reads."""
    for name in ("COURSE_MODE", "COURSE_ROLE", "AWS_ENDPOINT_URL", "LOCAL_SAGEMAKER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(workspace, "STUDIO", tmp_path / "no-studio.json")
    yield monkeypatch
    logging.disable(logging.NOTSET)  # connect() quiets the SDK


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


def test_aws_mode_without_a_region_says_so(clean):
    clean.setenv("COURSE_MODE", "aws")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        clean.delenv(name, raising=False)
    clean.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(WorkspaceError, match="AWS_REGION"):
        connect()


def test_aws_mode_outside_studio_asks_for_the_role(clean):
    with pytest.raises(WorkspaceError, match="COURSE_ROLE"):
        workspace._role("aws", session=None)
    clean.setenv("COURSE_ROLE", "arn:aws:iam::123456789012:role/mine")
    assert workspace._role("aws", session=None) == "arn:aws:iam::123456789012:role/mine"


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
import course, boto3
ws = course.connect()
boto3.client("s3").put_object(Bucket=ws.bucket, Key="seen", Body=b"x")
print(ws.mode, ws.uri("data", "train"), ws.training_instance)
"""


def run_first_cell(environment, folder):
    command = [sys.executable, "-c", FIRST_CELL]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_local_mode_finds_or_starts_an_engine_by_itself(tmp_path):
    """The repository's own state folder is used, so the test works on a copy of the package."""
    copied = tmp_path / "repository"
    for name in ("course", "local_sagemaker"):
        shutil.copytree(workspace.ROOT / name, copied / name)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COURSE_"))}
    environment.pop("LOCAL_SAGEMAKER_URL", None)
    environment["PYTHONPATH"] = str(copied)
    engine = [sys.executable, "-m", "local_sagemaker.cli"]
    state = ["--state", str(copied / ".local_sagemaker")]
    try:
        first = run_first_cell(environment, tmp_path)
        assert first.returncode == 0, first.stderr
        assert "LOCAL: every job runs on this machine" in first.stdout
        assert "127.0.0.1" not in first.stdout  # outputs are committed: no port in them
        expected = "local s3://sagemaker-us-east-1-123456789012/dog-breeds/data/train ml.m5.large"
        assert expected in first.stdout
        before = subprocess.run([*engine, "status", *state], capture_output=True, text=True)
        assert run_first_cell(environment, tmp_path).returncode == 0  # finds the same engine
        after = subprocess.run([*engine, "status", *state], capture_output=True, text=True)
        assert before.returncode == after.returncode == 0
        assert before.stdout.split()[:3] == after.stdout.split()[:3]  # address and process
    finally:
        subprocess.run([*engine, "stop", *state], check=True, capture_output=True)
