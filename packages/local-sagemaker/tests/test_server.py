"""The one process: who may ask, where it listens, and what is there after its end."""

import json
import os
import resource
import signal
import time
from contextlib import ExitStack, contextmanager

import boto3
import psutil
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, running_engine
from engine_support.endpoints import deploy, invoke, make_config, make_model, store_model
from engine_support.signing import ask, send, signed
from engine_support.tuning_requests import jobs_of, start, tuning_request
from local_sagemaker import daemon

MB = 1024 * 1024


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:80", "localhost.evil", ""]
)
def test_other_hosts_names_are_refused(aws, host):
    headers = {**signed(aws, "GET", "/"), "Host": host}
    status, said = send(aws, "GET", "/", **headers)
    assert (status, b"127.0.0.1 and localhost only" in said) == (403, True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1234", "localhost:80"])
def test_loopback_names_are_served(aws, host):
    found = send(aws, "GET", "/-/health", Host=host)
    assert found == (200, f"ok {aws.process.pid}\n".encode())


def test_unsigned_requests_are_refused(aws):
    before = aws.s3.list_buckets()["Buckets"]
    status, said = send(aws, "PUT", "/unsigned-bucket")
    assert (status, b"AccessDenied" in said) == (403, True)
    status, said = send(aws, "POST", "/", b"{}", **{"X-Amz-Target": "SageMaker.ListModels"})
    assert (status, b"MissingAuthenticationToken" in said) == (403, True)
    assert send(aws, "POST", "/endpoints/e/invocations", b"x")[0] == 403
    assert aws.s3.list_buckets()["Buckets"] == before


def test_services_that_are_not_here_are_named(aws):
    status, said = ask(aws, "POST", "/", b"", "ec2")
    assert status == 400
    assert b"does not serve 'ec2'" in said and b"it serves iam, logs" in said


def test_all_regions_are_this_one(aws):
    elsewhere = boto3.client(
        "sagemaker",
        endpoint_url=aws.url,
        region_name="eu-west-1",
        aws_access_key_id=aws.key.id,
        aws_secret_access_key=aws.key.secret,
    )
    name = aws.trained("true")["TrainingJobName"]
    assert elsewhere.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Completed"


def test_it_listens_on_loopback_only(aws):
    sockets = psutil.Process(aws.process.pid).net_connections("inet")
    listening = [s.laddr for s in sockets if s.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == ["127.0.0.1"]
    assert f"http://127.0.0.1:{listening[0].port}" == aws.url


def test_it_ends_by_itself_when_idle(tmp_path):
    process = daemon.start(tmp_path, idle_s=0.5)
    assert process.wait(timeout=10) == 0
    assert daemon.find(tmp_path) is None


def test_what_was_acknowledged_is_there_after_restarts(tmp_path):
    """After `kill -9` under an engine's work, and then after an orderly end."""
    big = tmp_path / "big"
    big.write_bytes(os.urandom(9 * MB))
    kept, ids = {}, []

    def before(aws):
        s3 = aws.s3
        for bucket in (BUCKET, "versioned", "dropped"):
            s3.create_bucket(Bucket=bucket)
        s3.delete_bucket(Bucket="dropped")
        s3.put_object(Bucket=BUCKET, Key="ü b", Body=b"1", Metadata={"a": "b"}, ContentType="x/y")
        s3.put_object(Bucket=BUCKET, Key="replaced", Body=b"old")
        s3.put_object(Bucket=BUCKET, Key="replaced", Body=b"new", Tagging="k=v")
        s3.put_object(Bucket=BUCKET, Key="deleted", Body=b"x")
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "deleted"}]})
        s3.upload_file(str(big), BUCKET, "big", Config=TransferConfig(multipart_threshold=MB * 8))
        kept["big"] = s3.head_object(Bucket=BUCKET, Key="big")
        on = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration=on)
        for body in (b"1", b"2"):
            s3.put_object(Bucket="versioned", Key="k", Body=body)
            s3.put_object(Bucket="versioned", Key="gone", Body=body)
        s3.delete_object(Bucket="versioned", Key="gone")
        ids.extend(_new_ids(aws, "mine"))
        kept["versions"] = _versions(aws)
        kept.update(_settle_in(aws))
        kept["done"] = aws.trained(
            "echo loss=0.5", TrainingJobName="done", metrics={"loss": "loss=(.*)"}
        )
        aws.train("echo up; sleep 100", TrainingJobName="running")
        wait_until(lambda: "up" in _log(aws, "running"))
        kept["endpoint"] = deploy(aws)["EndpointName"]
        kept["model"] = make_model(aws, store_model(aws))
        kept["config"] = make_config(aws, a=kept["model"])
        request = tuning_request(command="sleep 100") | {"HyperParameterTuningJobName": "cut-off"}
        start(aws, request)

    with running_engine(tmp_path / "state") as aws:
        before(aws)
        aws.process.kill()
        assert aws.process.wait(timeout=20) == -signal.SIGKILL
    with running_engine(tmp_path / "state") as aws:
        assert _versions(aws) == kept["versions"]
        ids.extend(_new_ids(aws, "later"))
        assert len(set(ids)) == 4  # none is drawn again
        kept["versions"] = _versions(aws)
        request = tuning_request("sleep 600", parallel=3)
        tuning = start(aws, request | {"HyperParameterTuningJobName": "ended-orderly"})
        wait_until(lambda: len(jobs_of(aws, tuning)) == 3)
        aws.process.terminate()
        assert aws.process.wait(timeout=20) == 0
    with running_engine(tmp_path / "state") as aws:
        s3 = aws.s3
        names = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        assert names == {BUCKET, "versioned"}
        found = s3.get_object(Bucket=BUCKET, Key="ü b")
        assert (found["Body"].read(), found["Metadata"]) == (b"1", {"a": "b"})
        assert found["ContentType"] == "x/y"
        assert s3.get_object(Bucket=BUCKET, Key="replaced")["Body"].read() == b"new"
        tags = s3.get_object_tagging(Bucket=BUCKET, Key="replaced")["TagSet"]
        assert tags == [{"Key": "k", "Value": "v"}]
        assert "deleted" not in aws.keys("")
        head = s3.head_object(Bucket=BUCKET, Key="big")
        for member in ("ETag", "LastModified", "ContentLength"):
            assert head[member] == kept["big"][member]
        assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == big.read_bytes()
        assert _versions(aws) == kept["versions"]
        _find_settled(aws, kept)
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.get_object(Bucket="versioned", Key="gone")
        assert aws.iam.get_role(RoleName="mine")["Role"]["RoleName"] == "mine"
        assert len(aws.iam.list_roles()["Roles"]) == 4

        done = aws.job("done")
        for answer in (done, kept["done"]):
            answer.pop("ResponseMetadata")
        assert done == kept["done"]
        assert aws.log("done") == ["loss=0.5"]
        points = aws.cloudwatch.get_metric_statistics(
            Namespace="/aws/sagemaker/TrainingJobs",
            MetricName="loss",
            Dimensions=[{"Name": "TrainingJobName", "Value": "done"}],
            StartTime=time.time() - 3600,
            EndTime=time.time() + 3600,
            Period=7200,
            Statistics=["Maximum"],
        )["Datapoints"]
        assert [point["Maximum"] for point in points] == [0.5]
        cut_off = aws.job("running")
        assert cut_off["TrainingJobStatus"] == "Failed"
        assert "the local engine stopped while the job was running" in cut_off["FailureReason"]
        assert aws.log("running") == ["up"]
        for name in ("cut-off", "ended-orderly"):
            tuning = aws.tuning_job(name)
            assert tuning["HyperParameterTuningJobStatus"] == "Failed"
            assert "the local engine stopped" in tuning["FailureReason"]
            assert tuning["HyperParameterTuningEndTime"]
        # By AWS's definition an internal error, after which the same may be tried again.
        counted = {"Completed": 0, "InProgress": 0, "NonRetryableError": 0, "Stopped": 0}
        assert tuning["TrainingJobStatusCounters"] == {**counted, "RetryableError": 3}
        assert tuning["ObjectiveStatusCounters"]["Failed"] == 3
        assert {s["TrainingJobStatus"] for s in jobs_of(aws, name)} == {"Failed"}

        assert aws.sagemaker.describe_model(ModelName=kept["model"])
        assert aws.sagemaker.describe_endpoint_config(EndpointConfigName=kept["config"])
        assert aws.endpoint(kept["endpoint"])["EndpointStatus"] == "InService"
        assert invoke(aws, kept["endpoint"])["Body"].read()


