"""What an HTTP request asks of AWS: service, operation and parameters, by AWS's own models.

moto routes and parses by botocore's data; nothing here knows an operation by name. What a record
must not hold never enters it: no header but those that are parameters, no body of an object.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.model import Shape
from botocore.parsers import create_parser
from botocore.session import Session
from botocore.utils import parse_timestamp
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.validation import check, service_model

# The services, as botocore names them, behind a name that requests are signed for.
SIGNED_AS = {
    "sagemaker": ("sagemaker", "sagemaker-runtime"),
    "monitoring": ("cloudwatch",),
    "servicequotas": ("service-quotas",),
}
SCOPE = re.compile(r"Credential=[^/]*/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
PATH_STYLE = "https://s3.amazonaws.com"  # with this host moto looks for buckets in the path only
FORM = "application/x-www-form-urlencoded"
SECRET = "(left out)"


@dataclass(frozen=True)
class Call:
    """One request, as it is recorded: a line of JSON.

    Attributes:
        service, operation: in botocore's spelling; ``?`` where no model has such an operation.
        host: whom the client asked, without a port.
        region: the one it is signed for; None in a request without a signature.
        params: by the operation's input shape; bodies (blobs) are numbers of bytes, times seconds.
        problems: what AWS's model has against it; empty if nothing.
        status: HTTP status of the answer; 0 where there was none.
        refused: why the proxy itself answered, if it did.
        more: whether the answer is a page that another one follows.
    """

    service: str
    operation: str
    host: str
    region: str | None = None
    params: dict = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    status: int = 0
    refused: str = ""
    more: bool = False


class Journal:
    """The record: a file of one line of JSON a request, written as the answers leave."""

    def __init__(self, file: Path) -> None:
        """Begin `file` anew."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._target = file.open("w")
        self._lock = threading.Lock()

    def write(self, call: Call) -> None:
        line = json.dumps(asdict(call), default=str)
        with self._lock:
            self._target.write(line + "\n")
            self._target.flush()


def is_rpc(headers: Mapping[str, str]) -> bool:
    """Whether the operation is named by a header or in the body, and not by method and path."""
    return "X-Amz-Target" in headers or headers.get("Content-Type", "").startswith(FORM)


def body_member(call: Call) -> str | None:
    """The parameter that is the request's whole body as it is, if the operation has one."""
    model = _operation(call)
    shape = model.input_shape if model else None
    name = shape.serialization.get("payload") if shape else None
    return name if name and shape.members[name].type_name == "blob" else None


def recognise(
    host: str, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> Call:
    """The request's service, operation and parameters, and what the model has against them.

    Args:
        host: whom the client asked; only recorded.
        target: path and query as sent, S3 buckets in the path.
        body: all of it if `is_rpc`; else it may be left out where `body_member` is not None.
    """
    scope = SCOPE.search(headers.get("Authorization", ""))
    signed_for = scope["service"] if scope else "s3"  # others are not asked without a signature
    region = scope["region"] if scope else None
    sent = {name: value for name, value in headers.items() if name.lower() != "host"}
    request = Request.from_primitives(method, PATH_STYLE + target, sent, body)
    services = SIGNED_AS.get(signed_for, (signed_for,))
    for service in services:
        try:
            operation, in_path = get_service_router(service).match(request)
        except (NotFound, NotImplementedError, UnknownServiceError):
            continue
        call = Call(service, operation.name, host, region)
        return _with_params(call, request, in_path, body)
    path = urlsplit(target).path
    problem = f"no operation of {' or '.join(services)} is {method} {path}"
    return Call(services[0], "?", host, region, problems=[problem])


def with_length(call: Call, length: int) -> Call:
    """`call` with the length in bytes of its body, checked anew."""
    name = body_member(call)
    return _checked(replace(call, params={**call.params, name: length})) if name else call


def pages(call: Call) -> dict | None:
    """How botocore follows the pages of the operation's answers; None if it has no pages."""
    if call.operation == "?":
        return None
    try:
        return _session().get_paginator_model(call.service).get_paginator(call.operation)
    except (DataNotFoundError, ValueError):
        return None


def has_more(call: Call, status: int, headers: Mapping[str, str], content: bytes) -> bool:
    """Whether the answer `content` is a page that another one follows."""
    found = pages(call)
    if found is None or status >= 300:
        return False
    model = service_model(call.service)
    parser = create_parser(model.resolved_protocol)
    answer = {"body": content, "headers": HeadersDict(headers), "status_code": status}
    parsed = parser.parse(answer, model.operation_model(call.operation).output_shape)
    tokens = found.get("more_results") or found["output_token"]
    return any(parsed.get(token) for token in _listed(tokens))


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@cache
def _session() -> Session:
    return Session()


def _with_params(call: Call, request: Request, in_path: dict, body: bytes) -> Call:
    try:
        params = _parsed(call, request, in_path, body)
    except Exception as error:  # whatever a parser trips over, the request is wrong
        text = f"the request cannot be read as {call.operation}: {type(error).__name__}: {error}"
        return replace(call, problems=[text])
    return _checked(replace(call, params=params))


def _parsed(call: Call, request: Request, in_path: dict, body: bytes) -> dict:
    model = get_service_model(call.service)
    protocol = determine_request_protocol(model, request.content_type)
    if protocol == "json":  # the parser would drop what is no member; the check must see it
        return json.loads(body or b"{}")
    parser = PROTOCOL_PARSERS[protocol](
        model.operation_model(call.operation),
        timestamp_parser=lambda text: parse_timestamp(text).timestamp(),
        blob_parser=lambda text: len(base64.b64decode(text)),
    )
    whole = body_member(call)
    asked = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": body,
        "url_path": request.path,
        "url_params": in_path,
    }
    found = {name: value for name, value in parser.parse(asked).items() if value not in (None, {})}
    found.pop("ContentLength", None)  # of the transport; an object's length is its body's
    return {**found, whole: len(body)} if whole else found


def _checked(call: Call) -> Call:
    model = _operation(call)
    try:
        check(call.params, model)
        problems = []
    except ApiError as error:
        problems = [error.message]
    params = _public(call.params, model.input_shape) if model.input_shape else call.params
    return replace(call, params=params, problems=problems)


def _public(value, shape: Shape):
    """`value` without what the model marks as sensitive."""
    if shape.metadata.get("sensitive") and not isinstance(value, int):
        return SECRET
    if shape.type_name == "structure" and isinstance(value, dict):
        return {n: _public(v, shape.members[n]) for n, v in value.items() if n in shape.members}
    if shape.type_name == "list" and isinstance(value, list):
        return [_public(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: _public(item, shape.value) for name, item in value.items()}
    return value


def _operation(call: Call):
    if call.operation == "?":
        return None
    return service_model(call.service).operation_model(call.operation)
