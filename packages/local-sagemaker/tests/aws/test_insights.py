"""Queries of Insights: what they find, and what is refused by name."""

import pytest

from local_sagemaker.aws.insights import Event, QueryError, parsed

EVENTS = [
    Event(1, 1000, 1500, "ERROR: no dogs", "job/algo-1", "1:/g"),
    Event(2, 2250, 2500, '{"level": "info", "n": 5, "a": {"b": ["c"]}}', "job/algo-2", "1:/g"),
    Event(3, 3000, 3500, "line 3", "other", "1:/g"),
]


def found(query):
    return [int(row["@ptr"]) for row in parsed(query).run(EVENTS)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("fields @message", [3, 2, 1]),
        ("filter @message like /ERROR/", [1]),
        ("filter @message like /(?i)error|line/", [3, 1]),
        ('filter @message like "no dogs"', [1]),
        ("filter @message like 'NO DOGS'", []),
        ("filter @message not like /e/", [1]),
        ("filter @message =~ /^line/", [3]),
        ("filter @logStream = 'other'", [3]),
        ("filter @logStream != 'other'", [2, 1]),
        ("filter @timestamp > 1000 and @timestamp <= 2250", [2]),
        ("filter level = 'info'", [2]),
        ("filter level != 'info'", [3, 1]),
        ("filter n >= 5", [2]),
        ("filter n > 5", []),
        ("filter a.b.0 in ['b', 'c']", [2]),
        ("filter n not in [4, 5]", [3, 1]),
        ("filter ispresent(level)", [2]),
        ("filter not ispresent(level)", [3, 1]),
        ("filter strcontains(@message, 'dogs')", [1]),
        ("filter isblank(level)", [3, 1]),
        ("filter n = 5 or (@message like /line/ and not level = 'x')", [3, 2]),
        ("filter @message like /a|ERROR/ | filter @message like /dogs/", [1]),
        ("FIELDS @message | FILTER @message LIKE /ERROR/ | LIMIT 5", [1]),
        ("sort @timestamp asc", [1, 2, 3]),
        ("sort @timestamp asc | limit 2", [1, 2]),
        ("sort @logStream desc, @timestamp", [3, 2, 1]),
        ("limit 1", [3]),
        ("fields @message # all | of them\n| limit 2", [3, 2]),
    ],
)
def test_which_events(query, numbers):
    assert found(query) == numbers


def test_which_fields():
    (row,) = parsed("fields @timestamp, n, a.b.0, absent | filter n = 5").run(EVENTS)
    assert row == {"@timestamp": "1970-01-01 00:00:02.250", "n": "5", "a.b.0": "c", "@ptr": "2"}
    (row,) = parsed("fields @message | display @logStream, `level` | filter n = 5").run(EVENTS)
    assert row == {"@logStream": "job/algo-2", "level": "info", "@ptr": "2"}
    (row,) = parsed("filter n = 5").run(EVENTS)
    assert set(row) == {"@timestamp", "@message", "@ptr"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("stats count(*) by bin(5m)", "the command 'stats' is not done"),
        ("fields @message | parse @message 'a=*' as a", "the command 'parse' is not done"),
        ("fields @message | dedup @message", "the command 'dedup' is not done"),
        ("", "the command '' is not done"),
        ("filter strlen(@message) > 3", "the function 'strlen' is not done"),
        ("fields concat(a, b)", "the function 'concat' is not done"),
        ("filter strcontains(@message)", "does not take 1 values"),
        ("filter @message like", "is no query"),
        ("filter @message like /[/", "no regular expression"),
        ("filter n + 1 = 2", "is no query"),
        ("limit many", "is no query"),
    ],
)
def test_what_is_refused(query, words):
    with pytest.raises(QueryError, match=words):
        parsed(query)
