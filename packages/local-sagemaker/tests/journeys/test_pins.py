"""What jobs of SDK v3 pin in their requirements.txt comes before what the engine has."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine_support.wheels import write_wheel

SCRIPT = Path(__file__).parent / "pins/pins.py"


@pytest.mark.timeout(240)
def test_the_trainers_and_the_tuners_jobs_import_what_they_pin(tmp_path):
    write_wheel(tmp_path / "wheels", "tqdm", "0.1")
    run = [sys.executable, "-m", "local_sagemaker.cli", "run", "--state", str(tmp_path / "state")]
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    done = subprocess.run(
        [*run, "--", sys.executable, str(SCRIPT)],
        env={**os.environ, **pip, "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = dict(re.findall(r"\b(TRAINED|TUNED) (.*)", done.stdout))
    assert found == {"TRAINED": "0.1", "TUNED": "0.1"}
