"""The smallest training job: a line of shell in place of a training script.

local-sagemaker run -- python examples/first_job.py
"""

import boto3

s3, sagemaker, logs = (boto3.client(name) for name in ("s3", "sagemaker", "logs"))
s3.create_bucket(Bucket="my-bucket")
sagemaker.create_training_job(
    TrainingJobName="first-job",
    RoleArn="arn:aws:iam::123456789012:role/any-role",
    AlgorithmSpecification={
        "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6.0-cpu",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["sh", "-c", "echo loss=0.5; echo w > /opt/ml/model/weights"],
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
    },
    OutputDataConfig={"S3OutputPath": "s3://my-bucket/jobs"},
    ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
)
finished = sagemaker.get_waiter("training_job_completed_or_stopped")
finished.wait(TrainingJobName="first-job", WaiterConfig={"Delay": 1})

group = "/aws/sagemaker/TrainingJobs"
for event in logs.filter_log_events(logGroupName=group, logStreamNamePrefix="first-job/")["events"]:
    print(event["message"])
job = sagemaker.describe_training_job(TrainingJobName="first-job")
print(job["TrainingJobStatus"], job["FinalMetricDataList"][0]["Value"])
print(s3.list_objects_v2(Bucket="my-bucket")["Contents"][0]["Key"])
