"""Endpoints of small models: store, deploy, invoke, and which of their processes run."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import processes_with
from engine_support.clients import BUCKET, INFERENCE_IMAGE, unique
from local_sagemaker import ROLE_ARN
from local_sagemaker.aws.services import Services

INFERENCE = """
import json, os, sys, threading
from sagemaker_inference.errors import BaseInferenceToolkitError

def model_fn(model_dir):
    return json.load(open(model_dir + "/model.json"))

def input_fn(body, content_type):
    if content_type == "application/x-bad":
        raise BaseInferenceToolkitError(415, "no such media type", "Unsupported")
    if content_type == "application/x-die":
        os._exit(3)
    return bytes(body), content_type

def predict_fn(data, model):
    body, content_type = data
    return {"name": model["name"], "size": len(body), "first": list(body[:3]), "type": content_type}

def output_fn(prediction, accept):
    if accept == "application/x-bytes":
        return bytes([0, 255, 128]), accept
    return json.dumps(prediction | {"accept": accept}), "application/json"
"""


def services_at(folder: Path) -> Services:
    """For instances that are made and not started: a store's folder, and nothing else."""
    return Services(SimpleNamespace(folder=folder), s3=None, cloudwatch=None, url="")


def store_archive(aws, files):
    """Store a tar.gz of `files` (name -> text or bytes); return its address."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for file, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(file)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    key = f"{unique('model')}/model.tar.gz"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    return f"s3://{BUCKET}/{key}"


def store_model(aws, code=INFERENCE, name="one"):
    """Store a model.tar.gz; return its address."""
    files = {"model.json": json.dumps({"name": name}), "code/inference.py": code}
    return store_archive(aws, files)


def make_model(aws, address, **primary):
    """A model of an archive; `primary` is added to its container definition."""
    name = unique("model")
    definition = {"Image": INFERENCE_IMAGE, **({"ModelDataUrl": address} if address else {})}
    aws.sagemaker.create_model(
        ModelName=name, PrimaryContainer=definition | primary, ExecutionRoleArn=ROLE_ARN
    )
    return name


def make_config(aws, variant=None, config=None, **models):
    """A configuration of one variant for each of `models` (variant -> model).

    `variant` is added to each variant, `config` to the request.
    """
    name = unique("config")
    variants = [
        {
            "VariantName": variant_name,
            "ModelName": model,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
            **(variant or {}),
        }
        for variant_name, model in models.items()
    ]
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=variants, **(config or {})
    )
    return name


def deploy_config(aws, config):
    """An endpoint of a configuration; its description when it serves or failed."""
    endpoint = unique("endpoint")
    aws.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    return aws.endpoint(endpoint)


def deploy_files(aws, files, **primary):
    """An endpoint of one variant whose archive holds `files`."""
    model = make_model(aws, store_archive(aws, files), **primary)
    return deploy_config(aws, make_config(aws, AllTraffic=model))


def deploy(aws, code=INFERENCE, name="one"):
    """An endpoint of one variant; its description when it serves or failed."""
    return deploy_config(
        aws, make_config(aws, AllTraffic=make_model(aws, store_model(aws, code, name)))
    )


def invoke(aws, endpoint, body=b"\x00\xff\x80", **members):
    return aws.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **members)


def error_of(aws, endpoint, *arguments, **members):
    with pytest.raises(ClientError) as caught:
        invoke(aws, endpoint, *arguments, **members)
    return caught.value.response


def serving(aws) -> dict[str, psutil.Process]:
    """The containers of this engine's endpoints that run: identifier -> supervisor."""
    folder = f"{aws.state}/endpoints/"
    running = [p for p in processes_with(folder) if "supervisor.py" in str(p.info["cmdline"])]
    words = [" ".join(process.info["cmdline"]) for process in running]
    return {
        w.partition(folder)[2].partition("/")[0]: p for w, p in zip(words, running, strict=True)
    }
