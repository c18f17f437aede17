"""Channels: which objects a job gets, as which files, and what it can do to them."""

import itertools
import json
import re

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, channel, training_request, unique
from local_sagemaker.aws.s3.downloads import Item
from local_sagemaker.runtime import isolation
from local_sagemaker.training.data import channels
from local_sagemaker.training.data.channels import share


@pytest.fixture
def prefix(aws):
    """A prefix of one's own with two objects."""
    prefix = f"{unique('channels')}x"  # with which no other test's keys begin
    put(aws, **{f"{prefix}/a": "one", f"{prefix}/deep/b": "two"})
    return prefix


def put(aws, **objects):
    for key, body in objects.items():
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())


def got(aws, key):
    return aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def request_for(command, key, mode="File", **source):
    """A request with the channel ``train`` at `key`; `source` changes its data source."""
    found = {**channel("train", f"s3://{BUCKET}/{key}"), "InputMode": mode}
    found["DataSource"]["S3DataSource"] |= source
    return training_request(command, InputDataConfig=[found])


def run(aws, request):
    aws.sagemaker.create_training_job(**request)
    return aws.job(request["TrainingJobName"])


def listed(aws, key, mode="File", **source):
    """The names of the files that a channel at `key` has."""
    command = "cd /opt/ml/input/data/train && find . -type f | sort"
    job = run(aws, request_for(command, key, mode, **source))
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    return [line.removeprefix("./") for line in aws.log(job["TrainingJobName"])]


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_objects_become_files_below_the_prefix(aws, prefix, mode):
    put(aws, **{f"{prefix}/folder/": "", f"{prefix}2/c": "other"})
    assert listed(aws, f"{prefix}/", mode) == ["a", "deep/b"]
    assert listed(aws, f"{prefix}/a", mode) == ["a"]
    assert listed(aws, f"{prefix}/d", mode) == ["deep/b"]


def test_a_prefix_means_every_key_that_begins_with_it(aws, prefix):
    put(aws, **{f"{prefix}2/c": "other", f"{prefix}.csv": "x", f"{prefix}/a.bak": "x"})
    assert listed(aws, prefix) == sorted(["a", "a.bak", "deep/b", f"{prefix}.csv", f"{prefix}2/c"])
    # As AWS names files that match in part: by all that follows the last slash of the prefix.
    assert listed(aws, f"{prefix}/a") == ["a", "a.bak"]
    command = "cat /opt/ml/input/data/train-manifest"
    job = run(aws, request_for(command, prefix))
    head, *names = json.loads("".join(aws.log(job["TrainingJobName"])))
    assert head == {"prefix": f"s3://{BUCKET}/"}
    assert f"{prefix}2/c" in names and f"{prefix}/deep/b" in names


@pytest.mark.parametrize("key", ["folder//file", "/file", "folder//"])
def test_an_empty_folder_name_fails_the_job_in_awss_words(aws, prefix, key):
    put(aws, **{f"{prefix}/{key}": "x", f"{prefix}/folder//b": "x"})
    job = run(aws, request_for("true", f"{prefix}/"))
    assert re.fullmatch(
        "ClientError: Data download failed: Failed to download data. S3 key: "
        f"s3://{BUCKET}/{prefix}/.* has an illegal char sub-sequence '//' in it",
        job["FailureReason"],
    )


def test_checkpoints_in_a_folder_without_a_name_fail_the_job_with_the_reason(aws, prefix):
    put(aws, **{f"{prefix}/kept//c": "x"})
    job = aws.trained("true", CheckpointConfig={"S3Uri": f"s3://{BUCKET}/{prefix}"})
    assert "/kept//c would be in a folder with an empty name" in job["FailureReason"]


