"""`tools/docs.py` writes blocks anew, and nothing else. (`make test-docs`: they are current.)"""

import re

import nbformat
import pytest

from debugger import JobExtras
from options import build_parser
from tools import docs

PAGE = (
    "# A\n<!-- generated: one -->\nold\n<!-- end -->\ntext\n<!-- generated: two -->\n<!-- end -->\n"
)


def test_blocks_are_written_anew_and_the_rest_is_left():
    new = docs.rewritten(PAGE, {"one": lambda: "1\n", "two": lambda: "2\n"})
    assert new == PAGE.replace("old", "1").replace("two -->\n", "two -->\n2\n")


@pytest.mark.parametrize("names", [["one"], ["one", "two", "three"]])
def test_a_block_without_a_function_and_the_reverse_are_errors(names):
    with pytest.raises(ValueError, match=r"the page has the generated blocks \['one', 'two'\]"):
        docs.rewritten(PAGE, dict.fromkeys(names, str))


def test_a_table_is_markdown():
    assert docs.table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"


def test_every_option_is_there_with_its_default_and_its_choices(monkeypatch):
    monkeypatch.setenv("SM_CHANNEL_TRAIN", "/somewhere")  # as in a job: not to be in the table
    lines = dict(line[2:-2].split(" | ", 1) for line in docs.options().splitlines()[2:])
    actions = [a for a in build_parser(JobExtras)._actions if a.dest != "help"]
    assert list(lines) == [f"`{action.option_strings[0]}`" for action in actions]
    for action in actions:
        assert all(
            choice in lines[f"`{action.option_strings[0]}`"] for choice in action.choices or ()
        )
    assert {"`--debug-config`", "`--system-metrics`", "`--profile-steps`"} <= set(lines)
    assert lines["`--lr`"].startswith("0.001 | ")
    assert lines["`--train-dir`"] == "`SM_CHANNEL_TRAIN` | training photos"


def test_every_page_has_its_blocks():
    for name, functions in docs.PAGES.items():
        blocks = {function.__name__: function for function in functions}
        page = docs.rewritten((docs.ROOT / name).read_text(), blocks)
        assert len(docs.BLOCK.findall(page)) == len(blocks)


def test_each_lesson_has_a_row_with_what_it_says_and_what_it_costs():
    rows = [line[2:-2].split(" | ") for line in docs.lessons().splitlines()[2:] if "|" in line]
    lessons = sorted((docs.ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert [row[0].partition("](")[2][:-1] for row in rows] == [
        f"notebooks/{file.name}" for file in lessons
    ]
    for (_, learned, _, price), file in zip(rows, lessons, strict=True):
        text = nbformat.read(file, as_version=4).cells[0].source
        assert f"| **You learn** | {learned} | " in text
        assert re.fullmatch(r"\d+\.\d\d USD( an hour)?", price)


def test_each_import_of_the_notebooks_has_a_row_with_its_file_and_its_tests():
    rows = [line.split(" | ") for line in docs.imports().splitlines()[2:]]
    users = {re.match(r"\| \[`([\w.]+)`", row[0])[1]: row[2] for row in rows}
    assert users["course"] == "01, 02, 03, 04" and users["course.debugger"] == "03"
    assert "course.figures" in users and "boto3" not in users
    for row in rows:
        for link in re.findall(r"\]\(\.\./([^)]+)\)", f"{row[0]} {row[3]}"):
            assert (docs.ROOT / link).exists(), link
