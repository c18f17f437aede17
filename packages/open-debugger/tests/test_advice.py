"""Advice is for any training script: it names the API's arguments, and nothing of one project's."""

import re
from pathlib import Path

import pytest

import open_debugger

SOURCES = [
    f for f in Path(open_debugger.__file__).parent.rglob("*") if f.suffix in (".py", ".html")
]
# A script's file, or an option that it may have.
OF_A_PROJECT = re.compile(
    r"\b(?:train|inference|hpo)\.py\b|\bentry_points\b|(?<!\S)--(?:workers|batch-size|precision)\b"
)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_advice_names_a_script_that_a_reader_may_not_have(file):
    assert OF_A_PROJECT.findall(file.read_text()) == []
