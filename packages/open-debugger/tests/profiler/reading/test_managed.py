"""`profiler/reading/managed.py`: the reports of AWS's own rules."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debugger_support.recordings import RULE_REPORT
from open_debugger.profiler.reading.lines import LeftOut
from open_debugger.profiler.reading.managed import collect, parameters, parse


def collected(**files):
    left = LeftOut()
    named = [(f"profiler-reports/{rule}.json", data) for rule, data in files.items()]
    return collect(named, left), left.notes()


def test_a_report_is_read_as_it_is():
    wider = {**RULE_REPORT, "Details": {}, "RuleParameters": "", "Later": [1]}
    assert collected(A=json.dumps(RULE_REPORT).encode(), B=json.dumps(wider).encode()) == (
        {"A": RULE_REPORT, "B": wider},
        [],
    )


def test_of_a_rule_s_reports_the_first_is_taken():
    files = [
        (f"{at}/profiler-reports/A.json", json.dumps({**RULE_REPORT, "Violations": at}).encode())
        for at in (1, 2)
    ]
    assert collect(files, LeftOut())["A"]["Violations"] == 1


def test_what_a_report_may_lack_is_empty():
    report = {key: RULE_REPORT[key] for key in ("RuleTriggered", "Violations", "Datapoints")}
    whole = {**report, "Details": {}, "RuleParameters": ""}
    assert parse(json.dumps(report).encode()) == whole
    empty = {"Details": None, "RuleParameters": None}
    assert parse(json.dumps(report | empty).encode()) == whole


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"RuleTriggered": "3"}, "RuleTriggered is '3', not a count"),
        ({"Violations": None}, "Violations is None, not a count"),
        ({"Violations": True}, "Violations is True, not a count"),
        ({"Datapoints": -1}, "Datapoints is -1, not a count"),
        ({"Details": []}, r"Details is \[\]"),
        ({"RuleParameters": {"a": 1}}, "RuleParameters is {'a': 1}"),
        ({"Details": "x" * 1000}, r"Details is 'x{39}$"),
    ],
)
def test_what_is_no_report_is_refused(change, why):
    with pytest.raises(ValueError, match=why):
        parse(json.dumps({**RULE_REPORT, **change}).encode())


def test_a_damaged_report_is_said_and_the_others_are_read():
    good = json.dumps(RULE_REPORT).encode()
    reports, notes = collected(A=good[:-1], B=good, C=b"[1]", D=b"\xff\xfe")
    assert reports == {"B": RULE_REPORT}
    assert notes == [
        "profiler-reports/A.json, profiler-reports/D.json: nothing was read "
        "(not a rule's report: not JSON).",
        "profiler-reports/C.json: nothing was read (not a rule's report: not a JSON object).",
    ]


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_no_bytes_raise(data):
    collected(A=data)


def test_parameters_are_numbers_where_they_are():
    text = "threshold:50\nshare:0.2\nmode:None\nname: a:b \nbelow:-3\nnothing"
    assert parameters({**RULE_REPORT, "RuleParameters": text}) == {
        "threshold": 50,
        "share": 0.2,
        "mode": None,
        "name": "a:b",
        "below": -3,
    }
    assert isinstance(parameters(RULE_REPORT)["patience"], int)
    assert parameters({**RULE_REPORT, "RuleParameters": ""}) == {}
