"""A write that fails, at each statement of each request: nothing is lost, nothing half done."""

import time

import pytest
from botocore.exceptions import ClientError

from engine_support.answers import check_answer
from engine_support.clients import ROLE_ARN, TRAINING_IMAGE, Clients
from engine_support.in_process import FullAt, engine_here
from local_sagemaker.core.access_key import AccessKey

GROUP = "group"


def survey(aws) -> dict:
    """All that clients can see."""
    found = {"buckets": {b["Name"]: b["CreationDate"] for b in aws.s3.list_buckets()["Buckets"]}}
    for bucket in found["buckets"]:
        found[bucket] = bucket_survey(aws, bucket)
    found["roles"] = {r["RoleName"]: r["RoleId"] for r in aws.iam.list_roles()["Roles"]}
    for group in aws.logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        streams = aws.logs.describe_log_streams(logGroupName=name)["logStreams"]
        found["group", name] = {
            stream["logStreamName"]: [
                event["message"]
                for event in aws.logs.get_log_events(
                    logGroupName=name, logStreamName=stream["logStreamName"]
                )["events"]
            ]
            for stream in streams
        }
    metrics = aws.cloudwatch.list_metrics()["Metrics"]
    found["metrics"] = sorted(metric["MetricName"] for metric in metrics)
    found["models"] = [m["ModelName"] for m in aws.sagemaker.list_models()["Models"]]
    return found


def bucket_survey(aws, bucket: str) -> dict:
    versions = aws.s3.list_object_versions(Bucket=bucket)
    uploads = aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return {
        "tags": answer(lambda: aws.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]),
        "versioning": aws.s3.get_bucket_versioning(Bucket=bucket).get("Status"),
        "objects": [
            (
                item["Key"],
                item["VersionId"],
                aws.s3.get_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])[
                    "Body"
                ].read(),
                aws.s3.get_object_tagging(
                    Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"]
                )["TagSet"],
            )
            for item in versions.get("Versions", [])
        ],
        "deleted": [item["VersionId"] for item in versions.get("DeleteMarkers", [])],
        "uploads": {
            upload["UploadId"]: [
                part["ETag"]
                for part in aws.s3.list_parts(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                ).get("Parts", [])
            ]
            for upload in uploads
        },
    }


def answer(ask):
    try:
        return ask()
    except ClientError as error:
        return error.response["Error"]["Code"]


def prepare(aws) -> None:
    for bucket in ("kept", "versioned", "uploading"):
        aws.s3.create_bucket(Bucket=bucket)
    on = {"Status": "Enabled"}
    aws.s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration=on)
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    aws.s3.put_bucket_tagging(Bucket="uploading", Tagging=tags)
    for bucket in ("kept", "versioned"):
        aws.s3.put_object(Bucket=bucket, Key="key", Body=b"first", Tagging="a=b")
    upload = aws.s3.create_multipart_upload(Bucket="uploading", Key="key")["UploadId"]
    aws.part = {"Bucket": "uploading", "Key": "key", "UploadId": upload}
    aws.etag = aws.s3.upload_part(**aws.part, PartNumber=1, Body=b"part")["ETag"]
    aws.logs.create_log_group(logGroupName=GROUP)
    aws.logs.create_log_stream(logGroupName=GROUP, logStreamName="stream")
    put_lines(aws, "stream")


def put_lines(aws, stream: str) -> None:
    events = [{"timestamp": int(time.time() * 1000), "message": "line"}]
    aws.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def complete(aws) -> None:
    parts = {"Parts": [{"PartNumber": 1, "ETag": aws.etag}]}
    aws.s3.complete_multipart_upload(**aws.part, MultipartUpload=parts)


