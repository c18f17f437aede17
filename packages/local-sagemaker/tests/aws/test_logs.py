"""Log streams in the store: pages, times, filters, and deletion."""

import time

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import unique

NOW = int(time.time() * 1000)


@pytest.fixture
def group(aws):
    """A log group with the streams a (lines 0..9, a second apart) and b (one line)."""
    name = unique("/group")
    aws.logs.create_log_group(logGroupName=name)
    for stream in "ab":
        aws.logs.create_log_stream(logGroupName=name, logStreamName=stream)
    put(aws, name, "a", [(NOW + 1000 * n, f"line {n}") for n in range(10)])
    put(aws, name, "b", [(NOW + 4500, "other ERROR")])
    return name


def put(aws, group, stream, events):
    shown = [{"timestamp": timestamp, "message": message} for timestamp, message in events]
    aws.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=shown)


def page(aws, group, **members):
    answer = aws.logs.get_log_events(logGroupName=group, logStreamName="a", **members)
    return [event["message"][-1] for event in answer["events"]], answer


def filtered(aws, group, **members):
    pages = aws.logs.get_paginator("filter_log_events").paginate(logGroupName=group, **members)
    return [event["message"] for found in pages for event in found["events"]]


def test_a_stream_is_read_from_its_head_to_its_end_and_back(aws, group):
    texts, answer = page(aws, group, limit=4, startFromHead=True)
    assert "".join(texts) == "0123"
    texts, answer = page(aws, group, limit=4, nextToken=answer["nextForwardToken"])
    assert "".join(texts) == "4567"
    texts, last = page(aws, group, limit=4, nextToken=answer["nextForwardToken"])
    assert "".join(texts) == "89"
    texts, end = page(aws, group, limit=4, nextToken=last["nextForwardToken"])
    assert (texts, end["nextForwardToken"]) == ([], last["nextForwardToken"])  # as AWS says "end"
    texts, _ = page(aws, group, limit=4, nextToken=answer["nextBackwardToken"])
    assert "".join(texts) == "0123"


def test_lines_that_come_later_follow_the_token(aws, group):
    _, answer = page(aws, group, startFromHead=True)
    put(aws, group, "a", [(NOW + 20_000, "line x")])
    assert page(aws, group, nextToken=answer["nextForwardToken"])[0] == ["x"]


def test_the_end_comes_first_unless_the_head_is_asked_for(aws, group):
    assert "".join(page(aws, group, limit=3)[0]) == "789"


def test_times_limit_what_is_read(aws, group):
    between = {"startTime": NOW + 2000, "endTime": NOW + 5000}
    assert "".join(page(aws, group, startFromHead=True, **between)[0]) == "234"
    assert filtered(aws, group, **between) == ["line 2", "line 3", "line 4", "other ERROR"]


def test_a_filter_reads_all_streams_in_the_order_of_time_page_by_page(aws, group):
    expected = [f"line {n}" for n in range(5)] + ["other ERROR"]
    expected += [f"line {n}" for n in range(5, 10)]
    assert filtered(aws, group) == expected
    assert filtered(aws, group, PaginationConfig={"PageSize": 2}) == expected
    assert filtered(aws, group, logStreamNames=["b"]) == ["other ERROR"]
    assert filtered(aws, group, filterPattern="ERROR") == ["other ERROR"]
    few = {"filterPattern": "line", "PaginationConfig": {"PageSize": 3}}
    assert filtered(aws, group, **few) == [f"line {n}" for n in range(10)]


def test_a_pattern_selects_as_on_cloudwatch_or_is_refused(aws, group):
    assert filtered(aws, group, filterPattern="-line") == ["other ERROR"]
    assert filtered(aws, group, filterPattern='?ERROR ?"line 3"') == ["line 3", "other ERROR"]
    assert filtered(aws, group, filterPattern="%line [89]%") == ["line 8", "line 9"]
    assert filtered(aws, group, filterPattern="[word = other, w2]") == ["other ERROR"]
    assert filtered(aws, group, filterPattern="{ $.a = 1 }") == []
    with pytest.raises(aws.logs.exceptions.InvalidParameterException, match="in term 'a=b'"):
        filtered(aws, group, filterPattern="a=b")


def queried(aws, group, query, start=0, end=60):
    asked = {"startTime": NOW // 1000 + start, "endTime": NOW // 1000 + end}
    made = aws.logs.start_query(logGroupName=group, queryString=query, **asked)
    answer = aws.logs.get_query_results(queryId=made["queryId"])
    assert answer["status"] == "Complete"
    rows = [{each["field"]: each["value"] for each in row} for row in answer["results"]]
    return [row["@message"] for row in rows]


def test_a_query_is_answered_as_asked_or_refused(aws, group):
    assert queried(aws, group, "fields @message | filter @message like /ERR/") == ["other ERROR"]
    assert queried(aws, group, "fields @message | limit 2") == ["line 9", "line 8"]
    later = queried(aws, group, "filter @logStream = 'a' | sort @timestamp asc", start=8)
    assert later in (["line 8", "line 9"], ["line 9"])  # the query's times are whole seconds
    with pytest.raises(aws.logs.exceptions.MalformedQueryException, match="'stats' is not done"):
        queried(aws, group, "stats count(*)")


@pytest.mark.parametrize("token", ["x", "f/", "f/-1", "q/3"])
def test_a_token_that_is_none_is_refused(aws, group, token):
    with pytest.raises(aws.logs.exceptions.InvalidParameterException):
        page(aws, group, nextToken=token)
    with pytest.raises(aws.logs.exceptions.InvalidParameterException):
        aws.logs.filter_log_events(logGroupName=group, nextToken=token)


def test_a_stream_that_is_not_there_is_told_as_that(aws, group):
    asked = {"logGroupName": group, "logStreamName": "none"}
    for call in (aws.logs.get_log_events, aws.logs.delete_log_stream):
        with pytest.raises(ClientError, match=r"ResourceNotFound.*specified log stream does not"):
            call(**asked)


def test_a_stream_is_described_by_its_first_and_last_line(aws, group):
    streams = aws.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert [(s["firstEventTimestamp"], s["lastEventTimestamp"]) for s in streams] == [
        (NOW, NOW + 9000),
        (NOW + 4500, NOW + 4500),
    ]
    (described,) = aws.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["storedBytes"] == 10 * len("line 0") + len("other ERROR")


def test_deleted_streams_and_groups_come_back_empty(aws, group):
    aws.logs.delete_log_stream(logGroupName=group, logStreamName="a")
    assert filtered(aws, group) == ["other ERROR"]
    aws.logs.create_log_stream(logGroupName=group, logStreamName="a")
    assert filtered(aws, group) == ["other ERROR"]
    aws.logs.delete_log_group(logGroupName=group)
    aws.logs.create_log_group(logGroupName=group)
    aws.logs.create_log_stream(logGroupName=group, logStreamName="b")
    assert filtered(aws, group) == []
