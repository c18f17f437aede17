"""Two distributed jobs at a time: v3's Torchrun, and what v2 sends for torch_distributed."""

import io
import os
import sys
import tarfile
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train import ModelTrainer
from sagemaker.train.distributed import Torchrun

HERE = Path(__file__).parent
ROLE = os.environ["SAGEMAKER_ROLE"]
IMAGE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/"
    "pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
)
# As many jobs as the machine runs at a time meet in a folder.
MEETING = {"MEETING": sys.argv[1], "JOBS": str(min(2, os.cpu_count() or 1))}
session = Session()
bucket = session.default_bucket()
s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
if bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket=bucket)

archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w:gz") as target:
    target.add(HERE / "train.py", "train.py")
s3.put_object(Bucket=bucket, Key="v2/sourcedir.tar.gz", Body=archive.getvalue())
sagemaker.create_training_job(
    TrainingJobName="v2",
    RoleArn=ROLE,
    AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    HyperParameters={
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": f'"s3://{bucket}/v2/sourcedir.tar.gz"',
        "sagemaker_torch_distributed_enabled": "true",
        "sagemaker_instance_type": '"ml.m5.large"',
    },
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
    ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
    StoppingCondition={"MaxRuntimeInSeconds": 100},
    Environment=MEETING,
)
trainer = ModelTrainer(
    training_image=IMAGE,
    source_code=SourceCode(source_dir=str(HERE), entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=2, volume_size_in_gb=30),
    distributed=Torchrun(process_count_per_node=1),
    environment=MEETING,
    role=ROLE,
    sagemaker_session=session,
    base_job_name="v3",
)
trainer.train(wait=False, logs=False)
v3 = trainer._latest_training_job.training_job_name
for name in ("v2", v3):
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    pages = boto3.client("logs").get_paginator("filter_log_events")
    for page in pages.paginate(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    ):
        for event in page["events"]:
            print(f"{event['logStreamName']} {event['message']}")
