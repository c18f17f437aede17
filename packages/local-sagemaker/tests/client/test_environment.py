"""The variables that send clients to the engine, and nobody elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_sagemaker.client.environment import REMOVED, client_environment, removed
from local_sagemaker.core import access_key

URL = "http://127.0.0.1:1234"


@pytest.fixture
def key(tmp_path):
    """The access key of a state folder."""
    return access_key.make(tmp_path)


def test_every_variable_leads_to_the_engine_or_nowhere(tmp_path, key):
    found = client_environment(URL, tmp_path)
    assert found["AWS_ENDPOINT_URL"] == found["LOCAL_SAGEMAKER_URL"] == URL
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == (key.id, key.secret)
    assert not set(found) & set(REMOVED)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        assert Path(found[name]).is_relative_to(tmp_path)


def test_the_sdk_reads_its_bucket_and_sends_no_telemetry(tmp_path, key):
    found = client_environment(URL, tmp_path)
    for name in ("SAGEMAKER_USER_CONFIG_OVERRIDE", "SAGEMAKER_ADMIN_CONFIG_OVERRIDE"):
        modules = yaml.safe_load(Path(found[name]).read_text())["SageMaker"]["PythonSDK"]["Modules"]
        assert modules["TelemetryOptOut"] is True
        assert modules["Session"]["DefaultS3Bucket"] == "sagemaker-us-east-1-123456789012"


def test_boto3_goes_to_the_engine_whatever_the_caller_had(tmp_path, key):
    code = (
        "import boto3; c = boto3.client('s3');"
        "print(c.meta.endpoint_url, c._get_credentials().access_key, c.meta.region_name)"
    )
    hostile = {
        "AWS_PROFILE": "production",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere.example",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_SESSION_TOKEN": "token",
        "AWS_DEFAULT_REGION": "mars-north-1",
    }
    environment = {k: v for k, v in (os.environ | hostile).items() if k not in REMOVED}
    environment |= client_environment(URL, tmp_path)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.split() == [URL, key.id, "us-east-1"]


@pytest.mark.parametrize(
    ("caller", "past"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "a.example, 10.0.0.0/8"}, "127.0.0.1,localhost,a.example,10.0.0.0/8"),
        ({"no_proxy": "b", "NO_PROXY": "a,localhost"}, "127.0.0.1,localhost,b,a"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_the_callers_exceptions_from_its_proxy_stay(caller, past, tmp_path, key, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in caller.items():
        monkeypatch.setenv(name, value)
    found = client_environment(URL, tmp_path)
    assert (found["NO_PROXY"], found["no_proxy"]) == (past, past)


def test_an_address_for_any_one_service_goes(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "https://elsewhere.example")
    assert "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME" in removed(os.environ)
    assert "AWS_ENDPOINT_URL" not in removed({"AWS_ENDPOINT_URL": URL})
