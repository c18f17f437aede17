"""S3 and CloudWatch without an account: moto's server, which answers over HTTP."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
from botocore.client import BaseClient

BUCKET, REGION, KEY = "work", "us-east-1", "local"
_numbers = itertools.count(1)


@dataclass
class Services:
    """Where the services answer, their clients, and the variables by which others find them."""

    url: str
    s3: BaseClient = field(init=False)
    cloudwatch: BaseClient = field(init=False)

    def __post_init__(self) -> None:
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY}
        for name in ("s3", "cloudwatch"):
            client = boto3.client(name, endpoint_url=self.url, region_name=REGION, **keys)
            setattr(self, name, client)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def running_services() -> Iterator[Services]:
    """Services of one's own, on a free port of this machine."""
    from moto.server import ThreadedMotoServer  # a second to import, and few tests need it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Services(f"http://{host}:{port}")
    finally:
        server.stop()


def unique(prefix: str = "job") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"
