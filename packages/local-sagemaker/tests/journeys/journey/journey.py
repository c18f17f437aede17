"""Train, tune, deploy, invoke, delete: what any SDK v3 user writes, with nothing local in it."""

import json
import os
import tempfile
import time
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import ContinuousParameter, IntegerParameter
from sagemaker.core.training.configs import Channel, Compute, DataSource, S3DataSource, SourceCode
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

HERE = Path(__file__).parent
ROLE = os.environ["SAGEMAKER_ROLE"]
ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
TRAINING = f"{ECR}/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
session = Session()
bucket = session.default_bucket()
print("FOUND", session.account_id(), get_execution_role(), bucket)
abroad = boto3.client("sts", "eu-west-1", endpoint_url="https://sts.eu-west-1.amazonaws.com")
print("ABROAD", abroad.get_caller_identity()["Arn"])

s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
if bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket=bucket)
s3.put_object(Bucket=bucket, Key="data/points.csv", Body=b"1,3\n2,6\n3,9\n")

train = Channel(
    channel_name="train",
    data_source=DataSource(
        s3_data_source=S3DataSource(
            s3_data_type="S3Prefix",
            s3_uri=f"s3://{bucket}/data/",
            s3_data_distribution_type="FullyReplicated",
        )
    ),
)
trainer = ModelTrainer(
    training_image=TRAINING,
    source_code=SourceCode(source_dir=str(HERE), entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=30),
    hyperparameters={"lr": 0.1, "steps": 30},
    role=ROLE,
    sagemaker_session=session,
    base_job_name="journey",
)
trainer.train(input_data_config=[train], wait=True, logs=True)
job = trainer._latest_training_job
print("TRAINED", job.training_job_status, job.model_artifacts.s3_model_artifacts)

tuner = HyperparameterTuner(
    trainer,
    objective_metric_name="loss",
    objective_type="Minimize",
    hyperparameter_ranges={"lr": ContinuousParameter(0.001, 0.2), "steps": IntegerParameter(5, 50)},
    metric_definitions=[{"Name": "loss", "Regex": r"loss=([0-9.]+)"}],
    max_jobs=2,
    max_parallel_jobs=2,
)
tuner.tune(inputs=[train], wait=False)  # with wait=True the SDK looks every 5 s only
tuning = {"HyperParameterTuningJobName": tuner.latest_tuning_job.hyper_parameter_tuning_job_name}
describe = sagemaker.describe_hyper_parameter_tuning_job
while describe(**tuning)["HyperParameterTuningJobStatus"] == "InProgress":
    time.sleep(0.2)
print("BEST", tuner.best_training_job())

model = ModelBuilder(
    s3_model_data_url=job.model_artifacts.s3_model_artifacts,
    image_uri=f"{ECR}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
    source_code=SourceCode(source_dir=str(HERE), entry_script="inference.py"),
    role_arn=ROLE,
    sagemaker_session=session,
    instance_type="ml.m5.large",
    model_path=tempfile.mkdtemp(),  # the SDK's default is one folder for all users
)
model.build(model_name="journey")
# Not wait=True: the SDK looks only every 30 s.
endpoint = model.deploy(endpoint_name="journey", initial_instance_count=1, wait=False)
sagemaker.get_waiter("endpoint_in_service").wait(
    EndpointName="journey", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
)
answer = endpoint.invoke(
    body=bytes([1, 2, 200]), content_type="application/octet-stream", accept="application/json"
)
print("ANSWER", json.loads(answer.body.read()))

config = sagemaker.describe_endpoint(EndpointName="journey")["EndpointConfigName"]
endpoint.delete()
sagemaker.delete_endpoint_config(EndpointConfigName=config)
sagemaker.delete_model(ModelName="journey")
print("LEFT", sagemaker.list_endpoints()["Endpoints"], sagemaker.list_models()["Models"])
