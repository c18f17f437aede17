"""S3 as old projects reach it: the SDK's helpers, smdebug's readers and the AWS command line."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import sagemaker
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from sagemaker.s3 import S3Downloader, S3Uploader
from smdebug.core.access_layer.s3handler import ListRequest, ReadObjectRequest, S3Handler

from conftest import BUCKET

AWS = str(Path(sys.executable).with_name("aws"))


def aws(*words: str, code: int = 0, **environment: str) -> str:
    """Run the AWS command line; what it printed."""
    done = subprocess.run(
        [AWS, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "AWS_PAGER": "", **environment},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of three files, one of them larger than one part of an upload."""
    (tmp_path / "deep er").mkdir()
    (tmp_path / "a.txt").write_text("first\n")
    (tmp_path / "deep er/b+c é.txt").write_text("second\n")
    (tmp_path / "large.bin").write_bytes(os.urandom(1024) * 20 * 1024)
    return tmp_path


def test_the_default_bucket_is_made_at_first_use():
    session = sagemaker.Session()
    name = session.default_bucket()
    assert name == "sagemaker-us-east-1-123456789012"
    assert boto3.client("s3").head_bucket(Bucket=name)
    assert sagemaker.Session(default_bucket="of-ones-own").default_bucket() == "of-ones-own"


def test_upload_data_and_the_sdks_readers(session, folder, tmp_path):
    uri = session.upload_data(str(folder), bucket=BUCKET, key_prefix="up")
    assert uri == f"s3://{BUCKET}/up"
    assert session.read_s3_file(BUCKET, "up/a.txt") == "first\n"
    assert S3Downloader.read_file(f"{uri}/deep er/b+c é.txt", session) == "second\n"
    S3Uploader.upload_string_as_file_body("text", f"{uri}/new.txt", sagemaker_session=session)
    assert f"{uri}/new.txt" in S3Downloader.list(uri, sagemaker_session=session)
    S3Downloader.download(uri, str(tmp_path / "back"), sagemaker_session=session)
    for name in ("a.txt", "deep er/b+c é.txt", "large.bin"):
        assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()


def test_smdebugs_handler_lists_and_reads(session, folder):
    session.upload_data(str(folder), bucket=BUCKET, key_prefix="tensors")
    found = S3Handler.list_prefixes([ListRequest(BUCKET, "tensors/")])[0]
    assert "tensors/a.txt" in found and len(found) == 3
    read = S3Handler.get_objects([ReadObjectRequest(f"s3://{BUCKET}/tensors/a.txt")])
    assert read == [b"first\n"]


def test_reading_what_is_not_there(session):
    with pytest.raises(ClientError) as raised:
        session.read_s3_file(BUCKET, "nothing/here")
    assert raised.value.response["Error"]["Code"] == "NoSuchKey"


def test_uploading_to_a_bucket_that_is_not_there(folder, session):
    with pytest.raises((S3UploadFailedError, ClientError), match="NoSuchBucket"):
        session.upload_data(str(folder / "a.txt"), bucket="never-made-by-anyone")


def test_the_command_line_copies_lists_and_synchronises(folder, tmp_path):
    aws("s3", "mb", "s3://cli-bucket")
    aws("s3", "cp", str(folder / "large.bin"), "s3://cli-bucket/large.bin")
    listed = aws("s3", "ls", "s3://cli-bucket/")
    assert f"{20 * 1024 * 1024} large.bin" in listed
    aws("s3", "cp", "s3://cli-bucket/large.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == (folder / "large.bin").read_bytes()
    (tmp_path / "back.bin").unlink()
    said = aws("s3", "sync", str(folder), "s3://cli-bucket/tree")
    assert said.count("upload:") == 3
    assert aws("s3", "sync", str(folder), "s3://cli-bucket/tree") == ""  # nothing is new
    aws("s3", "sync", "s3://cli-bucket/tree", str(tmp_path / "tree"))
    assert (tmp_path / "tree/deep er/b+c é.txt").read_text() == "second\n"
    listed = aws("s3", "ls", "--recursive", "s3://cli-bucket/tree/")
    assert "tree/deep er/b+c é.txt" in listed
    aws("s3", "mv", "s3://cli-bucket/tree/a.txt", "s3://cli-bucket/moved.txt")
    assert aws("s3", "cp", "s3://cli-bucket/moved.txt", "-") == "first\n"
    aws("s3", "rb", "--force", "s3://cli-bucket")
    assert "NoSuchBucket" in aws("s3", "ls", "s3://cli-bucket", code=255)


def test_the_command_line_knows_who_it_is_and_names_profiles(tmp_path):
    assert "assumed-role/local-sagemaker" in aws("sts", "get-caller-identity")
    assert "could not be found" in aws("s3", "ls", "--profile", "nobody", code=255)


def test_a_profile_of_the_callers_leads_to_the_engine(tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[profile udacity]\nregion = us-west-2\n")
    (tmp_path / ".aws/credentials").write_text("[udacity]\naws_access_key_id = AKIAREAL\n")
    caller = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    aws_udacity = f"{shlex.quote(AWS)} --profile udacity"
    line = f"{aws_udacity} s3 mb s3://mine && {aws_udacity} configure list"
    done = subprocess.run(
        [os.environ["LOCAL_SAGEMAKER_COMMAND"], "run", "--", "/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        env={**caller, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make_bucket: mine" in done.stdout and "us-west-2" in done.stdout
    assert "AKIAREAL" not in done.stdout