def test_deleted_objects_are_no_input(aws):
    bucket = unique("versions")
    aws.s3.create_bucket(Bucket=bucket)
    enabled = {"Status": "Enabled"}
    aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    for key in ("kept", "gone"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    aws.s3.delete_object(Bucket=bucket, Key="gone")
    job = aws.trained("ls /opt/ml/input/data/train", channels={"train": f"s3://{bucket}"})
    assert aws.log(job["TrainingJobName"]) == ["kept"]


def test_the_objects_are_listed_beside_the_channel(aws, prefix):
    job = aws.trained(
        "cat /opt/ml/input/data/train-manifest", channels={"train": f"s3://{BUCKET}/{prefix}"}
    )
    (line,) = aws.log(job["TrainingJobName"])
    assert json.loads(line) == [{"prefix": f"s3://{BUCKET}/{prefix}/"}, "a", "deep/b"]


def test_a_file_channel_is_the_jobs_own(aws, prefix):
    command = "cd /opt/ml/input/data/train && echo changed > a && rm deep/b && echo new > c"
    assert run(aws, request_for(command, prefix))["TrainingJobStatus"] == "Completed"
    assert (got(aws, f"{prefix}/a"), got(aws, f"{prefix}/deep/b")) == ("one", "two")


def test_a_fast_file_channel_can_be_read_and_not_written(aws, prefix):
    command = (
        "cd /opt/ml/input/data/train; cat a; for try in 'echo changed > a' 'rm a'"
        " 'chmod 777 a' 'touch new' 'mv a b';"
        ' do sh -c "$try" 2>/dev/null && echo wrong: $try; done; stat -c %h a'
    )
    job = run(aws, request_for(command, prefix, "FastFile"))
    # Two names of one body: nothing was copied.
    assert aws.log(job["TrainingJobName"]) == ["one2"]
    assert got(aws, f"{prefix}/a") == "one"


def test_a_fast_file_channel_stays_as_it_was_when_the_job_began(aws, prefix):
    request = request_for(
        "cd /opt/ml/input/data/train; echo ready; while [ ! -e /opt/ml/model/go ]; do sleep 0.05;"
        " [ $((i=i+1)) -gt 20 ] && break; done; cat a",
        prefix,
        "FastFile",
    )
    aws.sagemaker.create_training_job(**request)
    name = request["TrainingJobName"]
    while "ready" not in _log(aws, name):
        pass
    put(aws, **{f"{prefix}/a": "replaced"})
    aws.job(name)
    assert aws.log(name)[-1] == "one"


def _log(aws, name):
    try:
        return aws.log(name)
    except ClientError:
        return []


# Manifests


def manifest(aws, prefix, content):
    put(aws, **{f"{prefix}.manifest": content if isinstance(content, str) else json.dumps(content)})
    return f"{prefix}.manifest"


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_a_manifest_names_the_objects(aws, prefix, mode):
    put(aws, **{f"{prefix}/unnamed": "x"})
    key = manifest(aws, prefix, [{"prefix": f"s3://{BUCKET}/{prefix}/"}, "deep/b", "a"])
    assert listed(aws, key, mode, S3DataType="ManifestFile") == ["a", "deep/b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"prefix": "s3://{bucket}/{prefix}/"}, "a", "absent"], "absent, which does not exist .1"),
        ([{"prefix": "s3://nowhere/"}, "a"], "s3://nowhere/a, which does not exist"),
        ([{"prefix": "s3://{bucket}/{prefix}/"}], "No S3 objects found under S3 URL"),
        (["a"], "is no manifest of the form"),
        ([], "is no manifest of the form"),
        ("no json", "is no manifest of the form"),
        ([{"prefix": "/tmp/"}, "a"], "is no manifest of the form"),
        ([{"prefix": "s3://{bucket}/{prefix}/"}, 7], "is no manifest of the form"),
    ],
)
def test_a_manifest_that_is_none_fails_the_job(aws, prefix, content, words):
    text = content if isinstance(content, str) else json.dumps(content)
    key = manifest(aws, prefix, text.replace("{bucket}", BUCKET).replace("{prefix}", prefix))
    job = run(aws, request_for("true", key, S3DataType="ManifestFile"))
    assert job["FailureReason"].startswith("ClientError: Data download failed: ")
    assert re.search(words, job["FailureReason"])


def test_a_manifest_that_is_not_there_fails_the_job(aws, prefix):
    job = run(aws, request_for("true", f"{prefix}.none", S3DataType="ManifestFile"))
    assert "No S3 objects found under S3 URL" in job["FailureReason"]


# Several hosts


@pytest.mark.parametrize("hosts", [1, 2, 3, 7])
def test_hosts_divide_the_objects_between_them(hosts):
    items = [Item(f"s3://b/{i}", str(i), None) for i in range(5)]
    shares = [share(items, host, hosts) for host in range(hosts)]
    assert sorted(itertools.chain(*shares), key=items.index) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


# Names that are no files


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("../escape", r"'\.\./escape' points outside the channel"),
        ("x/../../escape", "points outside the channel"),
        ("a/b", r"Cannot download s3://.*/a/b, a previously downloaded file/folder clashes"),
        ("deep//b", r"S3 key: s3://.*/deep//b has an illegal char sub-sequence '//' in it"),
        ("n" * 300, "cannot be a file here: File name too long"),
    ],
)
@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_keys_that_cannot_be_files_fail_the_job(aws, prefix, key, words, mode):
    put(aws, **{f"{prefix}/{key}": "x"})
    job = run(aws, request_for("true", f"{prefix}/", mode))
    assert job["FailureReason"].startswith("ClientError: Data download failed: ")
    assert re.search(words, job["FailureReason"])


# Refused, and accepted without effect


def _pipe(request):
    request["InputDataConfig"][0]["InputMode"] = "Pipe"


def _files(request):
    system = {"FileSystemId": "fs-01234567890", "FileSystemAccessMode": "ro"}
    system |= {"FileSystemType": "EFS", "DirectoryPath": "/data"}
    request["InputDataConfig"][0]["DataSource"] = {"FileSystemDataSource": system}


def _augmented(request):
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source |= {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["image-ref"]}


def _groups(request):
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["InstanceGroupNames"] = ["g"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_groups, "'train' has InstanceGroupNames.*no instance groups"),
        (_pipe, "'train' asks for the input mode Pipe.*File or FastFile"),
        (_files, "'train' has no S3DataSource.*FileSystemDataSource"),
        (_augmented, "S3DataType AugmentedManifestFile.*S3Prefix and ManifestFile"),
    ],
)
def test_channels_that_cannot_be_had_are_refused(aws, change, words):
    request = request_for("true", "any")
    change(request)
    with pytest.raises(ClientError, match=words) as caught:
        aws.sagemaker.create_training_job(**request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="not found"):
        aws.sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"])


def test_what_concerns_pipes_only_is_accepted(aws, prefix):
    request = request_for("cat /opt/ml/input/data/train/a", prefix)
    request["InputDataConfig"][0] |= {
        "CompressionType": "Gzip",  # AWS unpacks in Pipe mode only
        "RecordWrapperType": "RecordIO",
        "ShuffleConfig": {"Seed": 3},
        "ContentType": "text/csv",
    }
    job = run(aws, request)
    assert job["TrainingJobStatus"] == "Completed"
    assert job["InputDataConfig"] == request["InputDataConfig"]
    assert aws.log(job["TrainingJobName"]) == ["one"]


def test_without_a_real_opt_ml_a_fast_file_channel_is_a_copy(monkeypatch):
    request = request_for("true", "any", "FastFile")
    assert channels.views(request) == ["input/data/train"]
    monkeypatch.setattr(isolation, "isolation", lambda: isolation.RELOCATED)
    assert channels.views(request) == []
