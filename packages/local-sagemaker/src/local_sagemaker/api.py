"""The SageMaker API: AWS's JSON protocol in, a Python call, AWS's JSON protocol out."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable

from local_sagemaker.core import waiters
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.core.tags import check_tags
from local_sagemaker.core.validation import check, operation, shaped

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/x-amz-json-1.1"

Handler = Callable[[dict], dict]


class SageMakerApi:
    """Dispatches operations to handlers, with botocore's model checking both directions."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        """`handlers` maps an operation's name to a function from request to answer."""
        self.handlers = handlers

    def __call__(self, environ: dict, start_response: Callable) -> list[bytes]:
        """Answer one request (WSGI)."""
        waiters.note(environ.get("HTTP_USER_AGENT", ""))
        name = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("SageMaker.")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            answer, status = self.call(name, _parsed(body)), "200 OK"
        except ApiError as error:
            answer = {"__type": error.code, "message": error.message, **error.members}
            status = f"{error.status} {error.code}"
        except Exception as error:
            if is_disk_full(error):
                raise
            log.exception("%s failed", name)
            text = f"local_sagemaker failed on {name}: see the engine's log. This is a defect."
            answer = {"__type": "InternalFailure", "message": text}
            status = "500 InternalFailure"
        content = json.dumps(answer).encode()
        headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(content)))]
        headers.append(("x-amzn-RequestId", str(uuid.uuid4())))
        if status != "200 OK":
            headers.append(("x-amzn-ErrorType", answer["__type"]))
        start_response(status, headers)
        return [content]

    def call(self, name: str, request: dict) -> dict:
        """Run the operation `name`.

        Raises:
            ApiError: what AWS would answer to a request that is wrong.
        """
        model = operation(name)
        if model is None:
            raise ApiError("UnknownOperationException", f"SageMaker has no operation '{name}'")
        if name not in self.handlers:
            raise ApiError(
                "UnknownOperationException",
                f"local_sagemaker does not do {name}; it does: {', '.join(sorted(self.handlers))}",
            )
        check(request, model)
        request = {name: value for name, value in request.items() if value is not None}
        check_tags(request.get("Tags", []))
        return shaped(self.handlers[name](request) or {}, model)


def _parsed(body: bytes) -> dict:
    try:
        request = json.loads(body or b"{}", parse_constant=_no_number)
        json.dumps(request, ensure_ascii=False).encode()  # half a surrogate pair cannot be stored
    except (ValueError, RecursionError) as error:
        raise ApiError("SerializationException", f"The body is no JSON: {error}") from None
    if not isinstance(request, dict):
        raise ApiError("SerializationException", "The body must be a JSON object")
    return request


def _no_number(text: str):
    raise ValueError(f"{text} is no number of JSON")
