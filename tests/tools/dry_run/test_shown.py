"""On spot instances, a notebook of the dry run must show what they have saved."""

import os
import subprocess
import sys

import nbformat
import pytest

from course.workspace import ROOT

TABLE = """
import pandas as pd
from course import jobs
pd.DataFrame([[1, 120, 36, 0.7]], ["dog-breeds-frozen-resnet50-20261129230538"], jobs.SAVINGS)
"""  # whose text is too wide for one line
OTHER = "import pandas as pd; pd.DataFrame([[1]], columns=['seconds'])"


@pytest.mark.parametrize(
    ("cell", "spot", "passes"),
    [(TABLE, "1", True), (OTHER, "1", False), (OTHER, "0", True), ("1 / 0", "0", False)],
    ids=["shown", "not shown", "no spot instances", "another failure"],
)
def test_a_run_passes_if_the_savings_are_shown(tmp_path, cell, spot, passes):
    cells = [nbformat.v4.new_code_cell(source) for source in ("1 + 1", cell)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "a.ipynb")
    options = ["-q", "-p", "no:cacheprovider", "-p", "tools.dry_run.shown", "--nbval-lax"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path, tmp_path / "a.ipynb"],
        cwd=ROOT,
        env={**os.environ, "COURSE_SPOT": spot},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) is passes, done.stdout
    assert ("no cell shows what spot instances have saved" in done.stdout) is (
        spot == "1" and not passes
    )
