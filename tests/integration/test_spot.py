"""A job on spot instances, reclaimed at three moments, ends as one that was not."""

import io
import json
import math
import os
import random
import tarfile
import time

import pytest

from course.workspace import ROOT
from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, channel, training_request
from local_sagemaker.client import reclaims
from local_sagemaker.training.statuses import SPOT_PRICE
from tests.support.paced import PACED
from tests.support.tiny_photos import write_channels

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SEED = int(os.environ.get("RECLAIM_SEED", "20261129"))
RECIPE = "--model mobilenet_v3_small --weights random --precision fp32 --image-size 32 "
RECIPE += "--batch-size 4 --epochs 3 --seed 4711 --checkpoint-seconds 1.5 --augmentation colour"
EVERY = {"train.save_interval": "1", "eval.save_interval": "1"}
COLLECTIONS = [{"CollectionName": "losses", "CollectionParameters": EVERY}]


class Run:
    """A spot job of train.py; `how` its tensors are saved: managed or self."""

    def __init__(self, aws, how):
        data, words = "/opt/ml/input/data", RECIPE.split()
        kept, limits = {}, {"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 3600}
        if how == "self":
            words += ["--debug-config", json.dumps({"CollectionConfigurations": COLLECTIONS})]
        else:
            address = f"s3://{BUCKET}/spot/debug"
            kept["DebugHookConfig"] = {"S3OutputPath": address}
            kept["DebugHookConfig"]["CollectionConfigurations"] = COLLECTIONS
        request = training_request(
            EnableManagedSpotTraining=True, StoppingCondition=limits, **kept
        )  # fmt: skip
        name = self.name = request["TrainingJobName"]
        names = ("train", "valid", "code")
        request["InputDataConfig"] = [channel(each, f"s3://{BUCKET}/spot/{each}") for each in names]
        request["CheckpointConfig"] = {"S3Uri": f"s3://{BUCKET}/spot/checkpoints/{name}"}
        request["AlgorithmSpecification"]["ContainerEntrypoint"] = [
            "python",
            f"{data}/code/paced.py",
        ]
        words += [f"--{each}-dir={data}/{each}" for each in names[:2]]
        words += ["--model-dir=/opt/ml/model"]
        request["AlgorithmSpecification"]["ContainerArguments"] = words
        self.aws, self.how = aws, how
        aws.sagemaker.create_training_job(**request)

    def newest(self):
        """The newest checkpoint in S3; their names sort by epoch and step."""
        keys = self.aws.keys(f"spot/checkpoints/{self.name}/{self.name}/checkpoints/")
        return max(keys, default="")

    def losses(self):
        """Every saved loss: by mode and step, its value and its step in the whole run."""
        from smdebug.core.modes import ModeKeys as modes

        import open_debugger

        place = "debug" if self.how == "managed" else f"checkpoints/{self.name}"
        trial = open_debugger.open_trial(f"s3://{BUCKET}/spot/{place}/{self.name}/debug-output")
        tensor = trial.tensor("CrossEntropyLoss_output_0")
        return {
            (mode.name, step): (trial.global_step(mode, step), float(tensor.value(step, mode=mode)))
            for mode in (modes.TRAIN, modes.EVAL)
            for step in tensor.steps(mode=mode)
        }

    def ended(self):
        """The weights to the last bit, the losses, and the job's description."""
        job = self.aws.job(self.name, limit=900)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        _, _, key = job["ModelArtifacts"]["S3ModelArtifacts"][5:].partition("/")
        body = self.aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            return archive.extractfile("model.safetensors").read(), self.losses(), job


@pytest.fixture(scope="module")
def photos(aws, tmp_path_factory):
    """Twelve steps an epoch, and the scripts, in the bucket."""
    root = write_channels(tmp_path_factory.mktemp("photos"), photos=24, channels=["train"])
    write_channels(root, photos=8, channels=["valid"])
    for file in root.rglob("*.jpg"):
        aws.s3.upload_file(str(file), BUCKET, f"spot/{file.relative_to(root)}")
    scripts = ROOT / "entry_points"
    for file in scripts.rglob("*.py"):
        aws.s3.upload_file(str(file), BUCKET, f"spot/code/{file.relative_to(scripts)}")
    aws.s3.put_object(Bucket=BUCKET, Key="spot/code/paced.py", Body=PACED.encode())


@pytest.fixture(scope="module")
def whole(aws, photos):
    """A run that nothing interrupts."""
    return Run(aws, "managed")


@pytest.mark.parametrize("how", ["managed", "self"])
def test_a_run_reclaimed_at_three_moments_ends_with_the_same_weights(reached, whole, how):
    expected, draw, run, before = whole.ended(), random.Random(SEED), Run(reached, how), ""
    for notice in (0, 0, 2):
        wait_until(lambda before=before: run.newest() > before, limit=300)
        before = run.newest()
        time.sleep(draw.uniform(0, 1.5))
        reclaims.ask(reached.url, reached.key, run.name, notice, absence_s=1)
    weights, losses, job = run.ended()

    said = reached.whole_log(run.name)
    assert len([line for line in said if line.startswith("resumed=")]) == 3
    assert weights == expected[0]
    assert losses == expected[1] and len(losses) > 36
    states = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert states.count("Interrupted") == 3
    trained, billed = job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]
    assert billed == math.ceil(trained * SPOT_PRICE) < trained
    total = (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds()
    assert trained <= total - 3 + 1  # without a machine for three seconds
