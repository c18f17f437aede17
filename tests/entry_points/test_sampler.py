"""`entry_points/sampler.py`: open_debugger's own, copied because entry points are shipped alone."""

from course.workspace import ROOT

ORIGINAL = ROOT / "packages/open-debugger/src/open_debugger/profiler/sampler.py"


def test_it_is_open_debuggers():
    copy = ROOT / "entry_points" / "sampler.py"
    assert copy.read_bytes() == ORIGINAL.read_bytes(), "they differ: run make sync"
