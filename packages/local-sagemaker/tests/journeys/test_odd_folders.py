"""An engine in a folder, with a state and a temporary folder, of any name."""

import json

import pytest

from engine_support.clients import BUCKET, running_engine, toolkit_request, training_request
from engine_support.endpoints import deploy, invoke
from engine_support.sources import source_archive

NAMES = ["""it's "My Dōcuments" $x""", "long" * 50]
# Processes of a job find each other by sockets in the temporary folder, as a DataLoader's workers.
SCRIPT = """
import multiprocessing.connection, os, tempfile
with multiprocessing.connection.Listener(family="AF_UNIX") as listener:
    print("listens")
print(open(os.environ["SM_CHANNEL_TRAIN"] + "/1.txt").read())
"""


@pytest.fixture(scope="module", params=NAMES, ids=["quotes", "long"])
def aws(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd") / request.param
    (temporary := folder / "tmp").mkdir(parents=True)
    with running_engine(folder / "state", TMPDIR=str(temporary)) as clients:
        clients.s3.create_bucket(Bucket=BUCKET)
        clients.s3.put_object(Bucket=BUCKET, Key="in/1.txt", Body=b"read by the script")
        yield clients


def test_a_job_with_a_command(aws):
    command = ["sh", "-c", "cat /opt/ml/input/data/train/1.txt; echo; mktemp"]
    request = training_request(channels={"train": f"s3://{BUCKET}/in/"})
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = command
    aws.sagemaker.create_training_job(**request)
    job = aws.job(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "read by the script" in aws.log(request["TrainingJobName"])


def test_a_job_of_the_toolkit(aws):
    request = toolkit_request(
        source_archive(aws, train=SCRIPT), channels={"train": f"s3://{BUCKET}/in/"}
    )
    aws.sagemaker.create_training_job(**request)
    job = aws.job(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert {"listens", "read by the script"} <= set(aws.log(request["TrainingJobName"]))


def test_an_endpoint(aws):
    made = deploy(aws)
    assert made["EndpointStatus"] == "InService", made.get("FailureReason")
    answer = invoke(aws, made["EndpointName"], ContentType="image/jpeg", Accept="application/json")
    assert json.loads(answer["Body"].read())["size"] == 3
