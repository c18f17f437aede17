"""Clients of a real engine, and the smallest requests that do something.

Jobs whose container command is a line of shell take milliseconds, so nearly every contract is
tested against the real engine over HTTP.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from engine_support.answers import check_answer
from local_sagemaker import REGION, ROLE_ARN, daemon
from local_sagemaker.core import access_key
from local_sagemaker.core.access_key import AccessKey

ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
TRAINING_IMAGE = f"{ECR}/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
INFERENCE_IMAGE = f"{ECR}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
BUCKET = "work"
OWN_LINE = re.compile(r"local_sagemaker: \S+ asks for ")
ENDED = {"Completed", "Failed", "Stopped", "InService"}
_numbers = itertools.count(1)
_session = boto3.Session()  # reads the services' models once, which takes as long as many requests


def unique(prefix: str = "job") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


class Clients:
    """boto3 clients of one engine, and waiting."""

    def __init__(self, url: str, key: AccessKey) -> None:
        self.url, self.key = url, key
        for name in ("sagemaker", "s3", "logs", "cloudwatch", "iam", "sts"):
            setattr(self, name, self.client(name))
        self.runtime = self.client("sagemaker-runtime")

    def client(self, service: str, **config):
        client = _session.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.key.id,
            aws_secret_access_key=self.key.secret,
            config=Config(**{"retries": {"max_attempts": 0}, **config}),
        )
        if service == "sagemaker":  # every answer in every test is one that AWS could give
            client.meta.events.register("after-call.sagemaker", check_answer)
        return client

    def train(self, command: str, **members) -> str:
        """Start a job that runs a line of shell; return its name."""
        request = training_request(command, **members)
        self.sagemaker.create_training_job(**request)
        return request["TrainingJobName"]

    def trained(self, command: str, **members) -> dict:
        """Run a line of shell as a job to its end; return the job's description."""
        return self.job(self.train(command, **members))

    def job(self, name: str, limit: float = 60) -> dict:
        """The description of a training job once it has ended."""
        describe = self.sagemaker.describe_training_job
        return _poll(lambda: describe(TrainingJobName=name), "TrainingJobStatus", limit)

    def tuning_job(self, name: str, limit: float = 60) -> dict:
        """The description of a tuning job once it has ended."""
        describe = self.sagemaker.describe_hyper_parameter_tuning_job
        return _poll(
            lambda: describe(HyperParameterTuningJobName=name),
            "HyperParameterTuningJobStatus",
            limit,
        )

    def endpoint(self, name: str, limit: float = 60) -> dict:
        """The description of an endpoint once it is in service or has failed."""
        describe = self.sagemaker.describe_endpoint
        return _poll(lambda: describe(EndpointName=name), "EndpointStatus", limit)

    def log(self, name: str, group: str = "/aws/sagemaker/TrainingJobs") -> list[str]:
        """The log lines of a training job (or of all streams of an endpoint's group).

        Without the engine's own first line, which says what runs.
        """
        lines = self.whole_log(name, group)
        return [line for line in lines if not OWN_LINE.match(line)]

    def whole_log(self, name: str, group: str = "/aws/sagemaker/TrainingJobs") -> list[str]:
        prefix = {"logStreamNamePrefix": f"{name}/"} if name else {}
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group, **prefix)
        return [event["message"] for page in pages for event in page["events"]]

    def keys(self, prefix: str, bucket: str = BUCKET) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def training_request(command: str = "true", **members) -> dict:
    """A minimal CreateTrainingJob request that runs a line of shell.

    `metrics` (name -> regex) and `channels` (name -> S3 address) are short for what they become.
    """
    metrics, channels = members.pop("metrics", {}), members.pop("channels", {})
    request = {
        "TrainingJobName": unique(),
        "RoleArn": ROLE_ARN,
        "AlgorithmSpecification": {
            "TrainingImage": TRAINING_IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", command],
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **members,
    }
    if metrics:
        pairs = [{"Name": name, "Regex": regex} for name, regex in metrics.items()]
        request["AlgorithmSpecification"]["MetricDefinitions"] = pairs
    if channels:
        request["InputDataConfig"] = [channel(name, uri) for name, uri in channels.items()]
    return request


def toolkit_request(source: str, program: str = "train.py", **members) -> dict:
    """A request as SDK v2 and the v3 tuner send it: no command, but a program in an archive.

    Without Debugger, of which the toolkit imports all, and torch with it, to know its exceptions.
    """
    request = training_request(**members)
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    request["Environment"] = {"USE_SMDEBUG": "0", **members.get("Environment", {})}
    request["HyperParameters"] = {
        **members.get("HyperParameters", {}),
        "sagemaker_program": f'"{program}"',
        "sagemaker_submit_directory": f'"{source}"',
    }
    return request


def channel(name: str, uri: str) -> dict:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _poll(describe, member: str, limit: float) -> dict:
    deadline = time.monotonic() + limit
    while (found := describe())[member] not in ENDED:
        assert time.monotonic() < deadline, f"still {found[member]} after {limit} s"
        time.sleep(0.05)
    return found


def served(sagemaker) -> list[str]:
    """The operations of SageMaker's API that an engine does, by its own words."""
    with pytest.raises(ClientError) as caught:
        sagemaker.list_domains()
    return caught.value.response["Error"]["Message"].partition("it does: ")[2].split(", ")


@contextmanager
def running_engine(state: Path, **environment: str):
    """An engine of one's own on `state`: clients that know its `state` and its `process`."""
    life, held = os.pipe()
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        process = daemon.start(state, life=life)
    finally:
        os.close(life)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    clients = Clients(daemon.find(state).url, access_key.read(state))
    clients.process, clients.state = process, state.resolve()
    try:
        yield clients
    finally:
        os.close(held)
        process.wait(timeout=30)
