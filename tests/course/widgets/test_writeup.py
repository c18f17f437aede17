"""The write-up: what goes in comes out as Markdown that renders."""

import pandas as pd
import pytest

from course.widgets import WriteUp


def section(*contents):
    """The lines below the heading of a section with these contents."""
    document = WriteUp("Dogs")
    document.add("Jobs", *contents)
    title, heading, rest = document.text.split("\n\n", 2)
    assert (title, heading) == ("# Dogs", "## Jobs")
    return rest.splitlines()


def test_a_table_has_a_row_for_each_row():
    frame = pd.DataFrame({"job": ["a", "b"], "accuracy": [0.123456, 1.0], "epochs": [3, 4]})
    assert section(frame) == [
        "| job | accuracy | epochs |",
        "| --- | --- | --- |",
        "| a | 0.1235 | 3 |",
        "| b | 1 | 4 |",
    ]


def test_an_index_with_a_name_is_a_column():
    frame = pd.DataFrame({"status": ["NoIssuesFound"]}, pd.Index(["Overfit"], name="rule"))
    assert section(frame)[-1] == "| Overfit | NoIssuesFound |"


def test_a_mapping_is_a_table_of_two_columns():
    assert section({"lr": 0.001, "epochs": 3})[2:] == ["| lr | 0.001 |", "| epochs | 3 |"]


def test_a_cell_stays_one_cell():
    assert section({"a | b": "two\nlines", "missing": float("nan"), "none": None})[2:] == [
        "| a \\| b | two lines |",
        "| missing | - |",
        "| none | - |",
    ]


def test_text_and_tables_follow_one_another_with_empty_lines_between():
    assert section("Five jobs.", {"lr": 1})[:2] == ["Five jobs.", ""]


@pytest.mark.parametrize("contents", [(), (pd.DataFrame({"job": []}),), ({},)])
def test_a_section_without_contents_is_refused(contents):
    with pytest.raises(ValueError, match=r"Jobs. (is empty|has no row)"):
        WriteUp("Dogs").add("Jobs", *contents)


def test_it_is_saved_and_shown(tmp_path):
    document = WriteUp("Dogs")
    document.add("A", "größer")
    file = tmp_path / "new folder" / "write-up.md"
    assert document.save(file).data == file.read_text(encoding="utf-8") == document.text
