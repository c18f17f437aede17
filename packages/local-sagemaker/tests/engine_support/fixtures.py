"""Fixtures for every test that needs an engine; conftest files import them."""

from __future__ import annotations

import sys

import boto3
import pytest

from engine_support.clients import BUCKET, running_engine


@pytest.fixture(autouse=True)
def nothing_is_handed_on():
    """Libraries keep one session and one hook a process: the next test must find neither."""
    yield
    boto3.DEFAULT_SESSION = None  # it remembers the credentials of its first client
    if hooks := sys.modules.get("smdebug.core.singleton_utils"):
        hooks.del_hook()


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    """Clients of the run's engine, with a bucket ``work``."""
    # What the caller has for the real AWS must never reach a job.
    secret = {"AWS_ACCESS_KEY_ID": "AKIAREALKEY", "AWS_SECRET_ACCESS_KEY": "real-secret"}
    with running_engine(tmp_path_factory.mktemp("engine"), **secret) as clients:
        clients.s3.create_bucket(Bucket=BUCKET)
        yield clients


@pytest.fixture
def reached(aws, monkeypatch):
    """The session's engine as clients without arguments find it; its state is `aws`'s."""
    for name, value in {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        **aws.key.variables(),
    }.items():
        monkeypatch.setenv(name, value)
    return aws
