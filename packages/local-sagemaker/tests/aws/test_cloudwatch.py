"""Logs and metrics as CloudWatch's readers see them."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import unique
from engine_support.in_process import engine_here


def test_a_stream_prefix_selects_one_jobs_lines(aws):
    name = unique("same")
    aws.trained("echo one", TrainingJobName=name)
    aws.trained("echo two", TrainingJobName=name + "x")
    assert aws.log(name) == ["one"]
    assert aws.log(name + "x") == ["two"]
    assert aws.log("nobody") == []


def test_one_stream_is_read_by_get_log_events(aws):
    name = aws.trained("echo one; echo two")["TrainingJobName"]
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = aws.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)[
        "logStreams"
    ]
    events = aws.logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [event["message"] for event in events][1:] == ["one", "two"]  # after the image's line


def test_an_unknown_group_is_told(aws):
    with pytest.raises(ClientError, match="ResourceNotFound"):
        aws.logs.filter_log_events(logGroupName="nobody", logStreamNamePrefix="x")


def test_a_filter_without_prefix_reads_the_group(aws):
    group, stream = unique("/group"), "s"
    aws.logs.create_log_group(logGroupName=group)
    aws.logs.create_log_stream(logGroupName=group, logStreamName=stream)
    event = {"timestamp": int(time.time() * 1000), "message": "mine"}
    aws.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
    events = aws.logs.filter_log_events(logGroupName=group)["events"]
    assert [e["message"] for e in events] == ["mine"]


def test_a_log_is_read_while_streams_are_made(tmp_path):
    asked = json.dumps({"logGroupName": "group", "logStreamNamePrefix": "s"}).encode()
    with engine_here(tmp_path) as aws, ThreadPoolExecutor(1) as pool:
        cloudwatch, interval = aws.engine.cloudwatch, sys.getswitchinterval()
        for number in range(300):
            cloudwatch.put_log_events("group", f"s{number}", [])
        sys.setswitchinterval(1e-6)
        try:
            making = pool.submit(
                lambda: [cloudwatch.put_log_events("group", f"t{n}", []) for n in range(300)]
            )
            while not making.done():
                names = json.loads(cloudwatch.with_streams(asked))["logStreamNames"]
                assert len(names) == 300
        finally:
            sys.setswitchinterval(interval)
