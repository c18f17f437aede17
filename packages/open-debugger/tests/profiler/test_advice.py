"""Advice names PyTorch's settings, not those of a script that the reader may not have."""

import re
from pathlib import Path

import pytest

import open_debugger

TEXTS = [
    file
    for ending in ("*.py", "*.j2")
    for file in sorted(Path(open_debugger.__file__).parent.rglob(ending))
]
OPTIONS = "num-workers|batch-size|image-size|decode|precision|system-metrics|profile-steps"
OURS = re.compile(rf"train\.py|--({OPTIONS})")


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_no_text_names_the_courses_script_or_its_options(file):
    assert OURS.findall(file.read_text()) == []
