"""What jobs, tuning jobs and endpoints need of the engine that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

from local_sagemaker.aws.cloudwatch import CloudWatch
from local_sagemaker.aws.s3.service import S3
from local_sagemaker.core.store import Store


@dataclass(frozen=True)
class Services:
    """The services of one engine; `url` is where its containers reach it."""

    store: Store
    s3: S3
    cloudwatch: CloudWatch
    url: str
