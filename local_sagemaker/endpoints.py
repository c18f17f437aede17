"""Models, endpoint configurations and endpoints: the operations."""

from __future__ import annotations

import logging
import random
import shutil
import threading
import time
from collections.abc import Callable

from local_sagemaker import ACCOUNT, REGION, container
from local_sagemaker.cloudwatch import ENDPOINT_METRICS, CloudWatch
from local_sagemaker.hosting import HostedVariant, HostingFailed, Unreachable
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
        self.hosted: dict[str, dict[str, HostedVariant]] = {}
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
                self._deploy(endpoint["EndpointName"], "Creating")

    def close(self) -> None:
        for variants in list(self.hosted.values()):
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
        if self.store.get(KINDS[kind], name):
            raise invalid(f'Cannot create already existing {NOT_FOUND[kind]} "{arn}".')
        times = {"CreationTime": now, "LastModifiedTime": now}
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
        if found is None or not any(name.startswith(key) for name in list(found.keys)):
            raise invalid(f"Could not find model data at {address}.")

    def create_config(self, request: dict) -> dict:
        for variant in request["ProductionVariants"]:
            if "ModelName" not in variant:
                raise invalid(f"the variant '{variant['VariantName']}' names no model")
            self._get("Model", variant["ModelName"])
        return self._make("EndpointConfig", request)

    # Endpoints

    def create_endpoint(self, request: dict) -> dict:
        self._get("EndpointConfig", request["EndpointConfigName"])
        answer = self._make("Endpoint", request, EndpointStatus="Creating")
        self._deploy(request["EndpointName"], "Creating")
        return answer

    def update_endpoint(self, request: dict) -> dict:
        name = request["EndpointName"]
        endpoint = self._get("Endpoint", name)
        self._get("EndpointConfig", request["EndpointConfigName"])
        if endpoint["EndpointStatus"] not in {"InService", "Failed"}:
            status = endpoint["EndpointStatus"]
            raise invalid(f'Cannot update in-progress endpoint "{name}" (status {status}).')
        self._deploy(name, "Updating", request["EndpointConfigName"])
        return {"EndpointArn": endpoint["EndpointArn"]}

    def describe_endpoint(self, request: dict) -> dict:
        endpoint = self._get("Endpoint", request["EndpointName"])
        config = self.store.get("endpoint-config", endpoint["EndpointConfigName"])
        if config:
            endpoint["ProductionVariants"] = [_summary(v) for v in config["ProductionVariants"]]
        return endpoint

    def delete_endpoint(self, request: dict) -> dict:
        name = self._get("Endpoint", request["EndpointName"])["EndpointName"]
        self.store.remove("endpoint", name)
        for variant in self.hosted.pop(name, {}).values():
            variant.close()
        return {}

    def _deploy(self, name: str, status: str, config: str | None = None) -> None:
        config = config or self.store.get("endpoint", name)["EndpointConfigName"]
        self.store.update("endpoint", name, EndpointStatus=status, LastModifiedTime=time.time())
        thread = threading.Thread(target=self._deploy_now, args=(name, config), daemon=True)
        thread.start()

    def _deploy_now(self, name: str, config_name: str) -> None:
        """Start the configuration's variants; put them in service when all of them answer."""
        variants: dict[str, HostedVariant] = {}
        changes: dict = {"EndpointStatus": "InService", "EndpointConfigName": config_name}
        try:
            for variant in self._get("EndpointConfig", config_name)["ProductionVariants"]:
                model = self._get("Model", variant["ModelName"])
                variants[variant["VariantName"]] = HostedVariant(self, name, variant, model)
            for hosted in variants.values():
                hosted.start()
        except (HostingFailed, ApiError) as error:
            changes = self._failed(name, variants, str(error))
        except Exception as error:
            log.exception("endpoint %s", name)
            changes = self._failed(name, variants, f"{type(error).__name__}: {error}")
        replaced = {}
        if changes["EndpointStatus"] == "InService" and variants:
            replaced = self.hosted.get(name, {})
            self.hosted[name] = variants
        try:
            self.store.update("endpoint", name, **changes, LastModifiedTime=time.time())
        except KeyError:  # deleted meanwhile
            replaced = self.hosted.pop(name, {}) | variants
        for hosted in replaced.values():
            hosted.close()

    def _failed(self, name: str, variants: dict[str, HostedVariant], reason: str) -> dict:
        for hosted in variants.values():
            hosted.close()
        # A failed update leaves the former configuration in service, as on SageMaker.
        status = "InService" if name in self.hosted else "Failed"
        variants.clear()
        return {"EndpointStatus": status, "FailureReason": reason[:1024]}

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
        values = {
            "Invocations": (1, "Count"),
            "Invocation4XXErrors": (int(400 <= status < 500), "Count"),
            "Invocation5XXErrors": (int(status >= 500), "Count"),
            "ModelLatency": (seconds * 1e6, "Microseconds"),
        }
        for metric, (value, unit) in values.items():
            self.cloudwatch.put_metric(
                ENDPOINT_METRICS, metric, dimensions, value, time.time(), unit
            )


def model_address(primary: dict) -> str | None:
    """Where a container definition's model data lies: a ``tar.gz``, or a prefix of files."""
    source = primary.get("ModelDataSource", {}).get("S3DataSource", {})
    return primary.get("ModelDataUrl") or source.get("S3Uri")


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
    import json

    members = {"message": error.message, "Message": error.message, **error.members}
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", error.code)]
    return f"{error.status} {error.code}", headers, json.dumps(members).encode()
