"""The glossary: short entries, in order, each with a name of its own."""

import re

import pytest

from course.workspace import ROOT
from tools.lint_lessons import anchors

PAGE = (ROOT / "docs" / "glossary.md").read_text()
GROUPS = dict(re.findall(r"^## ([^\n]+)\n(.+?)(?=^## |\Z)", PAGE, re.M | re.S))
ENTRIES = dict(re.findall(r"^### ([^\n]+)\n\n(.+?)\n*(?=^#|\Z)", PAGE, re.M | re.S))
MOST_SENTENCES = 3


def test_no_two_terms_share_an_address():
    assert len(anchors(PAGE)) == len(re.findall(r"^#+ ", PAGE, re.M))


def test_the_list_at_the_top_has_all_groups():
    assert re.findall(r"^- \[(.+?)\]", PAGE, re.M) == list(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_terms_are_sorted(group):
    terms = [term.lower() for term in re.findall(r"^### (.+)$", GROUPS[group], re.M)]
    assert terms == sorted(terms)


@pytest.mark.parametrize("term", ENTRIES)
def test_an_entry_is_short(term):
    sentences = re.findall(r"[.:?](?:\s|$)", ENTRIES[term].replace("e.g.", ""))
    assert 1 <= len([end for end in sentences if not end.startswith(":")]) <= MOST_SENTENCES
