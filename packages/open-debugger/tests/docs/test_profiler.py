"""`docs/profiler.md`: the table of the rules names each with its parameters and defaults."""

import re

from course.workspace import ROOT
from open_debugger.profiler.catalogue import PROFILER_RULES, REPORT, defaults

PAGE = (ROOT / "docs" / "profiler.md").read_text()
SECTION = PAGE.partition("## The rules\n")[2].partition("\n## ")[0]
ROWS = dict(re.findall(r"^\| (\w+) \| ([^|]*)\|", SECTION, re.M))


def shown(value):
    return "none" if value is None else f"{value:g}"


def test_each_rule_has_its_row():
    assert set(ROWS) - {"rule"} == {*PROFILER_RULES, REPORT}


def test_each_row_has_the_parameters_with_their_defaults():
    for rule in PROFILER_RULES:
        expected = ", ".join(f"{name} ({shown(value)})" for name, value in defaults(rule).items())
        assert ROWS[rule].strip() == expected
