"""What metric definitions find in a job's lines, and what a description keeps of that."""

import pytest

from local_sagemaker.aws.printed_metrics import (
    UNREAD,
    PrintedMetrics,
    as_number,
    captures,
    numbers,
)


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


def test_the_last_value_is_the_final_one_and_a_capture_that_is_no_number_is_kept():
    printed = PrintedMetrics([{"Name": "m", "Regex": "m=(.*)"}, {"Name": "n", "Regex": "n=(.*)"}])
    assert printed.members() == {}
    found = printed.found(["m=1", "nothing", "m=2", "n=many"])
    assert numbers(found) == [("m", 1.0), ("m", 2.0)]
    assert printed.keep(found, 7.0)
    final = [{"MetricName": "m", "Value": 2.0, "Timestamp": 7.0}]
    assert printed.members() == {"FinalMetricDataList": final, UNREAD: {"n": "many"}}
    assert not printed.keep(printed.found(["n=more", "x"]), 8.0)  # what came first is kept
    assert printed.members()[UNREAD] == {"n": "many"}
