"""Data capture: what an endpoint was asked and answered, as AWS's JSON lines in S3."""

import base64
import json
import re

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, unique
from engine_support.endpoints import (
    INFERENCE,
    deploy_config,
    invoke,
    make_config,
    make_model,
    store_model,
)
from local_sagemaker.hosting import capture

CONFIG = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": f"s3://{BUCKET}/captured/",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv", "x/csv"]},
}


def test_an_endpoint_with_capture_writes_json_lines(aws):
    model = make_model(aws, store_model(aws, INFERENCE))
    prefix = unique("captured")
    config = CONFIG | {"DestinationS3Uri": f"s3://{BUCKET}/{prefix}"}
    endpoint = deploy_config(aws, make_config(aws, config={"DataCaptureConfig": config}, a=model))
    name = endpoint["EndpointName"]
    assert endpoint["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/{prefix}",
        "KmsKeyId": "",
    }
    invoke(aws, name, b"\x00\xff", ContentType="image/jpeg", InferenceId="mine")
    said = invoke(aws, name, b"1,2", ContentType="x/csv")["Body"].read().decode()
    (key,) = wait_until(lambda: aws.keys(prefix), 20)
    assert re.fullmatch(rf"{prefix}/{name}/a/\d{{4}}/\d\d/\d\d/\d\d/[0-9a-f-]+\.jsonl", key)
    body = aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
    first, second = map(json.loads, body.splitlines())
    assert first["captureData"]["endpointInput"] == {
        "observedContentType": "image/jpeg",
        "mode": "INPUT",
        "data": base64.b64encode(b"\x00\xff").decode(),
        "encoding": "BASE64",
    }
    assert first["eventMetadata"]["inferenceId"] == "mine"
    assert first["eventVersion"] == "0"
    assert second["captureData"]["endpointInput"]["data"] == "1,2"
    assert second["captureData"]["endpointInput"]["encoding"] == "CSV"
    assert second["captureData"]["endpointOutput"] == {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": said,
        "encoding": "JSON",
    }
    assert "inferenceId" not in second["eventMetadata"]
    aws.sagemaker.delete_endpoint(EndpointName=name)


class Written:
    """Remembers what would go to S3."""

    def __init__(self):
        self.lines = []

    def put_file(self, uri, file):
        self.lines += [json.loads(line) for line in file.read_text().splitlines()]


def taken(config):
    """What is written of one invocation, CSV in and broken CSV out."""
    written = Written()
    kept = capture.Capture(written)
    kept.take(config, "e", "v", ("text/csv; charset=utf-8", b"1"), ("text/csv", b"\xff"), None)
    kept.flush()
    kept.flush()  # nothing is written twice
    return [line["captureData"] for line in written.lines]


def test_only_what_is_asked_for_is_captured():
    assert taken(None) == []
    assert taken(CONFIG | {"EnableCapture": False}) == []
    assert taken(CONFIG | {"InitialSamplingPercentage": 0}) == []
    (line,) = taken(CONFIG | {"CaptureOptions": [{"CaptureMode": "Input"}]})
    assert set(line) == {"endpointInput"}
    (line,) = taken(CONFIG | {"CaptureOptions": [{"CaptureMode": "Output"}]})
    assert set(line) == {"endpointOutput"}


def test_what_is_no_text_is_base64_whatever_its_type_says():
    (line,) = taken(CONFIG)
    assert line["endpointInput"]["encoding"] == "CSV"
    assert line["endpointOutput"]["encoding"] == "BASE64"
    assert base64.b64decode(line["endpointOutput"]["data"]) == b"\xff"
