"""docs/aws.md: one page, in order, and each statement says how it is known."""

import re

import pytest

from course.workspace import ROOT

PAGE = (ROOT / "docs" / "aws.md").read_text()
MARK = re.compile(r"\[(?:T|S|A)\]")
MOST_WORDS = 1500
# What states nothing about AWS or the course: instructions, commands, tables made from code.
PLAIN = re.compile(
    r"^(#|    |<!--|\||---|- \*\*\[)"
    r"|^(\*[^*]+\* )?(In Studio, put|Finally, by hand|From an empty|real account yet"
    r"|In a notebook|If AWS behaves)"
)


def paragraphs():
    """The page's paragraphs and list items, without code, tables and headings."""
    blocks = re.split(r"\n\n|\n(?=- |\d\. )", PAGE)
    return [block for block in blocks if block.strip() and not PLAIN.match(block)]


def test_it_is_one_page():
    assert len(PAGE.split()) <= MOST_WORDS


@pytest.mark.parametrize("block", paragraphs(), ids=lambda block: block.split("\n")[0][:40])
def test_each_paragraph_says_how_it_is_known(block):
    listed = re.match(r"\d\. ", block)  # a step is done, not known
    assert listed or MARK.search(block), block


def test_rows_that_state_something_are_marked():
    table = PAGE[PAGE.index("| notebook | what happens") :].split("\n\n")[0].splitlines()[2:]
    assert len(table) == 4 and all(MARK.search(row) for row in table)


def test_the_steps_are_in_order_and_each_says_its_time_and_cost():
    steps = re.findall(r"^## (\d)\. .+\n\n\*(.+?)\*", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in steps] == list(range(1, 8))
    assert all(re.search(r"free|cents|costs", told) for _, told in steps)


def test_the_last_step_is_the_clean_up():
    assert "python -m course.cleanup --delete" in PAGE[PAGE.index("## 7.") :]
