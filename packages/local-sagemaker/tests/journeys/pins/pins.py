"""Train and tune with pinned requirements, as any SDK v3 user does, with nothing local in it."""

import os
import time
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import ContinuousParameter
from sagemaker.core.shapes import MetricDefinition
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
VERSION = "version=([0-9.]+)"
session, sagemaker = Session(), boto3.client("sagemaker")
boto3.client("s3").create_bucket(Bucket=session.default_bucket())
trainer = ModelTrainer(
    training_image=f"{ECR}/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker",
    source_code=SourceCode(
        source_dir=str(Path(__file__).parent / "source"),
        entry_script="train.py",
        requirements="requirements.txt",
    ),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
    role=os.environ["SAGEMAKER_ROLE"],
    sagemaker_session=session,
    base_job_name="pins",
).with_metric_definitions([MetricDefinition(name="version", regex=VERSION)])


def version(job: str) -> float:
    found = sagemaker.describe_training_job(TrainingJobName=job)["FinalMetricDataList"]
    return round(found[0]["Value"], 3)


tuner = HyperparameterTuner(
    trainer,
    objective_metric_name="version",
    objective_type="Minimize",
    hyperparameter_ranges={"lr": ContinuousParameter(0.001, 0.2)},
    metric_definitions=[{"Name": "version", "Regex": VERSION}],
    max_jobs=1,
    max_parallel_jobs=1,
)
tuner.tune(wait=False)  # with wait=True the SDK looks every 5 s only
name = tuner.latest_tuning_job.hyper_parameter_tuning_job_name
trainer.train(wait=True, logs=False)
print("TRAINED", version(trainer._latest_training_job.training_job_name))
describe = sagemaker.describe_hyper_parameter_tuning_job
while describe(HyperParameterTuningJobName=name)["HyperParameterTuningJobStatus"] == "InProgress":
    time.sleep(0.2)
print("TUNED", version(tuner.best_training_job()))
