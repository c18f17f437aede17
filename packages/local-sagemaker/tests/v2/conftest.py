"""Clients of the run's engine as users of SDK v2 have them: from the environment, nothing passed.

`make check-v2` starts these tests under ``local-sagemaker run``.
"""

from __future__ import annotations

import itertools
import time

import boto3
import pytest
import sagemaker
from sagemaker.pytorch import PyTorch

BUCKET = "a-bucket-of-their-own"
_numbers = itertools.count(1)

# Starts in a second, because it imports nothing, and does what scripts do: reads, reports, writes.
TRAIN = """\
import argparse, os, shutil, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--kind", default="plain")
parser.add_argument("--fail", type=int, default=0)
args = parser.parse_args()
for name in os.environ["SM_CHANNELS"].strip("[]").replace('"', "").split(",") if (
    os.environ["SM_CHANNELS"] != "[]") else []:
    folder = os.environ["SM_CHANNEL_" + name.upper()]
    print("channel", name, sorted(os.listdir(folder)), flush=True)
for epoch in range(3):
    print(f"epoch={epoch}; loss={(args.lr - 0.3) ** 2 + 1 / (1 + epoch):.4f};", flush=True)
os.makedirs("/opt/ml/checkpoints", exist_ok=True)
open("/opt/ml/checkpoints/epoch-2.txt", "w").write("two")
open(os.path.join(os.environ["SM_MODEL_DIR"], "kind.txt"), "w").write(args.kind)
open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "notes.txt"), "w").write("notes")
if args.fail:
    sys.exit("the script gave up: no such breed")
"""
# Says what came in by which door; a request for 'trouble' raises.
SERVE = """\
import io, json, os
import numpy as np
def model_fn(model_dir):
    return open(os.path.join(model_dir, "kind.txt")).read()
def input_fn(body, content_type):
    if content_type == "application/x-npy":
        return np.load(io.BytesIO(body))
    if content_type == "application/json":
        return json.loads(body)
    if content_type == "image/jpeg":
        return bytes(body)
    raise ValueError("unsupported content type " + content_type)
def predict_fn(data, model):
    if isinstance(data, dict) and data.get("trouble"):
        raise RuntimeError("this model wants no trouble")
    if isinstance(data, bytes):
        return [model, len(data), data[:2].hex()]
    if isinstance(data, np.ndarray):
        return (data * 2)
    return [model, data]
def output_fn(prediction, accept):
    if accept == "application/x-npy":
        buffer = io.BytesIO()
        np.save(buffer, prediction)
        return buffer.getvalue(), accept
    if isinstance(prediction, np.ndarray):
        prediction = prediction.tolist()
    return json.dumps(prediction), "application/json"
"""
METRICS = [
    {"Name": "loss", "Regex": r"loss=([0-9.]+);"},
    {"Name": "epoch", "Regex": r"epoch=([0-9]+);"},
]


def unique(prefix: str = "job") -> str:
    return f"{prefix}-{int(time.time())}-{next(_numbers)}"


@pytest.fixture(scope="session")
def session() -> sagemaker.Session:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return sagemaker.Session(default_bucket=BUCKET)


@pytest.fixture(scope="session")
def client():
    return boto3.client("sagemaker")


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> str:
    """A folder with an entry point and a handler."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "train.py").write_text(TRAIN)
    (folder / "inference.py").write_text(SERVE)
    return str(folder)


@pytest.fixture(scope="session")
def data(session, tmp_path_factory) -> str:
    """The address of two small files."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.csv").write_text("1,2\n")
    (folder / "deeper").mkdir()
    (folder / "deeper/b.csv").write_text("3,4\n")
    return session.upload_data(str(folder), key_prefix="data")


@pytest.fixture(scope="session")
def estimator(session, source):
    """Makes estimators; what is not said is as small as it can be."""

    def make(**members) -> PyTorch:
        return PyTorch(
            **{
                "entry_point": "train.py",
                "source_dir": source,
                "role": sagemaker.get_execution_role(),
                "framework_version": "1.12",
                "py_version": "py38",
                "instance_count": 1,
                "instance_type": "ml.m5.large",
                "sagemaker_session": session,
                "metric_definitions": METRICS,
                "debugger_hook_config": False,
                "disable_profiler": True,
                **members,
            }
        )

    return make


@pytest.fixture(scope="session")
def ended(client):
    """Waits for a training job, oftener than the SDK does; returns its description."""

    def wait(name: str, limit: float = 120) -> dict:
        deadline = time.monotonic() + limit
        while True:
            found = client.describe_training_job(TrainingJobName=name)
            if found["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"}:
                return found
            assert time.monotonic() < deadline, f"{name} still {found['SecondaryStatus']}"
            time.sleep(0.2)

    return wait
