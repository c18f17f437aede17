"""`profiler/findings.py`: findings printed, in a notebook, and by name."""

import pytest

from open_debugger.profiler.findings import Finding, Findings

FINDINGS = Findings(
    [
        Finding("Short", "CPUBottleneck", "NoIssuesFound", "all is well"),
        Finding("LongerName", "Dataloader", "IssuesFound", "25% < 70%", advice="more workers"),
    ]
)


def test_findings_are_looked_up_by_name_and_in_order():
    assert [each.name for each in FINDINGS] == ["Short", "LongerName"] and len(FINDINGS) == 2
    assert FINDINGS["LongerName"].rule == "Dataloader"
    assert "Short" in FINDINGS and "Dataloader" not in FINDINGS
    with pytest.raises(KeyError, match=r"no rule 'Dataloader': there are.*'LongerName'"):
        FINDINGS["Dataloader"]


def test_printed_they_are_a_table():
    first, second = str(FINDINGS).splitlines()
    assert first == "Short       NoIssuesFound   all is well"
    assert second == "LongerName  IssuesFound     25% < 70%"
    assert str(Findings([])) == ""


def test_in_a_notebook_too():
    long = Findings([Finding("a", "b", "Error", "no " * 50)])
    assert "no " * 49 in long._repr_html_()
    page = FINDINGS._repr_html_()
    assert "<table" in page and "25% &lt; 70%" in page and "more workers" in page
    assert Findings([]).frame().empty and list(FINDINGS.frame()) == ["status", "summary", "advice"]
