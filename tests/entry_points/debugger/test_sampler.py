"""`entry_points/debugger/sampler.py`, `sampling.py`: open_debugger's; jobs lack that package."""

import pytest

from course.workspace import ROOT

ORIGINALS = ROOT / "packages/open-debugger/src/open_debugger/profiler"


@pytest.mark.parametrize("name", ["sampler.py", "sampling.py"])
def test_it_is_open_debuggers(name):
    copy = ROOT / "entry_points" / "debugger" / name
    assert copy.read_bytes() == (ORIGINALS / name).read_bytes(), "they differ: run make sync"
