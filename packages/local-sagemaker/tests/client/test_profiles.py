"""The caller's profiles come along as names and regions, and as nothing else."""

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from local_sagemaker.client import profiles
from local_sagemaker.core.access_key import AccessKey

CONFIG = """\
[default]
region = ap-south-1
[profile dogs]
region = eu-west-1
sso_session = corp
role_arn = arn:aws:iam::999999999999:role/admin
credential_process = /bin/steal
endpoint_url = https://elsewhere.example
services = mine
[profile "two words"]
output = json
[sso-session corp]
sso_start_url = https://corp.example/start
[services mine]
s3 =
  endpoint_url = https://elsewhere.example
[profile odd]
region = eu-west-1
  role_arn = smuggled
"""
CREDENTIALS = """\
[dogs]
aws_access_key_id = AKIAREALKEY
aws_secret_access_key = real-secret
aws_session_token = real-token
[udacity]
aws_access_key_id = AKIAOTHERKEY
aws_secret_access_key = other-secret
region = us-west-2
"""
KEY = AccessKey("LOCALKEY", "a-secret")
NAMES = {"default", "dogs", "two words", "odd", "udacity"}


@pytest.fixture
def home(tmp_path):
    """A caller's home folder with both files of AWS."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    return tmp_path


def sessions(monkeypatch, found: dict[str, str]):
    """A maker of boto3 sessions in an environment with these files."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return boto3.Session


def test_every_profile_is_found_with_its_region_and_the_engines_key(home, tmp_path, monkeypatch):
    session = sessions(monkeypatch, profiles.variables({"HOME": str(home)}, tmp_path, KEY))
    assert set(session().available_profiles) == NAMES
    regions = {name: session(profile_name=name).region_name for name in NAMES}
    assert regions == {
        "default": "us-east-1",  # the engine's, whatever the caller's own
        "dogs": "eu-west-1",
        "two words": "us-east-1",
        "odd": "us-east-1",  # two lines are no region
        "udacity": "us-west-2",
    }
    for name in NAMES:
        keys = session(profile_name=name).get_credentials().get_frozen_credentials()
        assert (keys.access_key, keys.secret_key, keys.token) == (KEY.id, KEY.secret, None)


def test_nothing_but_names_and_regions_comes_along(home, tmp_path):
    found = profiles.variables({"HOME": str(home)}, tmp_path, KEY)
    text = "".join(Path(file).read_text() for file in found.values())
    for secret in ("REAL", "real", "OTHER", "999999999999", "sso", "steal", "example", "smuggled"):
        assert secret not in text
    assert Path(found["AWS_SHARED_CREDENTIALS_FILE"]).stat().st_mode & 0o777 == 0o600
    assert text.count(f"aws_access_key_id = {KEY.id}\n") == len(NAMES)


def test_files_named_by_variables_count_and_those_in_the_home_folder_do_not(home, tmp_path):
    (tmp_path / "mine").write_text("[profile only]\nregion = eu-north-1\n")
    caller = {"HOME": str(home), "AWS_CONFIG_FILE": str(tmp_path / "mine")}
    found = profiles.variables(caller, tmp_path, KEY)
    text = Path(found["AWS_CONFIG_FILE"]).read_text()
    assert "[profile only]\nregion = eu-north-1\n" in text and "two words" not in text
    assert "[profile udacity]" in text  # from the credentials, which stay the home folder's


@pytest.mark.parametrize(
    "text", ["", "no section\n", "[profile 'open]\nregion = x\n", "\x00", "[]\n"]
)
def test_a_caller_without_readable_files_has_the_default_profile(tmp_path, monkeypatch, text):
    (tmp_path / ".aws").mkdir()
    if text:
        (tmp_path / ".aws/config").write_text(text)
    session = sessions(monkeypatch, profiles.variables({"HOME": str(tmp_path)}, tmp_path, KEY))
    assert session().available_profiles == ["default"]


def test_bytes_that_are_no_text_are_no_profiles(tmp_path, monkeypatch):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_bytes(b"[caf\xe9]\naws_access_key_id = A\n")
    session = sessions(monkeypatch, profiles.variables({"HOME": str(tmp_path)}, tmp_path, KEY))
    assert session().available_profiles == ["default"]


def test_a_profile_whose_key_is_asked_for_by_name_works_under_run(home, tmp_path):
    code = (
        "import boto3; s = boto3.Session(profile_name='dogs'); c = s.client('s3'); b = 'a-bucket';"
        "there = {'LocationConstraint': s.region_name};"
        "c.create_bucket(Bucket=b, CreateBucketConfiguration=there);"
        "print(s.region_name, c.get_bucket_location(Bucket=b)['LocationConstraint'],"
        "c.head_bucket(Bucket=b)['ResponseMetadata']['HTTPHeaders']['x-amz-bucket-region'],"
        "boto3.Session().region_name)"
    )
    state = tmp_path / "state"
    run = [sys.executable, "-m", "local_sagemaker.cli", "run", "--state", str(state)]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "AWS_PROFILE": "gone"}
    environment |= {"HTTPS_PROXY": "http://me:my-proxy-secret@127.0.0.1:1"}
    said = subprocess.check_output(
        [*run, "--", sys.executable, "-c", code], env=environment, text=True
    )
    assert said.split() == ["eu-west-1", "eu-west-1", "eu-west-1", "us-east-1"]
    kept = b"".join(file.read_bytes() for file in state.rglob("*") if file.is_file())
    for secret in (b"real-secret", b"AKIAREALKEY", b"corp.example", b"my-proxy-secret"):
        assert secret not in kept
