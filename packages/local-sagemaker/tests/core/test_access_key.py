"""The engine's access key: who can read it, who is told it, where it must not stand."""

import os
import re
import shlex
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, running_engine, unique
from engine_support.endpoints import deploy, invoke
from local_sagemaker import REGION, ROLE_ARN, cli
from local_sagemaker.core import access_key
from local_sagemaker.core.state_lock import StateError
from local_sagemaker.core.store import Store

AWS = [sys.executable, "-m", "local_sagemaker.cli"]


def mode(file) -> int:
    return file.stat().st_mode & 0o777


def test_it_is_random_and_stays_with_its_folder(tmp_path):
    keys = set()
    for name in ("one", "two", "one"):
        store = Store(tmp_path / name)
        keys.add(store.access_key)
        store.close()
    assert len(keys) == 2
    for key in keys:
        assert re.fullmatch(r"LOCAL[A-Z2-7]{16}", key.id) and len(key.secret) == 40
        assert key.secret not in repr(key)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_only_the_owner_reads_it(tmp_path, mask):
    before = os.umask(mask)
    try:
        store = Store(tmp_path / "state")
        store.close()
    finally:
        os.umask(before)
    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "state" / access_key.FILE) == 0o600
    (tmp_path / "state" / access_key.FILE).chmod(0o644)  # as a copied folder may have it
    Store(tmp_path / "state").close()
    assert mode(tmp_path / "state" / access_key.FILE) == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"AccessKeyId": 1', "\x00"])
def test_a_damaged_file_is_told_and_nothing_is_changed(tmp_path, text):
    Store(tmp_path).close()
    (tmp_path / access_key.FILE).write_text(text)
    with pytest.raises(StateError, match="remove it, and the next start makes a new one"):
        Store(tmp_path)
    assert (tmp_path / access_key.FILE).read_text() == text


def test_who_cannot_read_it_is_told_why(tmp_path, capsys):
    with pytest.raises(access_key.NoAccessKey, match="only the user who started the engine"):
        access_key.read(tmp_path)


def test_no_file_that_others_may_read_holds_it(tmp_path):
    """In a folder that was there before, while a job runs that prints its environment."""
    (tmp_path / "state").mkdir(mode=0o755)
    with running_engine(tmp_path / "state") as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        assert cli.main(["env", "--state", str(aws.state)]) == 0
        job = aws.train("env; sleep 600")
        deploy(aws)
        wait_until(lambda: "AWS_ACCESS_KEY_ID=" + aws.key.id in logged(aws, job))
        shown = [path for path in aws.state.rglob("*") if path.is_file() and not path.is_symlink()]
        for file in shown:
            inside = [folder for folder in file.parents if folder.is_relative_to(aws.state)]
            if mode(file) & 0o077 and all(mode(folder) & 0o077 for folder in inside):
                content = file.read_bytes()
                assert aws.key.secret.encode() not in content, file
                assert aws.key.id.encode() not in content, file
        assert mode(aws.state / "state.db") == 0o600


def logged(aws, job: str) -> list[str]:
    try:
        return aws.log(job)
    except ClientError:  # there is no log yet
        return []


def test_only_the_owner_reads_what_jobs_have_printed(aws):
    assert mode(aws.state / "state.db") == 0o600


def test_no_command_line_and_no_log_holds_it(aws):
    shown = subprocess.check_output(["ps", "-axww", "-o", "args"], text=True)
    log = (aws.state / "engine.log").read_text()
    for text in (shown, log):
        assert aws.key.id not in text and aws.key.secret not in text


USE = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"


def clean() -> dict[str, str]:
    """An environment in which no engine is named."""
    return {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "LOCAL_SAGEMAKER"))}


def test_env_and_its_profiles_hand_it_out(aws):
    words = [*AWS, "env", "--state", str(aws.state)]
    lines = subprocess.check_output(words, text=True, env=clean())
    script = f"{lines}\n{shlex.quote(sys.executable)} -c {shlex.quote(USE)}\n"
    named = f"{lines}\nunset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY\nexport AWS_PROFILE=default\n"
    named += f"{shlex.quote(sys.executable)} -c {shlex.quote(USE)}\n"
    for text in (script, named):
        said = subprocess.check_output(["sh", "-c", text], text=True, env=clean())
        assert said.strip()


def test_run_hands_it_out(tmp_path):
    script = f"import boto3; boto3.client('s3').create_bucket(Bucket='made'); {USE}"
    words = [*AWS, "run", "--state", str(tmp_path / "s"), "--", sys.executable, "-c", script]
    assert subprocess.check_output(words, text=True, env=clean()).strip() == "made"


def test_jobs_and_endpoints_have_it(aws):
    script = "python -c \"import boto3; boto3.client('s3').put_object(Bucket='work', Key='{}')\""
    key = unique("by-a-job")
    assert aws.trained(script.format(key))["TrainingJobStatus"] == "Completed"
    assert aws.keys(key) == [key]
    code = """
import boto3
def model_fn(model_dir): return None
def input_fn(body, content_type): return body
def predict_fn(body, model):
    return boto3.client("s3").list_buckets()["Buckets"][0]["Name"]
def output_fn(answer, accept): return answer
"""
    endpoint = deploy(aws, code)["EndpointName"]
    assert invoke(aws, endpoint)["Body"].read()


def test_temporary_keys_and_those_of_users_work(aws):
    """What STS and IAM of this engine give out opens it, and nothing else that looks like it."""

    def name_of(keys, service="sts"):
        pair = keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken")
        client = boto3.client("sts", REGION, endpoint_url=aws.url, aws_access_key_id=pair[0],
                              aws_secret_access_key=pair[1], aws_session_token=pair[2])  # fmt: skip
        return client.get_caller_identity()["Arn"]

    assumed = aws.sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="mine")["Credentials"]
    assert name_of(assumed).endswith("/local-sagemaker/mine")
    for keys in (aws.sts.get_session_token(), aws.sts.get_federation_token(Name="me")):
        assert keys["Credentials"]["AccessKeyId"] != "AKIAIOSFODNN7EXAMPLE"
        assert "local-sagemaker" in name_of(keys["Credentials"])
    aws.iam.create_user(UserName="student")
    own = aws.iam.create_access_key(UserName="student")["AccessKey"]
    assert name_of(own).endswith(":user/student")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        name_of({**own, "SecretAccessKey": "guessed"})
    aws.iam.update_access_key(UserName="student", AccessKeyId=own["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        name_of(own)
    example = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        name_of({**example, "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"})


def test_another_engines_key_does_not_work(aws, tmp_path):
    with running_engine(tmp_path) as other:
        assert other.key != aws.key
        other.key = aws.key
        with pytest.raises(ClientError) as caught:
            other.client("sagemaker").list_models()
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"


def test_it_outlives_the_engine(tmp_path):
    with running_engine(tmp_path) as aws:
        first = aws.key
    with running_engine(tmp_path) as aws:
        assert aws.key == first
        aws.s3.list_buckets()
