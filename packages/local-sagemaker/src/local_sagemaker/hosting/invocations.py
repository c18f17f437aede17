"""SageMaker Runtime: InvokeEndpoint."""

from __future__ import annotations

import json
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from local_sagemaker import ACCOUNT
from local_sagemaker.aws.cloudwatch import ENDPOINT_METRICS
from local_sagemaker.aws.services import Services
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.kinds import ENDPOINT, arn
from local_sagemaker.hosting import instance as hosting
from local_sagemaker.hosting.capture import Capture
from local_sagemaker.hosting.instance import Died, HostedInstance, TimedOut, Unreachable
from local_sagemaker.hosting.variants import Fleet, HostedVariant

log = logging.getLogger(__name__)

MAX_BODY = 6_291_456  # bytes, InvokeEndpoint's limit both ways
SERVERLESS_MAX_BODY = 4 * 1024 * 1024  # bytes, of a serverless variant
PREFIX = "X-Amzn-SageMaker-"
# What the PyTorch containers' handlers, or this machine, have no counterpart for.
REFUSED = {
    "Target-Model": "this is not a multi-model endpoint, leave TargetModel out",
    "Target-Container-Hostname": "the model has one container, leave TargetContainerHostname out",
    "Enable-Explanations": "the endpoint has no explainer, leave EnableExplanations out",
    "Session-Id": "the container has no stateful sessions, leave SessionId out",
    "Prefix-Aware-Id": "requests are not routed by prefixes, leave PrefixAwareId out",
}
NO_COMPONENTS = (
    "Inference Component Name header is not allowed for endpoints to which you dont plan to deploy "
    "inference components. Please remove the Inference Component Name header and try again."
)
# TorchServe's answer for a worker that ended over a request.
DIED = {"code": 500, "type": "InternalServerException", "message": "Worker died."}
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container {container}. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)

Answer = tuple[str, list[tuple[str, str]], bytes]  # status line, headers, body


@dataclass
class Result:
    """What a container made of one request; status 0 stands for a time limit, as on SageMaker."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "application/octet-stream")


class Invocations:
    """InvokeEndpoint on the endpoints of one engine."""

    def __init__(
        self, services: Services, fleet_of: Callable[[str], Fleet | None], capture: Capture
    ) -> None:
        """`fleet_of` gives the variants of an endpoint that is in service, or None."""
        self.services, self.fleet_of, self.capture = services, fleet_of, capture

    def invoke(self, name: str, way: str, environ: dict, start_response: Callable) -> list[bytes]:
        """Answer a request (WSGI) to ``/endpoints/<name>/<way>``: bytes in, bytes out."""
        try:
            status, headers, body = self._invoke(name, way, environ)
        except ApiError as error:
            status, headers, body = _error_answer(error)
        headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return [body]

    def _invoke(self, name: str, way: str, environ: dict) -> Answer:
        begun = time.perf_counter()
        if way != "invocations":
            text = f"local_sagemaker does not do {way}: the endpoint has no AsyncInferenceConfig"
            raise ApiError("ValidationError", text)
        endpoint = self._endpoint(name)
        _refuse_headers(environ)
        variant = self._choose(name, _header(environ, "Target-Variant"))
        size = int(environ.get("CONTENT_LENGTH") or 0)
        _check_size(size, variant)
        body, headers = environ["wsgi.input"].read(size), _passed(environ)
        instance, result = _ask(variant, body, headers)
        capture = endpoint["Deployment"]["DataCaptureConfig"] if endpoint["Deployment"] else None
        self._count(variant, result, time.perf_counter() - begun)
        if not 200 <= result.status < 300:
            raise _model_error(instance, result)
        if len(result.body) > MAX_BODY:
            raise _too_large(instance, result)
        taken = (headers["Content-Type"], body), (result.content_type, result.body)
        inference_id = _header(environ, "Inference-Id")
        self.capture.take(capture, name, variant.name, *taken, inference_id)
        return _answer(variant, result)

    def _endpoint(self, name: str) -> dict:
        endpoint = self.services.store.get(ENDPOINT.stored, name)
        if endpoint is None:
            raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        if self.fleet_of(name) is None:
            status = endpoint["EndpointStatus"]
            raise ApiError("ValidationError", f"Endpoint {name} is {status}, not InService.")
        return endpoint

    def _choose(self, name: str, wanted: str | None) -> HostedVariant:
        fleet = self.fleet_of(name) or {}
        if wanted is not None:
            if wanted not in fleet:
                raise ApiError("ValidationError", f"Variant {wanted} not found.")
            return fleet[wanted]
        weights = [variant.weight for variant in fleet.values()]
        if not sum(weights):
            text = f"no variant of {name} in service has a weight above 0"
            raise ApiError("ServiceUnavailable", text, status=503)
        return random.choices(list(fleet.values()), weights)[0]

    def _count(self, variant: HostedVariant, result: Result, seconds: float) -> None:
        """Record the metrics that SageMaker publishes for each invocation."""
        dimensions = {"EndpointName": variant.endpoint, "VariantName": variant.name}
        values = [
            ("Invocations", 1, "None"),
            ("InvocationsPerInstance", 1 / max(1, len(variant.instances)), "None"),
            ("Invocation4XXErrors", int(400 <= result.status < 500), "None"),
            ("Invocation5XXErrors", int(result.status >= 500), "None"),
            ("InvocationModelErrors", int(not 200 <= result.status < 300), "None"),
            ("ModelLatency", result.seconds * 1e6, "Microseconds"),
            ("OverheadLatency", (seconds - result.seconds) * 1e6, "Microseconds"),
        ]
        try:
            self.services.cloudwatch.put_metrics(ENDPOINT_METRICS, dimensions, values, time.time())
        except sqlite3.OperationalError:  # the model has answered: that is what was asked for
            log.warning("metrics of %s are lost", variant.endpoint, exc_info=True)


def _ask(
    variant: HostedVariant, body: bytes, headers: dict[str, str]
) -> tuple[HostedInstance, Result]:
    begun = time.perf_counter()
    try:
        instance = variant.pick()
        status, found, answer = instance.request(
            "POST", "/invocations", body, headers, hosting.INVOKE_LIMIT_S
        )
    except Unreachable as error:
        raise ApiError("ServiceUnavailable", str(error), status=503) from None
    except TimedOut:
        text = TIMED_OUT.format(container=_container(instance))
        status, found, answer = 0, {}, text.encode()
    except Died:
        status, found, answer = 500, {}, json.dumps(DIED, indent=2).encode()
    return instance, Result(status, found, answer, time.perf_counter() - begun)


def _check_size(size: int, variant: HostedVariant) -> None:
    if "ServerlessConfig" in variant.spec and size > SERVERLESS_MAX_BODY:
        raise ApiError("ValidationError", f"Request of {size} bytes has oversize body.")
    if size > MAX_BODY:
        raise _TooLong(f"HTTP content length exceeded {MAX_BODY} bytes.")


class _TooLong(ApiError):
    """SageMaker's own answer to a long body, which is text, so that clients find no code in it."""

    def __init__(self, message: str) -> None:
        super().__init__("413", message, status=413)


