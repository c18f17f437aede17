"""Whose requests are served: what is checked before anything is read of the state, or changed.

In this order: the name by which the server is asked, so that no foreign name can be made to lead
here; no page of another origin; a signature, except where none is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from local_sagemaker.browsers import foreign_origin
from local_sagemaker.validation import ApiError

HEALTH = "/-/health"
KEYLESS = {HEALTH}  # paths that need no signature: who starts or finds an engine asks there
LOOPBACK = {"127.0.0.1", "localhost"}
SCOPE = re.compile(r"Credential=[^/]*/\d+/[^/]+/([^/]+)/aws4_request")
# What AWS calls its refusals, by the protocol of the request.
DENIED = {"s3": "AccessDenied", "query": "AccessDenied", "json": "AccessDeniedException"}
UNSIGNED = {
    "s3": "AccessDenied",
    "query": "MissingAuthenticationToken",
    "json": "MissingAuthenticationTokenException",
}


def service(environ: Mapping[str, str]) -> str:
    """The service that a request is signed for, or that it would be for by its form."""
    if scope := SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")):
        return scope[1]
    if "HTTP_X_AMZ_TARGET" in environ or environ["PATH_INFO"].startswith("/endpoints/"):
        return "sagemaker"
    is_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return "sts" if is_form else "s3"


def protocol(environ: Mapping[str, str]) -> str:
    """Of the three families of protocols the one in which a request is to be refused."""
    name = service(environ)
    if name == "s3":
        return "s3"
    is_form = "urlencoded" in environ.get("CONTENT_TYPE", "")
    return "query" if is_form or name in {"iam", "sts"} else "json"


def refused(environ: Mapping[str, str]) -> ApiError | None:
    """Why a request is not served; its head is all that is looked at."""
    host = environ.get("HTTP_HOST", "")
    if not _is_loopback(host):
        text = f"local_sagemaker serves 127.0.0.1 and localhost only, not '{host}'"
        return ApiError(DENIED[protocol(environ)], text, 403)
    if sign := foreign_origin(environ):
        text = f"local_sagemaker serves no web page of another origin ({sign})"
        return ApiError(DENIED[protocol(environ)], text, 403)
    if environ["PATH_INFO"] in KEYLESS or _is_signed(environ):
        return None
    text = "The request is not signed: any access key and secret will do, such as 'local'"
    return ApiError(UNSIGNED[protocol(environ)], text, 403)


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK or host.rpartition(":")[0] in LOOPBACK


def _is_signed(environ: Mapping[str, str]) -> bool:
    query = environ.get("QUERY_STRING", "")
    presigned = "X-Amz-Credential=" in query or "AWSAccessKeyId=" in query
    return presigned or "Credential=" in environ.get("HTTP_AUTHORIZATION", "")
