"""Models, endpoint configurations and endpoints: the operations."""

from __future__ import annotations

import json
import logging
import random
import shutil
import threading
import time
from collections.abc import Callable

from local_sagemaker import ACCOUNT, REGION, container
from local_sagemaker.cloudwatch import ENDPOINT_METRICS, CloudWatch
from local_sagemaker.hosting import (
    HostedVariant,
    HostingFailed,
    NoAnswer,
    Unreachable,
    model_address,
)
from local_sagemaker.limits import check_unique
from local_sagemaker.listing import page
from local_sagemaker.s3 import S3, split
from local_sagemaker.store import Store
from local_sagemaker.validation import ApiError, invalid

log = logging.getLogger(__name__)

MAX_BODY = 6_291_456  # bytes, InvokeEndpoint's limit
CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"
KINDS = {"Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}
# Where two spellings exist, both are AWS's.
NOT_FOUND = {"Model": "model", "EndpointConfig": "endpoint configuration", "Endpoint": "endpoint"}


class Endpoints:
    """All models, configurations and endpoints of one engine."""

    def __init__(self, store: Store, s3: S3, cloudwatch: CloudWatch, url: str) -> None:
        self.store, self.s3, self.cloudwatch, self.url = store, s3, cloudwatch, url
        self.folder = store.folder / "endpoints"
        # By endpoint and variant: those in service, and those on their way there.
        self.hosted: dict[str, dict[str, HostedVariant]] = {}
        self.deploying: dict[str, dict[str, HostedVariant]] = {}
        self.handlers = {
            "CreateModel": self.create_model,
            "CreateEndpointConfig": self.create_config,
            "CreateEndpoint": self.create_endpoint,
            "UpdateEndpoint": self.update_endpoint,
            "DescribeEndpoint": self.describe_endpoint,
            "DeleteEndpoint": self.delete_endpoint,
        }
        for kind in KINDS:
            self.handlers.setdefault(f"Describe{kind}", self._reader(kind))
            self.handlers.setdefault(f"Delete{kind}", self._deleter(kind))
            self.handlers[f"List{kind}s"] = self._lister(kind)

    def restore(self) -> None:
        """Serve again what was served when the engine ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for endpoint in self.store.all("endpoint"):
            if endpoint["EndpointStatus"] in {"InService", "Creating", "Updating"}:
                self._deploy(endpoint["EndpointName"], "Creating", endpoint["EndpointConfigName"])

    def close(self) -> None:
        for variants in [*self.hosted.values(), *self.deploying.values()]:
            for variant in variants.values():
                variant.close()

    # What all three kinds share

    def _get(self, kind: str, name: str) -> dict:
        found = self.store.get(KINDS[kind], name)
        if found is None:
            arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{KINDS[kind]}/{name}"
            raise invalid(f'Could not find {NOT_FOUND[kind]} "{arn}".')
        return found

    def _make(self, kind: str, request: dict, **members) -> dict:
        name, now = request[f"{kind}Name"], time.time()
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{KINDS[kind]}/{name}"
        times = {"CreationTime": now, "LastModifiedTime": now}
        with self.store.lock:
            if self.store.get(KINDS[kind], name):
                raise invalid(f'Cannot create already existing {NOT_FOUND[kind]} "{arn}".')
            self.store.put(KINDS[kind], name, {**request, f"{kind}Arn": arn, **times, **members})
        return {f"{kind}Arn": arn}

    def _reader(self, kind: str) -> Callable[[dict], dict]:
        return lambda request: self._get(kind, request[f"{kind}Name"])

    def _lister(self, kind: str) -> Callable[[dict], dict]:
        return lambda request: page(self.store.all(KINDS[kind]), request, kind)

    def _deleter(self, kind: str) -> Callable[[dict], dict]:
        def delete(request: dict) -> dict:
            name = self._get(kind, request[f"{kind}Name"])[f"{kind}Name"]
            self.store.remove(KINDS[kind], name)
            return {}

        return delete

    # Models and configurations

    def create_model(self, request: dict) -> dict:
        containers = request.get("Containers", [])
        primary = request.get("PrimaryContainer") or (containers[0] if containers else None)
        if primary is None or len(containers) > 1:
            raise invalid("local_sagemaker serves models of exactly one container")
        image = primary.get("Image", "")
        if not container.has_runtime(image):
            raise invalid(
                f"PrimaryContainer.Image '{image}' has no local runtime: local_sagemaker serves "
                "AWS's PyTorch images (.../pytorch-inference:TAG)"
            )
        address = model_address(primary)
        if address:
            self._check_object(address)
        return self._make("Model", request)

    def _check_object(self, address: str) -> None:
        try:
            bucket, key = split(address)
        except ValueError as error:
            raise invalid(str(error)) from None
        found = self.s3.backend.buckets.get(bucket)
        below = key.rstrip("/") + "/" if key else ""
        if found is None or not any(k == key or k.startswith(below) for k in list(found.keys)):
            raise invalid(f"Could not find model data at {address}.")

    def create_config(self, request: dict) -> dict:
        variants = request["ProductionVariants"]
        check_unique("ProductionVariants.VariantName", [v["VariantName"] for v in variants])
        for variant in variants:
            if "ModelName" not in variant:
                raise invalid(f"the variant '{variant['VariantName']}' names no model")
            self._get("Model", variant["ModelName"])
        return self._make("EndpointConfig", request)

    # Endpoints

    def create_endpoint(self, request: dict) -> dict:
        self._get("EndpointConfig", request["EndpointConfigName"])
        answer = self._make("Endpoint", request, EndpointStatus="Creating")
        self._deploy(request["EndpointName"], "Creating", request["EndpointConfigName"])
        return answer

    def update_endpoint(self, request: dict) -> dict:
        name = request["EndpointName"]
        endpoint = self._get("Endpoint", name)
        self._get("EndpointConfig", request["EndpointConfigName"])
        if endpoint["EndpointStatus"] not in {"InService", "Failed"}:
            raise invalid(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
        self._deploy(name, "Updating", request["EndpointConfigName"])
        return {"EndpointArn": endpoint["EndpointArn"]}

    def describe_endpoint(self, request: dict) -> dict:
        endpoint = self._get("Endpoint", request["EndpointName"])
        config = self.store.get("endpoint-config", endpoint["EndpointConfigName"])
        if config:
            endpoint["ProductionVariants"] = [_summary(v) for v in config["ProductionVariants"]]
        return endpoint

    def delete_endpoint(self, request: dict) -> dict:
        with self.store.lock:
            name = self._get("Endpoint", request["EndpointName"])["EndpointName"]
            self.store.remove("endpoint", name)
            gone = [*self.hosted.pop(name, {}).values(), *self.deploying.pop(name, {}).values()]
        for hosted in gone:
            hosted.close()
        return {}

    def _deploy(self, name: str, status: str, config: str) -> None:
        variants: dict[str, HostedVariant] = {}
        now = time.time()
        with self.store.lock:
            self.deploying[name] = variants
            self.store.update("endpoint", name, EndpointStatus=status, LastModifiedTime=now)
        thread = threading.Thread(target=self._run, args=(name, config, variants), daemon=True)
        thread.start()

    def _run(self, name: str, config: str, variants: dict[str, HostedVariant]) -> None:
        """Start the configuration's variants; put them in service when all of them answer."""
        reason = None
        try:
            for variant in self._get("EndpointConfig", config)["ProductionVariants"]:
                model = self._get("Model", variant["ModelName"])
                variants[variant["VariantName"]] = HostedVariant(self, name, variant, model)
            for hosted in variants.values():
                hosted.start()
        except (HostingFailed, ApiError) as error:
            reason = str(error)
        except Exception as error:
            log.exception("endpoint %s", name)
            reason = f"{type(error).__name__}: {error}"
        for hosted in self._settle(name, config, variants, reason):
            hosted.close()

    def _settle(
        self, name: str, config: str, variants: dict[str, HostedVariant], reason: str | None
    ) -> list[HostedVariant]:
        """Put started variants in service, or note why not; return those of no more use."""
        with self.store.lock:
            if self.deploying.get(name) is not variants:  # the endpoint was deleted meanwhile
                return list(variants.values())
            del self.deploying[name]
            if reason is None:
                former, self.hosted[name] = self.hosted.get(name, {}), variants
                self._note(name, "InService", None, EndpointConfigName=config)
                return list(former.values())
            # A failed update leaves the former configuration in service, as on SageMaker.
            self._note(name, "InService" if name in self.hosted else "Failed", reason)
            return list(variants.values())

    def _note(self, name: str, status: str, reason: str | None, **changes) -> None:
        changes |= {"EndpointStatus": status, "FailureReason": reason and reason[:1024]}
        self.store.update("endpoint", name, **changes, LastModifiedTime=time.time())

    def give_up(self, failed: HostedVariant, reason: str) -> None:
        """Fail the endpoint of a variant whose process cannot be kept running."""
        with self.store.lock:
            variants = self.hosted.get(failed.endpoint, {})
            if variants.get(failed.name) is not failed:  # replaced or deleted meanwhile
                return
            del self.hosted[failed.endpoint]
            self._note(failed.endpoint, "Failed", reason)
        for hosted in variants.values():
            hosted.close()

    # Invocations

    def invoke(self, name: str, environ: dict, start_response: Callable) -> list[bytes]:
        """Answer InvokeEndpoint (WSGI): bytes in, bytes out."""
        try:
            status, headers, body = self._invoke(name, environ)
        except ApiError as error:
            status, headers, body = _error_answer(error)
        headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return [body]

    def _invoke(self, name: str, environ: dict) -> tuple[str, list[tuple[str, str]], bytes]:
        endpoint = self.store.get("endpoint", name)
        if endpoint is None:
            raise ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        if endpoint["EndpointStatus"] not in {"InService", "Updating"}:
            status = endpoint["EndpointStatus"]
            raise ApiError("ValidationError", f"Endpoint {name} is {status}, not InService.")
        size = int(environ.get("CONTENT_LENGTH") or 0)
        if size > MAX_BODY:
            text = f"The request body has {size} bytes; InvokeEndpoint takes at most {MAX_BODY}."
            raise ApiError("ValidationError", text, status=413)
        variant = self._choose(name, environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT"))
        body = environ["wsgi.input"].read(size)
        begun = time.perf_counter()
        try:
            status, headers, answer = variant.request(
                "POST", "/invocations", body, _passed(environ)
            )
        except Unreachable as error:
            raise ApiError("ServiceUnavailable", str(error), status=503) from None
        except NoAnswer as error:
            status, headers, answer = 500, {}, str(error).encode()
        self._count(name, variant.name, status, time.perf_counter() - begun)
        if status >= 400:
            raise _model_error(variant, status, answer)
        out = [("Content-Type", headers.get("content-type", "application/octet-stream"))]
        out.append(("x-Amzn-Invoked-Production-Variant", variant.name))
        if CUSTOM.lower() in headers:
            out.append((CUSTOM, headers[CUSTOM.lower()]))
        return "200 OK", out, answer

    def _choose(self, name: str, wanted: str | None) -> HostedVariant:
        variants = self.hosted.get(name, {})
        if wanted is not None:
            if wanted not in variants:
                raise ApiError("ValidationError", f"Variant {wanted} not found.")
            return variants[wanted]
        weights = [variant.weight for variant in variants.values()]
        if not sum(weights):
            raise ApiError("ServiceUnavailable", f"{name} has no variant in service", status=503)
        return random.choices(list(variants.values()), weights)[0]

    def _count(self, endpoint: str, variant: str, status: int, seconds: float) -> None:
        dimensions = {"EndpointName": endpoint, "VariantName": variant}
        values = [
            ("Invocations", 1, "Count"),
            ("Invocation4XXErrors", int(400 <= status < 500), "Count"),
            ("Invocation5XXErrors", int(status >= 500), "Count"),
            ("ModelLatency", seconds * 1e6, "Microseconds"),
        ]
        self.cloudwatch.put_metrics(ENDPOINT_METRICS, dimensions, values, time.time())


def _summary(variant: dict) -> dict:
    count, weight = variant.get("InitialInstanceCount", 1), variant.get("InitialVariantWeight", 1.0)
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }


def _passed(environ: dict) -> dict[str, str]:
    headers = {
        "Content-Type": environ.get("CONTENT_TYPE") or "application/octet-stream",
        "Accept": environ.get("HTTP_ACCEPT"),
        CUSTOM: environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES"),
        "X-Amzn-SageMaker-Inference-Id": environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID"),
    }
    return {name: value for name, value in headers.items() if value is not None}


def _model_error(variant: HostedVariant, status: int, answer: bytes) -> ApiError:
    said = answer.decode("utf-8", "replace")
    side = "client" if status < 500 else "server"
    text = f'Received {side} error ({status}) from {variant.name} with message "{said}". '
    return ApiError(
        "ModelError",
        text + f"See the log stream {variant.stream} of {variant.group}.",
        status=424,
        OriginalStatusCode=status,
        OriginalMessage=said,
        LogStreamArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{variant.group}",
    )


def _error_answer(error: ApiError) -> tuple[str, list[tuple[str, str]], bytes]:
    members = {"message": error.message, "Message": error.message, **error.members}
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", error.code)]
    return f"{error.status} {error.code}", headers, json.dumps(members).encode()
