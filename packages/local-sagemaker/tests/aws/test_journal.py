"""What moto is told again at the next start, and what need not be."""

import sqlite3
import time

import pytest

from engine_support.clients import BUCKET


def rows(aws) -> int:
    with sqlite3.connect(aws.state / "state.db") as database:
        return database.execute("SELECT count(*) FROM journal").fetchone()[0]


def grown(aws, *calls) -> int:
    before = rows(aws)
    for call in calls:
        call()
    return rows(aws) - before


def test_reading_is_not_written_down(aws):
    role = "arn:aws:iam::123456789012:role/local-sagemaker"
    assert not grown(
        aws,
        aws.s3.list_buckets,
        aws.iam.list_roles,
        aws.logs.describe_log_groups,
        lambda: aws.cloudwatch.list_metrics(Namespace="none"),
        aws.sts.get_caller_identity,
        lambda: aws.sts.assume_role(RoleArn=role, RoleSessionName="session"),
    )


def test_lines_metrics_and_objects_are_not_written_twice(aws):
    aws.logs.create_log_group(logGroupName="g")
    event = {"timestamp": int(time.time() * 1000), "message": "m"}
    assert not grown(
        aws,
        lambda: aws.logs.create_log_stream(logGroupName="g", logStreamName="s"),
        lambda: aws.logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[event]),
        lambda: aws.cloudwatch.put_metric_data(
            Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}]
        ),
        lambda: aws.s3.put_object(Bucket=BUCKET, Key="k", Body=b""),
        lambda: aws.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}]}),
    )


def test_what_is_said_once_more_and_what_is_refused_take_no_room(aws):
    aws.s3.create_bucket(Bucket="again")
    on, off = {"Status": "Enabled"}, {"Status": "Suspended"}

    def set_versioning(status):
        aws.s3.put_bucket_versioning(Bucket="again", VersioningConfiguration=status)

    assert grown(aws, *[lambda: set_versioning(on)] * 3) == 1
    assert grown(aws, lambda: set_versioning(off), lambda: set_versioning(on)) == 2
    with pytest.raises(aws.s3.exceptions.ClientError):
        grown(aws, lambda: aws.s3.delete_bucket(Bucket="nowhere"))
    assert aws.s3.get_bucket_versioning(Bucket="again")["Status"] == "Enabled"


def test_a_deleted_bucket_takes_its_lines_along(aws):
    def live_and_die():
        aws.s3.create_bucket(Bucket="brief")
        tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
        aws.s3.put_bucket_tagging(Bucket="brief", Tagging=tags)
        aws.s3.delete_bucket_tagging(Bucket="brief")
        aws.s3.delete_bucket(Bucket="brief")

    assert grown(aws, live_and_die) == 0
