"""Data capture: requests and answers of an endpoint as JSON lines in S3, in AWS's format.

Lines lie at ``<DestinationS3Uri>/<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>/<mm-ss-ms>-<id>.jsonl``
and are written every few seconds, as on SageMaker apart from the answer to the request.
"""

from __future__ import annotations

import base64
import datetime
import json
import logging
import random
import tempfile
import threading
import uuid
from pathlib import Path

from local_sagemaker.aws.s3.service import S3, split
from local_sagemaker.core.errors import invalid

log = logging.getLogger(__name__)
FLUSH_S = 2  # AWS writes after minutes; nobody should wait longer here
# What is kept as text unless the configuration says more.
CSV, JSON = "text/csv", "application/json"


class Capture:
    """Collects lines by their place in S3 and writes each place's as one object."""

    def __init__(self, s3: S3) -> None:
        self.s3 = s3
        self._lines: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def take(
        self,
        config: dict | None,
        endpoint: str,
        variant: str,
        request: tuple[str, bytes],
        answer: tuple[str, bytes],
        inference_id: str | None,
    ) -> None:
        """Capture one invocation (content types and bodies), if `config` and its dice say so."""
        if not config or not config.get("EnableCapture"):
            return
        if random.uniform(0, 100) >= config["InitialSamplingPercentage"]:
            return
        now = datetime.datetime.now(datetime.UTC)
        line = json.dumps(_line(config, now, request, answer, inference_id))
        place = f"{config['DestinationS3Uri'].rstrip('/')}/{endpoint}/{variant}/{now:%Y/%m/%d/%H}"
        with self._lock:
            if not self._lines:
                timer = threading.Timer(FLUSH_S, self.flush)
                timer.daemon = True
                timer.start()
            self._lines.setdefault(place, []).append(line)

    def flush(self) -> None:
        """Write what has been collected."""
        with self._lock:
            collected, self._lines = self._lines, {}
        for place, lines in collected.items():
            now = datetime.datetime.now(datetime.UTC)
            name = f"{now:%M-%S}-{now.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / name
                file.write_text("\n".join(lines) + "\n")
                try:
                    self.s3.put_file(f"{place}/{name}", file)
                except Exception:  # the bucket is gone, say: the endpoint serves on, as on AWS
                    log.exception("captured data could not be written to %s", place)


def check(config: dict | None) -> None:
    """Refuse a DataCaptureConfig whose destination is no S3 address.

    Raises:
        ApiError: ValidationException.
    """
    if not config:
        return
    try:
        split(config["DestinationS3Uri"])
    except ValueError as error:
        raise invalid(str(error)) from None


def summary(config: dict | None, serves: bool) -> dict | None:
    """A DataCaptureConfigSummary; `serves` says whether anything is in service."""
    if not config:
        return None
    enabled = config.get("EnableCapture", False)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled and serves else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


def _line(
    config: dict,
    now: datetime.datetime,
    request: tuple[str, bytes],
    answer: tuple[str, bytes],
    inference_id: str | None,
) -> dict:
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    data = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _captured("INPUT", *request, config)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _captured("OUTPUT", *answer, config)
    event = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    if inference_id:
        event["inferenceId"] = inference_id
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def _captured(mode: str, content_type: str, body: bytes, config: dict) -> dict:
    """One side of an invocation: text of the configured content types, BASE64 of all else."""
    header = config.get("CaptureContentTypeHeader", {})
    found = {"observedContentType": content_type, "mode": mode}
    for encoding, types in (
        ("CSV", header.get("CsvContentTypes", [CSV])),
        ("JSON", header.get("JsonContentTypes", [JSON])),
    ):
        if content_type.partition(";")[0] in types:
            try:
                return found | {"data": body.decode(), "encoding": encoding}
            except UnicodeDecodeError:
                break
    return found | {"data": base64.b64encode(body).decode(), "encoding": "BASE64"}
