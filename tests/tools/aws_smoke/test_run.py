"""`make aws-smoke` on the local engine: all of it works, nothing is left, and the record fits.

Records of AWS lie in `records/`, beside the engine's own: whoever has an account adds one.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.workspace import ROOT
from engine_support.clients import BUCKET, TRAINING_IMAGE
from local_sagemaker import ACCOUNT, ROLE_ARN
from local_sagemaker.client.environment import client_environment
from tools.aws_smoke import __main__ as program
from tools.aws_smoke import compare, steps
from tools.aws_smoke.record import Record, read

pytestmark = pytest.mark.timeout(900)  # a minute, on a machine that does nothing else

RECORDS = Path(__file__).parent / "records"


@pytest.fixture(scope="module")
def run(aws, tmp_path_factory):
    """What the program prints on the engine, and its record."""
    file = tmp_path_factory.mktemp("smoke") / "record.json"
    variables = {"COURSE_MODE": "local", "AWS_SMOKE_RECORD": str(file)}
    done = subprocess.run(
        [sys.executable, "-m", "tools.aws_smoke"],
        env={**os.environ, **client_environment(aws.url, aws.state), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, read(file)


def test_the_whole_way_works_and_nothing_is_left(aws, run):
    said, _ = run
    assert "nothing is left" in said and "nothing is paid" in said
    assert aws.sagemaker.list_endpoints()["Endpoints"] == []
    names = [model["ModelName"] for model in aws.sagemaker.list_models()["Models"]]
    assert not [name for name in names if "smoke" in name]
    bucket = f"sagemaker-us-east-1-{ACCOUNT}"
    assert aws.keys("dog-breeds-smoke", bucket) == []


def test_the_record_names_no_account_no_bucket_and_no_key(aws, run):
    text = json.dumps(run[1])
    for own in (ACCOUNT, ROLE_ARN, "us-east-1", aws.key.id, "dog-breeds-smoke"):
        assert own not in text, own


@pytest.mark.parametrize("file", sorted(RECORDS.glob("*.json")), ids=lambda file: file.stem)
def test_the_engine_answers_as_in_the_record(run, file):
    recorded = read(file)
    found = compare.differences(recorded, run[1])
    assert not found, compare.told(found, recorded["source"], "engine")


def test_a_spoiled_record_is_noticed(run):
    spoiled = json.loads(json.dumps(run[1]))
    trial = next(entry for entry in spoiled["answers"] if entry["step"] == "trial")
    trial["answer"]["TrainingJobStatus"] = "Done"
    (found,) = compare.differences(spoiled, run[1])
    assert found.path == "answer.TrainingJobStatus"


def test_what_was_made_is_deleted_also_when_a_step_fails(aws, tmp_path):
    place = steps.Place(
        aws.client, ROLE_ARN, BUCKET, "smoke-fails", "no-image", "no-image", pause_s=0.1
    )
    said, record = [], Record({})
    with pytest.raises(RuntimeError, match="create_hyper_parameter_tuning_job: ValidationExc"):
        steps.run(place, record, said.append)
    assert said[-2] == "deleting all of it" and said[-1].startswith("nothing is left")
    assert aws.keys("smoke-fails/") == []


def test_a_failed_trials_reason_is_told(aws):
    place = steps.Place(
        aws.client, ROLE_ARN, BUCKET, "smoke-trials", TRAINING_IMAGE, "no-image", pause_s=0.1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(steps.SETTINGS, "model", "no_network")
        with pytest.raises(RuntimeError, match="smoke-trials has no best job: ") as caught:
            steps.run(place, Record({}), lambda text: None)
    assert "; AlgorithmError: " in str(caught.value)  # a trial's, behind the tuning job's own


def test_differences_from_the_engine_come_with_what_to_do():
    record = read(program.ENGINE)
    spoiled = json.loads(json.dumps(record))
    trial = next(entry for entry in spoiled["answers"] if entry["step"] == "trial")
    trial["answer"]["TrainingJobStatus"] = "Done"
    found = compare.differences(spoiled, record)
    said = program._result(found, here=False)
    assert "answer.TrainingJobStatus: AWS 'Completed', 'Done', the engine's record" in said
    assert "1 difference. AWS is right: please open an issue with the record" in said
    assert program._result([], here=False) == "The answers are those of the engine."


def test_it_asks_first_and_says_what_it_costs(monkeypatch, capsys):
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes"))  # nobody sits there
    assert program.agreed(here=False) is False
    said = capsys.readouterr().out
    assert f"at most {program.most():.2f} USD" in said
    assert "'ml.m5.large for training job usage' (2)" in said
    assert program.most() <= program.MOST_USD
    monkeypatch.setenv("YES", "1")
    assert program.agreed(here=False) is True
    monkeypatch.setattr(program, "MOST_USD", 0.01)
    assert program.main() == 2
    assert "nothing is done" in capsys.readouterr().out
