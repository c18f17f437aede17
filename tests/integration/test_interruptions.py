"""What an interrupted job loses, through the SDK's own driver, which forwards no SIGTERM."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from course.workspace import ROOT
from debugger_support.processes import processes_with, wait_until
from engine_support.clients import BUCKET, TRAINING_IMAGE
from local_sagemaker import ROLE_ARN
from local_sagemaker.client.environment import client_environment
from tests.support.tiny_photos import write_channels

pytestmark = pytest.mark.slow

CHECKPOINTS = f"s3://{BUCKET}/interrupted/checkpoints"
EVERY = 2.0  # seconds between two checkpoints
SETTINGS = {
    "model": "mobilenet_v3_small",  # checkpoints of 18 MB
    "weights": "random",
    "image-size": 32,
    "batch-size": 4,
    "epochs": 2,
    "seed": 4711,
    "checkpoint-dir": "/opt/ml/checkpoints/run",  # the same for each job
    "checkpoint-seconds": EVERY,
    "system-metrics": 500,  # step times then go where the checkpoints go
}
LAUNCH = """
import json, sys
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import (
    Channel, CheckpointConfig, Compute, DataSource, S3DataSource, SourceCode,
)
from sagemaker.train import ModelTrainer
image, role, source, data, checkpoints, settings = sys.argv[1:]
def channel(name):
    source = S3DataSource(
        s3_data_type="S3Prefix", s3_uri=f"{data}/{name}",
        s3_data_distribution_type="FullyReplicated",
    )
    return Channel(channel_name=name, data_source=DataSource(s3_data_source=source))
trainer = ModelTrainer(
    training_image=image, role=role, sagemaker_session=Session(), base_job_name="interrupted",
    source_code=SourceCode(source_dir=source, entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
    checkpoint_config=CheckpointConfig(s3_uri=checkpoints, local_path="/opt/ml/checkpoints"),
    hyperparameters=json.loads(settings),
)
channels = [channel("train"), channel("valid")]
trainer.train(input_data_config=channels, wait=False, logs=False)
print("JOB", trainer._latest_training_job.training_job_name)
"""


@pytest.fixture(scope="module")
def launch(aws, tmp_path_factory):
    """Start a job as SDK v3 does, with more hyperparameters; return its name."""
    photos = write_channels(tmp_path_factory.mktemp("photos"), photos=400, channels=["train"])
    write_channels(photos, photos=2, channels=["valid"])
    for file in photos.rglob("*.jpg"):
        aws.s3.upload_file(str(file), BUCKET, f"interrupted/{file.relative_to(photos)}")

    def start(**more):
        words = [TRAINING_IMAGE, ROLE_ARN, str(ROOT / "entry_points"), f"s3://{BUCKET}/interrupted"]
        words += [CHECKPOINTS, json.dumps({**SETTINGS, **more})]
        done = subprocess.run(
            [sys.executable, "-c", LAUNCH, *words],
            env={**os.environ, **client_environment(aws.url, aws.state)},
            capture_output=True,
            text=True,
        )
        assert "JOB " in done.stdout, done.stderr
        return done.stdout.rpartition("JOB ")[2].strip()

    return start


def ended(aws, job):
    """Wait until the job has ended; return its status."""

    def status():
        found = aws.sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
        return found if found not in ("InProgress", "Stopping") else None

    return wait_until(status, limit=150)


def log(aws, job):
    found = aws.logs.filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=job
    )
    return "\n".join(event["message"] for event in found["events"])


def step_times(aws, job):
    """When each training step of a job began, by its number, in Unix seconds."""
    prefix = f"interrupted/checkpoints/{job}/profiler-output/framework/steps/"
    keys = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    bodies = [aws.s3.get_object(Bucket=BUCKET, Key=key["Key"])["Body"].read() for key in keys]
    rows = [json.loads(line) for body in bodies for line in body.splitlines()]
    steps = [row for row in rows if row["Type"] == "step" and row["Phase"] == "train"]
    return {row["Step"]: row["Timestamp"] for row in steps}


def checkpoint_names(aws):
    found = aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="interrupted/checkpoints/run/")
    return sorted(item["Key"].rpartition("/")[2] for item in found.get("Contents", []))


def test_a_killed_and_a_stopped_job_lose_no_more_than_documented(aws, launch):
    killed = launch()
    wait_until(lambda: "photos=" in log(aws, killed), limit=120)
    time.sleep(3 * EVERY)
    scripts = [p for p in processes_with("--seed 4711") if "python" in p.name()]
    os.kill(scripts[-1].pid, signal.SIGKILL)
    assert ended(aws, killed) == "Failed"
    assert "epoch=1 " not in log(aws, killed), "the epoch was over before: nothing is shown"

    stopped = launch(**{"stop-after": 12})
    assert ended(aws, stopped) == "Completed"
    said = log(aws, stopped)
    resumed = int(re.search(r"resumed=epoch 1, step (\d+)", said)[1])
    times = step_times(aws, killed)
    longest = max(later - earlier for earlier, later in pairwise(times.values()))
    assert max(times.values()) - times[resumed] <= EVERY + longest
    assert "stopped=--stop-after after" in said
