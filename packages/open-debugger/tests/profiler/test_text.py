"""Numbers as people read them."""

import numpy as np
import pytest

from open_debugger.profiler import text

DASH = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0, "0"), (0.0, "0"), (3.14159, "3.14"), (98.67, "98.7"), (-4.5, "-4.50")),
        *((12345.6, "12,346"), (0.012345, "0.0123"), (40.0, "40"), (999.6, "1,000")),
        *((None, DASH), (float("nan"), DASH), (np.float32("inf"), DASH), ("x", DASH)),
        (1.234e-9, "1.23e-09"),
    ],
)
def test_numbers_have_three_digits(value, shown):
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0, "0 s"), (0.00085, "850 µs"), (0.412, "412 ms"), (0.01234, "12.3 ms")),
        *((3.2149, "3.21 s"), (59.9, "59.9 s"), (59.99, "1 min 0 s"), (723, "12 min 3 s")),
        *((3599.7, "1 h 0 min"), (3725, "1 h 2 min"), (None, DASH), (float("nan"), DASH)),
    ],
)
def test_durations_have_a_fitting_unit(value, shown):
    assert text.seconds(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0%"),
        (0.004, "0.4%"),
        (0.0994, "9.9%"),
        (0.0996, "10%"),
        (0.354, "35%"),
        (1, "100%"),
        (None, DASH),
    ],
)
def test_shares_are_percent(share, shown):
    assert text.percent(share) == shown


def test_a_moment_is_told_in_utc():
    assert text.moment(1_790_000_040.0) == "2026-09-21 14:14:00 UTC"
    assert text.moment(None) == DASH


def test_of_a_place_no_folder_of_this_machine_is_told():
    assert text.place("/home/someone/runs/profiler-output/") == "profiler-output"
    assert text.place("s3://bucket/job/profiler-output") == "s3://bucket/job/profiler-output"


def test_any_value_of_a_rule_is_shown_short():
    assert [text.plain(v) for v in (True, None, 5, 0.2, "a")] == [
        "True",
        "not set",
        "5",
        "0.2",
        "a",
    ]
    assert text.plain({"gpu0": [1, 2]}) == '{"gpu0": [1, 2]}'
    long = text.plain({str(n): "x" * 200 for n in range(2000)})
    assert len(long) < text.LONGEST + 40 and long.endswith("characters)")
    assert text.plain([1, 2] * 50) == '[1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, "… 88 more"]'
    assert text.plain(list(range(text.ENTRIES))).endswith(" 11]")
    many = text.plain({n: {"a": 1.23456} for n in range(15)})
    assert many.startswith('{"0": {"a": 1.235}, ') and many.endswith('"…": "3 more"}')
    assert text.plain([float("nan")]) == '["nan"]'
    assert text.plain("x" * text.LONGEST) == "x" * text.LONGEST


def test_a_slug_is_a_class_name():
    assert text.slug("Host to device") == "host-to-device"
    assert text.slug('a" onclick="x') == "a--onclick--x"