def _refuse_headers(environ: dict) -> None:
    if _header(environ, "Inference-Component"):
        raise ApiError("ValidationError", NO_COMPONENTS)
    for name, why in REFUSED.items():
        if _header(environ, name):
            raise ApiError("ValidationError", f"{PREFIX}{name}: {why}")


def _header(environ: dict, name: str) -> str | None:
    return environ.get(f"HTTP_{PREFIX}{name}".upper().replace("-", "_"))


def _passed(environ: dict) -> dict[str, str]:
    """The headers that the container sees."""
    headers = {
        "Content-Type": environ.get("CONTENT_TYPE") or "application/octet-stream",
        "Accept": environ.get("HTTP_ACCEPT"),
        f"{PREFIX}Custom-Attributes": _header(environ, "Custom-Attributes"),
        f"{PREFIX}Inference-Id": _header(environ, "Inference-Id"),
    }
    return {name: value for name, value in headers.items() if value is not None}


def _answer(variant: HostedVariant, result: Result) -> Answer:
    headers = [
        ("Content-Type", result.content_type),
        ("x-Amzn-Invoked-Production-Variant", variant.name),
    ]
    custom = f"{PREFIX}Custom-Attributes"
    if custom.lower() in result.headers:
        headers.append((custom, result.headers[custom.lower()]))
    return "200 OK", headers, result.body


def _container(instance: HostedInstance) -> str:
    return instance.container.get("ContainerHostname", "primary")


def _model_error(instance: HostedInstance, result: Result) -> ApiError:
    said = result.body.decode("utf-8", "replace")
    side = "client" if 400 <= result.status < 500 else "server"
    text = f"Received {side} error ({result.status}) from {_container(instance)} with message "
    return _from_model(instance, result.status, text + f'"{said}"', said)


def _too_large(instance: HostedInstance, result: Result) -> ApiError:
    text = (
        f"Received {len(result.body)} bytes from {_container(instance)} and could not load the "
        f"entire response body, InvokeEndpoint answers with at most {MAX_BODY}"
    )
    return _from_model(instance, result.status, text, "")


def _from_model(instance: HostedInstance, status: int, text: str, said: str) -> ApiError:
    return ApiError(
        "ModelError",
        f"{text}. See {instance.group} in account {ACCOUNT} for more information.",
        status=424,
        OriginalStatusCode=status,
        OriginalMessage=said,
        LogStreamArn=arn("logs", f"log-group:{instance.group}"),
    )


def _error_answer(error: ApiError) -> Answer:
    if isinstance(error, _TooLong):
        status = "413 Request Entity Too Large"
        return status, [("Content-Type", "text/plain")], error.message.encode()
    members = {"message": error.message, "Message": error.message, **error.members}
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", error.code)]
    return f"{error.status} {error.code}", headers, json.dumps(members).encode()
