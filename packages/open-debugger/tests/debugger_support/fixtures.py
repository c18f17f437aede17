"""Fixtures for the tests of this package; `conftest.py` imports them."""

from __future__ import annotations

import sys

import boto3
import pytest

from debugger_support.services import BUCKET, running_services


@pytest.fixture(autouse=True)
def nothing_is_handed_on():
    """boto3 keeps one session and smdebug one hook per process: drop both after each test."""
    yield
    boto3.DEFAULT_SESSION = None  # it remembers the credentials of its first client
    if hooks := sys.modules.get("smdebug.core.singleton_utils"):
        hooks.del_hook()


@pytest.fixture(scope="session")
def aws():
    """S3, with an empty bucket ``work``, and CloudWatch, served over HTTP."""
    with running_services() as services:
        services.s3.create_bucket(Bucket=BUCKET)
        yield services


@pytest.fixture
def reached(aws, monkeypatch):
    """`aws`, where boto3's clients without arguments find it."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return aws
