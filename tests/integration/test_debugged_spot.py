"""A debugged job on spot instances that loses its instance: tensors of both parts, and verdicts."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from course.workspace import ROOT
from debugger_support.processes import wait_until
from engine_support.clients import unique
from local_sagemaker import ACCOUNT
from local_sagemaker.client.environment import client_environment
from tests.support.paced import PACED
from tests.support.tiny_photos import write_channels

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BUCKET = f"sagemaker-us-east-1-{ACCOUNT}"
EPOCHS, STEPS = 2, 12  # of each epoch
# Notebook 03 in small. It says its job's name, and in the end what the lesson would read.
LESSON = """
import json, sys
from sagemaker.core import debugger as of_sdk
from sagemaker.core.debugger import rule_configs
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from smdebug.core.modes import ModeKeys

import course
from course import debugger, jobs

scripts, photos, name = sys.argv[1:]
settings = {
    "model": "mobilenet_v3_small", "weights": "random", "precision": "fp32", "image-size": 32,
    "batch-size": 4, "epochs": EPOCHS, "seed": 4711, "checkpoint-seconds": 1.5,
}
ws = course.connect()
channels = [
    InputData(channel_name=each, data_source=f"{photos}/{each}") for each in ("train", "valid")
]
collections = [
    of_sdk.CollectionConfig("losses", {"train.save_interval": "1", "eval.save_interval": "1"}),
    of_sdk.CollectionConfig("gradients", {"train.save_interval": "4"}),
]
tensor_rules = [
    of_sdk.Rule.sagemaker(
        debugger.built_in(each), rule_parameters=debugger.parameters(each, "resnet50", STEPS)
    )
    for each in ("LossNotDecreasing", "VanishingGradient")
]
trainer = debugger.DebuggedTrainer(
    workspace=ws,
    training_image=ws.training_image,
    source_code=SourceCode(source_dir=scripts, entry_script="paced.py"),
    compute=Compute(
        instance_type=ws.training_instance, instance_count=1, volume_size_in_gb=30,
        enable_managed_spot_training=ws.spot,
    ),
    stopping_condition=jobs.stopping_condition(ws, max_runtime_in_seconds=1800),
    role=ws.role,
    sagemaker_session=ws.session,
    hyperparameters=settings,
    base_job_name=name,
    debugger_hook_config=of_sdk.DebuggerHookConfig(
        s3_output_path=f"{photos}/debug", collection_configs=collections
    ),
    rules=[*tensor_rules, of_sdk.ProfilerRule.sagemaker(rule_configs.ProfilerReport())],
    profiler_config=of_sdk.ProfilerConfig(
        s3_output_path=f"{photos}/debug", system_monitor_interval_millis=200
    ),
)
trainer.train(input_data_config=channels, wait=False, logs=False)
job = trainer._latest_training_job
print("JOB", job.training_job_name, job.checkpoint_config.s3_uri, flush=True)
job = jobs.wait(trainer)
trial = debugger.trial(trainer)
losses = trial.tensor("CrossEntropyLoss_output_0")
(gradient, *_) = trial.tensor_names(collection="gradients")
system = debugger.profile(trainer).recording.system
times = [moment for series in system.values() for moment in series.times]
print(json.dumps({
    "train": losses.steps(mode=ModeKeys.TRAIN),
    "eval": losses.steps(mode=ModeKeys.EVAL),
    "values": [float(losses.value(each)) for each in losses.steps()],
    "gradient": trial.tensor(gradient).steps(mode=ModeKeys.TRAIN),
    "verdicts": debugger.verdicts(trainer)["status"].to_dict(),
    "sampled": [min(times), max(times)],
}))
""".replace("EPOCHS", str(EPOCHS)).replace("STEPS", str(EPOCHS * STEPS))


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts") / "entry_points"
    shutil.copytree(ROOT / "entry_points", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "paced.py").write_text(PACED)
    return folder


@pytest.fixture(scope="module")
def photos(aws, tmp_path_factory):
    """Twelve steps an epoch and two of validation, in the bucket of the course; their address."""
    root = write_channels(tmp_path_factory.mktemp("photos"), photos=24, channels=["train"])
    write_channels(root, photos=8, channels=["valid"])
    if BUCKET not in [each["Name"] for each in aws.s3.list_buckets()["Buckets"]]:
        aws.s3.create_bucket(Bucket=BUCKET)
    for file in root.rglob("*.jpg"):
        aws.s3.upload_file(str(file), BUCKET, f"debugged-spot/{file.relative_to(root)}")
    return f"s3://{BUCKET}/debugged-spot"


def reclaimed(aws, name, *words):
    """As somebody in a terminal would."""
    command = [sys.executable, "-m", "local_sagemaker.cli", "reclaim", name, *words]
    variables = {**os.environ, **client_environment(aws.url, aws.state)}
    subprocess.run(command, env=variables, check=True, capture_output=True)


@pytest.mark.parametrize("how", ["managed", "self"])
def test_a_debugged_job_that_is_reclaimed_keeps_its_tensors_and_its_verdicts(
    aws, scripts, photos, how
):
    course = {"COURSE_MODE": "local", "COURSE_SPOT": "1", "COURSE_DEBUGGER": how}
    variables = {**os.environ, **client_environment(aws.url, aws.state), **course}
    words = [sys.executable, "-c", LESSON, str(scripts), photos, unique(f"debugged-{how}")]
    with subprocess.Popen(
        words, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as lesson:
        told = next((line for line in lesson.stdout if line.startswith("JOB ")), None)
        assert told, lesson.stderr.read()
        _, name, checkpoints = told.split()
        prefix = checkpoints.removeprefix(f"s3://{BUCKET}/")
        wait_until(lambda: any(k.endswith(".pt") for k in aws.keys(prefix, BUCKET)), limit=300)
        reclaimed(aws, name, "--notice", "0", "--absence", "1")
        said, errors = lesson.communicate()
    assert lesson.returncode == 0, said + errors
    found = json.loads(said.splitlines()[-1])

    job = aws.sagemaker.describe_training_job(TrainingJobName=name)
    states = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    (gap,) = [each for each in job["SecondaryStatusTransitions"] if each["Status"] == "Interrupted"]
    assert (job["TrainingJobStatus"], states.count("Interrupted")) == ("Completed", 1)
    assert len([line for line in aws.whole_log(name) if line.startswith("resumed=")]) == 1

    # Every step of both parts, in one numbering, as of a run that nobody interrupted.
    assert found["train"] == list(range(EPOCHS * STEPS))
    assert len(found["eval"]) == EPOCHS * 2
    assert all(value > 0 for value in found["values"])
    assert found["gradient"] == list(range(0, EPOCHS * STEPS, 4))
    assert set(found["verdicts"]) == {"LossNotDecreasing", "VanishingGradient", "ProfilerReport"}
    first, last = found["sampled"]
    assert last > gap["EndTime"].timestamp()
    # Self-hosted, an attempt removes what the one before has sampled (`MinuteFiles.clear`).
    assert (first < gap["StartTime"].timestamp()) is (how == "managed")
    assert set(found["verdicts"].values()) <= {"IssuesFound", "NoIssuesFound"}