def _new_ids(aws, name) -> list[str]:
    """Identifiers that moto draws: of a version, and of a role called `name`."""
    put = aws.s3.put_object(Bucket="versioned", Key="drawn", Body=b"")
    role = aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]
    return [put["VersionId"], role["RoleId"]]


def _settle_in(aws) -> dict:
    """Make one of each thing that moto keeps in memory; what must not change of them."""
    s3 = aws.s3
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.put_object(Bucket=BUCKET, Key="public", Body=b"", ServerSideEncryption="aws:kms")
    s3.put_object_acl(Bucket=BUCKET, Key="public", ACL="public-read")
    s3.put_object(Bucket=BUCKET, Key="untagged", Body=b"", Tagging="a=b")
    s3.delete_object_tagging(Bucket=BUCKET, Key="untagged")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="later", Metadata={"a": "b"})
    named = {"Bucket": BUCKET, "Key": "later", "UploadId": upload["UploadId"]}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**named, PartNumber=n, Body=body)["ETag"]}
        for n, body in ((1, b"1" * 5 * MB), (2, b"2"))
    ]
    gone = s3.create_multipart_upload(Bucket=BUCKET, Key="aborted")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="aborted", UploadId=gone, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="aborted", UploadId=gone)
    aws.logs.create_log_group(logGroupName="/own")
    aws.logs.put_retention_policy(logGroupName="/own", retentionInDays=7)
    for stream in ("s", "deleted"):
        aws.logs.create_log_stream(logGroupName="/own", logStreamName=stream)
    event = {"timestamp": int(time.time() * 1000), "message": "mine"}
    aws.logs.put_log_events(logGroupName="/own", logStreamName="s", logEvents=[event])
    aws.logs.delete_log_stream(logGroupName="/own", logStreamName="deleted")
    aws.cloudwatch.put_metric_data(
        Namespace="own", MetricData=[{"MetricName": "untimed", "Value": 3}]
    )
    aws.iam.create_role(RoleName="dated", AssumeRolePolicyDocument="{}")
    return {"upload": named, "parts": parts, "settled": _settled(aws)}


