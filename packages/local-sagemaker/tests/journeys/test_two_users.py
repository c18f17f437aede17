"""Two users of one machine: each with an engine of their own, or both with one."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from engine_support.clients import BUCKET, running_engine, unique
from engine_support.other_user import IS_ROOT, occupied, other_user
from engine_support.shared_files import shared_folder

JOURNEY = Path(__file__).parent / "journey/journey.py"
# What a class does on its teacher's engine; it prints what it finds.
STUDENT = """\
import boto3, sys
name, bucket = sys.argv[1:]
s3, sagemaker, logs, sts = (boto3.client(n) for n in ("s3", "sagemaker", "logs", "sts"))
print(sts.get_caller_identity()["Account"])
job = sagemaker.describe_training_job(TrainingJobName=name)
group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
read = lambda: [e["message"] for e in logs.filter_log_events(
    **group, logStreamNamePrefix=f"{name}/")["events"]][-1]
print(read())
s3.download_file(bucket, "teachers", "teachers")
s3.upload_file("teachers", bucket, "students")
name = job["TrainingJobName"] + "-again"
members = ("AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig")
members += ("StoppingCondition",)
sagemaker.create_training_job(TrainingJobName=name, **{each: job[each] for each in members})
ended = sagemaker.get_waiter("training_job_completed_or_stopped")
ended.wait(TrainingJobName=name, WaiterConfig={"Delay": 1})
print(read())
"""


@pytest.fixture
def other():
    with other_user() as other:
        yield other


def test_a_second_user_trains_tunes_and_deploys_with_an_engine_of_their_own(aws, other):
    """Beside an engine of the first one, who has made what the SDK and the engine make in /tmp."""
    assert aws.trained("true")["TrainingJobStatus"] == "Completed"
    run = ["local-sagemaker", "run", "--state", "state", "--", "python", str(JOURNEY)]
    with occupied(Path("/tmp/sagemaker"), Path("/tmp/sagemaker/model-builder")):
        done = other.run(run)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = dict(re.findall(r"\b(TRAINED|BEST|ANSWER) (.*)", done.stdout))
    assert found["TRAINED"].startswith("Completed ") and "BEST" in found
    assert json.loads(found["ANSWER"]) == pytest.approx([3, 6, 600], rel=0.01)
    assert {file.lstat().st_uid for file in other.home.rglob("*")} == {other.uid}


def test_a_class_on_one_engine(aws, other):
    """As in docs/instructors.md; the jobs run as the user who started the engine."""
    name = unique()
    aws.trained("echo ran as $(id -u)", TrainingJobName=name)
    aws.s3.put_object(Bucket=BUCKET, Key="teachers", Body=b"for the class")
    share = ["env", "--state", str(aws.state), "--share", str(other.home / "class")]
    lines = subprocess.check_output([sys.executable, "-m", "local_sagemaker.cli", *share])
    (other.home / "class.env").write_bytes(lines)
    (other.home / "student.py").write_text(STUDENT)
    done = other.sh(f". ./class.env; python student.py {name} {BUCKET}")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "123456789012"
    assert said[1] == said[2] and re.fullmatch(r"ran as \d+", said[1])
    copied = aws.s3.get_object(Bucket=BUCKET, Key="students")["Body"].read()
    assert copied == b"for the class"


COMMANDS = ["start", "env", "logs JOB", "logs JOB --follow", "reclaim JOB", "status", "stop"]
COMMANDS += ["clean", "clean --all", "run -- true"]
CLOSED, READABLE = 0o700, 0o755


@pytest.mark.parametrize("mode", [CLOSED, READABLE], ids=["closed", "readable"])
def test_another_users_engine_is_out_of_reach(other, mode):
    """Every command says so, and changes nothing."""
    (folder := shared_folder()).chmod(READABLE)
    with running_engine(folder / "state") as aws:
        before = sorted(file.name for file in aws.state.iterdir())
        state, said = shlex.quote(str(aws.state)), {}
        aws.state.chmod(mode)
        for command in COMMANDS if IS_ROOT else []:
            words = command.replace(" -- ", f" --state {state} -- ")
            words += "" if "--state" in words else f" --state {state}"
            said[command] = other.sh(f"local-sagemaker {words}")
        careful = other.sh(f'eval "$(local-sagemaker env --state {state})"; echo reached')
        assert sorted(file.name for file in aws.state.iterdir()) == before
        assert aws.s3.list_buckets()["Buckets"] == []
    for command, done in said.items():
        assert done.returncode == 1 and done.stderr.startswith("local-sagemaker: "), command
        assert done.stderr.count("\n") == 1, done.stderr
    assert ("reached" in careful.stdout) is not IS_ROOT  # else a script would go on to AWS


def test_without_its_key_nobody_uses_an_engine(aws, other):
    ask = "import boto3; boto3.client('s3', 'us-east-1', endpoint_url=%r).list_buckets()"
    keys = {"AWS_ACCESS_KEY_ID": "AKIAMINE", "AWS_SECRET_ACCESS_KEY": "mine"}
    refused = other.run(["python", "-c", ask % aws.url], **keys)
    assert "InvalidAccessKeyId" in refused.stderr and "local-sagemaker env" in refused.stderr
