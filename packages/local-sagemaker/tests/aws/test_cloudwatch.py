"""Logs and metrics as CloudWatch's readers see them."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import unique
from engine_support.in_process import engine_here
from local_sagemaker.aws.cloudwatch import as_number, captures


def scrape(line, definitions):
    """The numbers that a line's metrics have."""
    found = {name: as_number(text) for name, text in captures(line, definitions).items()}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("regex", "line", "found"),
    [
        ("loss=([0-9.]+)", "step 3 loss=0.25 lr=1", {"m": 0.25}),
        ("loss=([0-9.]+)", "no metric here", {}),
        ("acc: (.*)%", "acc: 91.5%", {"m": 91.5}),
        ("v=(.*)", "v=1e-3", {"m": 0.001}),
        ("v=(.*)", "v=nan", {}),
        ("v=(.*)", "v=-inf", {}),
        ("v=(.*)", "v=many", {}),
        ("v=.*", "v=1", {}),
        ("(a)?v=1", "v=1", {}),
    ],
)
def test_scraping(regex, line, found):
    assert scrape(line, [{"Name": "m", "Regex": regex}]) == found


@pytest.mark.parametrize(
    ("regex", "line", "text"),
    [
        ("v=(.*)", "v=nan", "nan"),
        ("v=(.*?)", "v=0.9", ""),
        ("v=.*", "v=1", None),
        ("(a)?v=1", "v=1", None),
        ("loss=([0-9.]+)", "loss=1.5#015loss=0.5", "0.5"),  # what a progress bar showed last
        ("loss=([0-9.]+)", "loss=1.5#015done", "1.5"),
        ("#015loss=([0-9.]+)", "loss=1.5#015loss=0.5", "0.5"),
        ("a=([0-9])#015b", "a=1#015b", "1"),
        ("loss=([0-9.]+)", "loss=0.5, valid loss=0.7", "0.5"),
    ],
)
def test_what_an_expression_captures(regex, line, text):
    assert captures(line, [{"Name": "m", "Regex": regex}]) == {"m": text}


def test_a_line_may_hold_several_metrics():
    definitions = [{"Name": n, "Regex": f"{n}=([0-9.]+)"} for n in ("a", "b", "c")]
    assert scrape("a=1 b=2", definitions) == {"a": 1.0, "b": 2.0}


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
