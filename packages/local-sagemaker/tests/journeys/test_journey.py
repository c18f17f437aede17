"""A stranger's script on SDK v3, with the network cut off: train, tune, deploy, invoke, delete."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from debugger_support.processes import processes_with
from engine_support.network import cut_off

JOURNEY = Path(__file__).parent / "journey/journey.py"


@pytest.mark.timeout(180)
def test_the_whole_way_without_a_network(tmp_path):
    run = [sys.executable, "-m", "local_sagemaker.cli", "run", "--state", str(tmp_path / "state")]
    done = subprocess.run(
        [*cut_off(), *run, "--", sys.executable, str(JOURNEY)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # The SDK's progress panels may stand before a word on its line.
    told = dict(re.findall(r"\b(TRAINED|BEST|ANSWER|LEFT) (.*)", done.stdout))
    status, address = told["TRAINED"].split()
    assert status == "Completed" and address.endswith("/output/model.tar.gz")
    assert re.fullmatch(r"pytorch-training-\d+-\d+-00[12]-\w+", told["BEST"])
    assert json.loads(told["ANSWER"]) == pytest.approx([3, 6, 600], rel=0.01)
    assert told["LEFT"] == "[] []"
    assert processes_with(str(tmp_path)) == []
    log = (tmp_path / "state/engine.log").read_text()
    assert "Traceback" not in log