def _settled(aws) -> dict:
    points = aws.cloudwatch.get_metric_statistics(
        Namespace="own",
        MetricName="untimed",
        StartTime=time.time() - 3600,
        EndTime=time.time() + 3600,
        Period=1,
        Statistics=["Sum"],
    )["Datapoints"]
    streams = aws.logs.describe_log_streams(logGroupName="/own")["logStreams"]
    (group,) = aws.logs.describe_log_groups(logGroupNamePrefix="/own")["logGroups"]
    roles = aws.iam.list_roles()["Roles"]
    return {
        "points": points,
        "streams": streams,
        "group": group,
        "lines": aws.log("", "/own"),
        "roles": {
            r["RoleName"]: (r["RoleId"], r["CreateDate"]) for r in roles if "d" in r["RoleName"]
        },
        "bucket": [b for b in aws.s3.list_buckets()["Buckets"] if b["Name"] == BUCKET],
        "policy": aws.s3.get_bucket_policy(Bucket=BUCKET)["Policy"],
        "tags": aws.s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"],
        "acl": aws.s3.get_object_acl(Bucket=BUCKET, Key="public")["Grants"],
        "encryption": aws.s3.head_object(Bucket=BUCKET, Key="public")["ServerSideEncryption"],
        "untagged": aws.s3.get_object_tagging(Bucket=BUCKET, Key="untagged")["TagSet"],
        "uploads": [u["Key"] for u in aws.s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]],
    }


def _find_settled(aws, kept: dict) -> None:
    found = _settled(aws)
    for name, value in kept["settled"].items():
        assert found[name] == value, name
    listed = aws.s3.list_parts(**kept["upload"])["Parts"]
    assert [{m: part[m] for m in ("PartNumber", "ETag")} for part in listed] == kept["parts"]
    aws.s3.complete_multipart_upload(**kept["upload"], MultipartUpload={"Parts": kept["parts"]})
    whole = aws.s3.get_object(Bucket=BUCKET, Key="later")
    assert whole["Body"].read() == b"1" * 5 * MB + b"2"
    assert whole["Metadata"] == {"a": "b"}


def _log(aws, name):
    try:
        return aws.log(name)
    except ClientError:
        return []


def _versions(aws):
    answer = aws.s3.list_object_versions(Bucket="versioned")
    return sorted(
        (item["Key"], item["VersionId"], item["IsLatest"])
        for item in answer["Versions"] + answer["DeleteMarkers"]
    )


@contextmanager
def files_up_to(size: int):
    """Processes started inside the block fail to write files beyond `size`, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_costs_nothing_acknowledged(tmp_path):
    with ExitStack() as running:
        with files_up_to(8 * MB):  # the database needs some megabytes at times
            aws = running.enter_context(running_engine(tmp_path))
        aws.s3.create_bucket(Bucket=BUCKET)
        aws.s3.put_object(Bucket=BUCKET, Key="k", Body=b"kept")
        upload = aws.s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
        named = {"Bucket": BUCKET, "Key": "k", "UploadId": upload}
        body = b"1" * 6 * MB
        parts = [
            {"PartNumber": n, "ETag": aws.s3.upload_part(**named, PartNumber=n, Body=body)["ETag"]}
            for n in (1, 2)
        ]
        for ask_for_much in (
            lambda: aws.s3.put_object(Bucket=BUCKET, Key="k", Body=bytes(9 * MB)),
            lambda: aws.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}),
        ):
            with pytest.raises(ClientError) as refused:
                ask_for_much()
            assert refused.value.response["Error"]["Code"] == "InsufficientStorage"
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
            assert "has no room" in refused.value.response["Error"]["Message"]
        assert len(list((tmp_path / "objects").iterdir())) == 3  # one object, two parts
        made = "for n in 1 2; do head -c 6000000 /dev/urandom > /opt/ml/model/$n; done"
        job = aws.trained(made)
        assert job["TrainingJobStatus"] == "Failed"
        assert "Artifact upload failed" in job["FailureReason"]
        assert aws.s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"kept"
        assert len(aws.s3.list_parts(**named)["Parts"]) == 2
    with running_engine(tmp_path) as aws:  # with room again
        assert aws.s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"kept"
        aws.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        assert aws.s3.head_object(Bucket=BUCKET, Key="k")["ContentLength"] == 12 * MB
