"""A stranger's script on SDK v3, with the network cut off."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from debugger_support.processes import processes_with
from engine_support.network import cut_off
from local_sagemaker import ACCOUNT, ROLE_ARN
from local_sagemaker.core import shell_path

JOURNEY = Path(__file__).parent / "journey/journey.py"


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the script printed; the SDK takes so long to import that it runs once.

    The folder has a name as folders have in WSL and elsewhere.
    """
    folder = tmp_path_factory.mktemp("journey") / "it's My Dōcuments"
    (temporary := folder / "tmp").mkdir(parents=True)
    run = [sys.executable, "-m", "local_sagemaker.cli", "run", "--state", str(folder / "state")]
    words = [*cut_off(), *run, "--", sys.executable, str(JOURNEY)]
    own = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(words, capture_output=True, text=True, env=own)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    link = shell_path._link(folder / "state")  # by which commands reach such a folder
    assert not any(processes_with(place) for place in (str(folder), link.name))
    assert not link.is_symlink()
    assert "Traceback" not in (folder / "state/engine.log").read_text()
    return done.stdout


def told(said, *words):
    """What stands behind some words in capitals; the SDK's panels may stand before one."""
    return dict(re.findall(rf"\b({'|'.join(words)}) (.*)", said))


@pytest.mark.timeout(240)
def test_the_whole_way_without_a_network(said):
    found = told(said, "TRAINED", "BEST", "ANSWER", "LEFT")
    status, address = found["TRAINED"].split()
    assert status == "Completed" and address.endswith("/output/model.tar.gz")
    assert re.fullmatch(r"pytorch-training-\d+-\d+-00[12]-\w+", found["BEST"])
    assert json.loads(found["ANSWER"]) == pytest.approx([3, 6, 600], rel=0.01)
    assert found["LEFT"] == "[] []"


def test_the_sdk_finds_its_role_and_bucket_with_nothing_named(said):
    found = told(said, "FOUND", "ABROAD")
    assert found["FOUND"].split() == [ACCOUNT, ROLE_ARN, f"sagemaker-us-east-1-{ACCOUNT}"]
    assert found["ABROAD"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/local-sagemaker/SageMaker"
