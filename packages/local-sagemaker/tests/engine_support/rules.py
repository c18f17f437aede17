"""Rule configurations, as a request for a training job has them."""

from __future__ import annotations

from engine_support.clients import BUCKET

IMAGE = "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest"

HOOK = {"S3OutputPath": f"s3://{BUCKET}/tensors"}


def rule(name, **members):
    return {"RuleConfigurationName": name, "RuleEvaluatorImage": IMAGE, **members}
