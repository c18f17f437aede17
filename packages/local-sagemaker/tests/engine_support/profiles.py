"""Profiled jobs, and what was sampled of them."""

from __future__ import annotations

import json

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET

PLACE = f"s3://{BUCKET}/profiles"

FOREVER = "while :; do sleep 0.05; done"


def profiled(interval=None, **members):
    asked = {"ProfilingIntervalInMilliseconds": interval} if interval else {}
    return {"ProfilerConfig": {"S3OutputPath": PLACE, **asked, **members}}


def files(aws, name, part="system"):
    return aws.keys(f"profiles/{name}/profiler-output/{part}/")


def lines(aws, key):
    body = aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
    return [json.loads(line) for line in body.splitlines()]


def samples(aws, name, node="algo-1"):
    found = [key for key in files(aws, name) if key.endswith(f".{node}.json")]
    return [line for key in found for line in lines(aws, key)]


def until_sampled(aws, name, least=2):
    """Wait until so many moments of a running job were sampled, and are on S3."""

    def moments():
        return {line["Timestamp"] for line in samples(aws, name)}

    wait_until(lambda: len(moments()) >= least)