REQUESTS = {
    "CreateBucket": lambda aws: aws.s3.create_bucket(Bucket="new"),
    "DeleteBucket": lambda aws: aws.s3.delete_bucket(Bucket="uploading"),
    "PutBucketTagging": lambda aws: aws.s3.put_bucket_tagging(
        Bucket="kept", Tagging={"TagSet": [{"Key": "k", "Value": "new"}]}
    ),
    "DeleteBucketTagging": lambda aws: aws.s3.delete_bucket_tagging(Bucket="uploading"),
    "PutBucketVersioning": lambda aws: aws.s3.put_bucket_versioning(
        Bucket="kept", VersioningConfiguration={"Status": "Enabled"}
    ),
    "PutObject": lambda aws: aws.s3.put_object(Bucket="kept", Key="key", Body=b"second"),
    "PutObject, versioned": lambda aws: aws.s3.put_object(
        Bucket="versioned", Key="key", Body=b"second"
    ),
    "PutObjectTagging": lambda aws: aws.s3.put_object_tagging(
        Bucket="kept", Key="key", Tagging={"TagSet": [{"Key": "k", "Value": "new"}]}
    ),
    "DeleteObject": lambda aws: aws.s3.delete_object(Bucket="kept", Key="key"),
    "DeleteObject, versioned": lambda aws: aws.s3.delete_object(Bucket="versioned", Key="key"),
    "DeleteObjects": lambda aws: aws.s3.delete_objects(
        Bucket="kept", Delete={"Objects": [{"Key": "key"}, {"Key": "none"}]}
    ),
    "CopyObject": lambda aws: aws.s3.copy_object(
        Bucket="kept", Key="copy", CopySource="versioned/key"
    ),
    "CreateMultipartUpload": lambda aws: aws.s3.create_multipart_upload(Bucket="kept", Key="up"),
    "UploadPart": lambda aws: aws.s3.upload_part(**aws.part, PartNumber=1, Body=b"second"),
    "AbortMultipartUpload": lambda aws: aws.s3.abort_multipart_upload(**aws.part),
    "CompleteMultipartUpload": complete,
    "CreateRole": lambda aws: aws.iam.create_role(RoleName="new", AssumeRolePolicyDocument="{}"),
    "CreateLogGroup": lambda aws: aws.logs.create_log_group(logGroupName="new"),
    "DeleteLogGroup": lambda aws: aws.logs.delete_log_group(logGroupName=GROUP),
    "CreateLogStream": lambda aws: aws.logs.create_log_stream(
        logGroupName=GROUP, logStreamName="new"
    ),
    "DeleteLogStream": lambda aws: aws.logs.delete_log_stream(
        logGroupName=GROUP, logStreamName="stream"
    ),
    "PutLogEvents": lambda aws: put_lines(aws, "stream"),
    "PutMetricData": lambda aws: aws.cloudwatch.put_metric_data(
        Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}]
    ),
    "CreateModel": lambda aws: aws.sagemaker.create_model(
        ModelName="new", PrimaryContainer={"Image": TRAINING_IMAGE}, ExecutionRoleArn=ROLE_ARN
    ),
}


@pytest.mark.parametrize("rolls_back", [False, True], ids=["kept", "rolled back"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_write_that_fails_changes_nothing(tmp_path, name, rolls_back):
    request = REQUESTS[name]
    with engine_here(tmp_path) as aws:
        # Its check of answers knows no 507, which is no error of AWS's.
        aws.sagemaker.meta.events.unregister("after-call.sagemaker", check_answer)
        prepare(aws)
        before = survey(aws)
        files = {file.name for file in (tmp_path / "objects").iterdir()}
        aws.engine.store._db = database = FullAt(aws.engine.store._db, rolls_back)
        number, refused = 0, True
        while refused:  # until there are fewer statements than that
            database.fail_at(number)
            try:
                request(aws)
                refused = False
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                assert status == 507, (database.writes, error)
                # Every protocol's own form is understood by its client.
                assert error.response["Error"]["Code"] == "InsufficientStorage"
                assert "has no room" in error.response["Error"]["Message"]
                database.count()
                assert survey(aws) == before, database.writes
                assert {file.name for file in (tmp_path / "objects").iterdir()} == files
                if number == 1:
                    check_restart(aws, before)
            number += 1
        assert number > 2, f"only {database.writes}"
        after = survey(aws)
        assert after != before or name == "UploadPart"
    with engine_here(tmp_path) as aws:
        assert survey(aws) == after


def check_restart(aws, before: dict) -> None:
    """What another start would read is what clients saw before the failure."""
    aws.engine.journal.replay()
    assert survey(aws) == before


def test_the_keys_of_a_session_outlive_a_write_that_fails(tmp_path):
    with engine_here(tmp_path) as aws:
        session = {"RoleArn": ROLE_ARN, "RoleSessionName": "mine"}
        keys = aws.sts.assume_role(**session)["Credentials"]
        aws.iam.create_user(UserName="me")
        own = aws.iam.create_access_key(UserName="me")["AccessKey"]
        aws.engine.store._db = database = FullAt(aws.engine.store._db, rolls_back=True)
        database.full = "INSERT INTO"
        with pytest.raises(ClientError) as refused:
            REQUESTS["CreateRole"](aws)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
        database.full = None
        for key in (keys, own):
            client = Clients(aws.url, AccessKey(key["AccessKeyId"], key["SecretAccessKey"]))
            assert client.s3.list_buckets()["Buckets"] == []
            assert client.iam.list_users()["Users"]
