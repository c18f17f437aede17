"""Distributed jobs of both SDKs at the same time, on the port that both fix."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine_support.shared_files import shared_folder

LAUNCH = Path(__file__).parent / "distributed/launch.py"


@pytest.mark.slow  # four imports of torch; test_cluster has the port, the hosts and their names
@pytest.mark.timeout(240)
def test_two_jobs_of_two_instances_reduce_over_gloo_at_the_same_time(tmp_path):
    run = [sys.executable, "-m", "local_sagemaker.cli", "run", "--state", str(tmp_path / "state")]
    words = [*run, "--", sys.executable, str(LAUNCH), str(shared_folder())]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = sorted(line.split(maxsplit=1) for line in done.stdout.splitlines() if " rank=" in line)
    streams = [stream.rpartition("-")[0] for stream, _ in said]  # without the time
    v3 = streams[2].partition("/")[0]
    assert streams == ["v2/algo-1", "v2/algo-2", f"{v3}/algo-1", f"{v3}/algo-2"]
    first, second = (f"rank={n} of 2 on algo-{n + 1} port=7777 sum=3" for n in (0, 1))
    assert [told for _, told in said] == [first, second] * 2
