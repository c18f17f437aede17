"""What moto is told again at the next start, and what need not be."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from moto.moto_api._internal import mock_random

from engine_support.clients import BUCKET
from engine_support.in_process import engine_here
from local_sagemaker.aws import metrics, moto_seams


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


def test_an_upload_that_is_being_joined_holds_up_no_log(tmp_path):
    with engine_here(tmp_path) as aws, aws.engine.s3.lock:
        event = (int(time.time() * 1000), "line")
        tell = aws.engine.cloudwatch.put_log_events
        telling = threading.Thread(target=tell, args=("group", "stream", [event]), daemon=True)
        telling.start()
        telling.join(timeout=30)
        assert aws.log("", "group") == ["line"]


def test_what_other_threads_draw_changes_no_identifier():
    def drawn():
        with moto_seams.as_of(1.0, seed=7):
            return [mock_random.get_random_hex(8) for _ in range(200)]

    alone, stop = drawn(), threading.Event()

    def draw():
        while not stop.is_set():
            mock_random.get_random_hex(8)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(draw)
        try:
            assert all(drawn() == alone for _ in range(20))
        finally:
            stop.set()


def test_a_deleted_log_group_takes_its_lines_along(aws):
    def live_and_die():
        aws.logs.create_log_group(logGroupName="brief", tags={"a": "b"})
        aws.logs.put_retention_policy(logGroupName="brief", retentionInDays=1)
        arn = "arn:aws:logs:us-east-1:123456789012:log-group:brief"
        aws.logs.tag_resource(resourceArn=arn, tags={"k": "v"})
        aws.logs.delete_log_group(logGroupName="brief")

    assert grown(aws, live_and_die) == 0


def test_what_no_query_can_reach_is_forgotten_at_the_next_start(tmp_path):
    now = time.time()
    with engine_here(tmp_path) as aws:
        for group, days in (("short", 1), ("long", None)):
            aws.logs.create_log_group(logGroupName=group)
            if days:
                aws.logs.put_retention_policy(logGroupName=group, retentionInDays=days)
            lines = [(int((now - 2 * 86_400) * 1000), "old"), (int(now * 1000), "new")]
            aws.engine.cloudwatch.put_log_events(group, "stream", lines)
        for moment in (now - 456 * 86_400, now - 454 * 86_400):
            aws.engine.cloudwatch.put_metrics("n", {}, [("m", moment, "None")], moment)
    with engine_here(tmp_path) as aws:
        assert aws.log("", "short") == ["new"]
        assert aws.log("", "long") == ["old", "new"]
        assert metrics.series(aws.engine.store, "n", {}, "m") == [now - 454 * 86_400]
