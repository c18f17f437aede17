"""What a state folder holds: ``status``, ``clean``."""

from __future__ import annotations

import argparse
from pathlib import Path

from local_sagemaker import daemon
from local_sagemaker.core import access_key, state_folder


def status(options: argparse.Namespace) -> int:
    running = daemon.find(options.state)
    if running is None:
        print(f"no engine runs on {options.state}")
        used = state_folder.usage(options.state)
        if any(used.values()):
            print(f"  disk          {_megabytes(used)}")
        return 1
    sagemaker = _client(running, "sagemaker")
    newest = {"MaxResults": 100, "SortOrder": "Descending"}
    jobs = sagemaker.list_training_jobs(**newest)["TrainingJobSummaries"]
    endpoints = sagemaker.list_endpoints(**newest)["Endpoints"]
    used = state_folder.usage(options.state)
    print(f"{running.url}  process {running.pid}  state {options.state}")
    print(f"  disk          {_megabytes(used)}")
    for job in jobs:
        print(f"  training job  {job['TrainingJobStatus']:<12}{job['TrainingJobName']}")
    for endpoint in endpoints:
        print(f"  endpoint      {endpoint['EndpointStatus']:<12}{endpoint['EndpointName']}")
    return 0


def clean(options: argparse.Namespace) -> int:
    state = options.state
    if options.all:
        freed, foreign = state_folder.remove(state)
        if foreign:
            print(f"left in {state}, as no engine made them: {', '.join(foreign)}")
    else:
        freed = state_folder.clean(state)
        if running := daemon.find(state):
            print(f"an engine runs on {running.state}: stop it to free more than its old log")
    print(f"freed: {_megabytes(freed)}")
    return 0


def _client(running: daemon.Running, service: str):
    import boto3
    from botocore.config import Config

    from local_sagemaker import REGION

    key = access_key.read(Path(running.state))
    return boto3.client(
        service,
        endpoint_url=running.url,
        region_name=REGION,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(proxies={"http": ""}),  # an empty mapping would mean the environment's
    )


def _megabytes(sizes: dict[str, int]) -> str:
    parts = [f"{part} {size / 1e6:.1f} MB" for part, size in sizes.items() if size]
    return ", ".join([*parts, f"in all {sum(sizes.values()) / 1e6:.1f} MB"])
