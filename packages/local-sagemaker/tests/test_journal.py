"""What moto is told again at the next start, and what need not be."""

import sqlite3
import time

import pytest

from engine_support.clients import BUCKET, running_engine


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    with running_engine(tmp_path_factory.mktemp("journal")) as aws:
        yield aws


def rows(aws) -> int:
    with sqlite3.connect(aws.state / "state.db") as database:
        return database.execute("SELECT count(*) FROM journal").fetchone()[0]


def grown(aws, *calls) -> int:
    before = rows(aws)
    for call in calls:
        call()
    return rows(aws) - before


def test_reading_is_not_written_down(mine):
    role = "arn:aws:iam::123456789012:role/local-sagemaker"
    assert not grown(
        mine,
        mine.s3.list_buckets,
        mine.iam.list_roles,
        mine.logs.describe_log_groups,
        lambda: mine.cloudwatch.list_metrics(Namespace="none"),
        mine.sts.get_caller_identity,
        lambda: mine.sts.assume_role(RoleArn=role, RoleSessionName="session"),
    )


def test_lines_metrics_and_objects_are_not_written_twice(mine):
    mine.s3.create_bucket(Bucket=BUCKET)
    mine.logs.create_log_group(logGroupName="g")
    event = {"timestamp": int(time.time() * 1000), "message": "m"}
    assert not grown(
        mine,
        lambda: mine.logs.create_log_stream(logGroupName="g", logStreamName="s"),
        lambda: mine.logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[event]),
        lambda: mine.cloudwatch.put_metric_data(
            Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}]
        ),
        lambda: mine.s3.put_object(Bucket=BUCKET, Key="k", Body=b""),
        lambda: mine.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}]}),
    )


def test_what_is_said_once_more_and_what_is_refused_take_no_room(mine):
    mine.s3.create_bucket(Bucket="again")
    on, off = {"Status": "Enabled"}, {"Status": "Suspended"}

    def set_versioning(status):
        mine.s3.put_bucket_versioning(Bucket="again", VersioningConfiguration=status)

    assert grown(mine, *[lambda: set_versioning(on)] * 3) == 1
    assert grown(mine, lambda: set_versioning(off), lambda: set_versioning(on)) == 2
    with pytest.raises(mine.s3.exceptions.ClientError):
        grown(mine, lambda: mine.s3.delete_bucket(Bucket="nowhere"))
    assert mine.s3.get_bucket_versioning(Bucket="again")["Status"] == "Enabled"


def test_a_deleted_bucket_takes_its_lines_along(mine):
    def live_and_die():
        mine.s3.create_bucket(Bucket="brief")
        tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
        mine.s3.put_bucket_tagging(Bucket="brief", Tagging=tags)
        mine.s3.delete_bucket_tagging(Bucket="brief")
        mine.s3.delete_bucket(Bucket="brief")

    assert grown(mine, live_and_die) == 0
