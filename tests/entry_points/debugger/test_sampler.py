"""`entry_points/debugger/sampler.py`: a copy of open_debugger's, since jobs lack that package."""

from course.workspace import ROOT

ORIGINAL = ROOT / "packages/open-debugger/src/open_debugger/profiler/sampler.py"


def test_it_is_open_debuggers():
    copy = ROOT / "entry_points" / "debugger" / "sampler.py"
    assert copy.read_bytes() == ORIGINAL.read_bytes(), "they differ: run make sync"
