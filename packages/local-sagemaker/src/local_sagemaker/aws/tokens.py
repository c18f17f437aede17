"""Pagination tokens of moto's services: one that was not given out is refused, as AWS does.

moto takes a forged token for a number, ignores it, or fails on it. So those that it gives out are
remembered, each with its operation, and others are not let through. A restart forgets them.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections import OrderedDict
from urllib.parse import parse_qs
from xml.sax.saxutils import unescape

from botocore.parsers import BaseCBORParser, ResponseParserError

from local_sagemaker.core.errors import ApiError

MOST = 10_000  # tokens that are remembered; the oldest are forgotten first
MEMBERS = ("nextToken", "NextToken", "Marker", "continuation-token")
OWN_CHECK = {"GetLogEvents"}  # whose tokens are positions, which moto checks
XML = re.compile(rb"<(?:NextContinuationToken|NextToken|Marker)>([^<]+)</")
REFUSALS = {
    "s3": ("InvalidArgument", "The continuation token provided is incorrect"),
    "logs": ("InvalidParameterException", "The specified nextToken is invalid."),
    "monitoring": ("InvalidNextToken", "The specified NextToken is invalid."),
}
INVALID_MARKER = ("ValidationError", "Invalid Marker.")  # IAM's


class Tokens:
    """The tokens that one engine has given out."""

    def __init__(self) -> None:
        self._given: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def refused(self, service: str, operation: str, environ: dict, body: bytes) -> ApiError | None:
        """Why a request is refused: its token was not given out by this operation."""
        token = _sent(service, environ, body)
        if not token or operation in OWN_CHECK:
            return None
        with self._lock:
            if (service, operation, token) in self._given:
                return None
        return ApiError(*REFUSALS.get(service, INVALID_MARKER))

    def note(self, service: str, operation: str, environ: dict, answer: bytes) -> None:
        """Remember the token in an answer, if there is one."""
        if (token := _given(service, environ, answer)) is None:
            return
        with self._lock:
            self._given[service, operation, token] = None
            self._given.move_to_end((service, operation, token))
            if len(self._given) > MOST:
                self._given.popitem(last=False)


def _sent(service: str, environ: dict, body: bytes) -> str | None:
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    if service == "s3":
        return query.get("continuation-token", [None])[0]
    if "HTTP_X_AMZ_TARGET" in environ:
        return _member(_json(body))
    if _is_cbor(environ):
        return _member(_cbor(body))
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return _member({name: values[0] for name, values in {**query, **form}.items()})


def _given(service: str, environ: dict, answer: bytes) -> str | None:
    if service != "s3" and "HTTP_X_AMZ_TARGET" in environ:
        return _member(_json(answer)) if b"extToken" in answer else None
    if _is_cbor(environ):
        return _member(_cbor(answer)) if b"NextToken" in answer else None
    match = XML.search(answer)
    return unescape(match[1].decode()) if match else None


def _member(found: object) -> str | None:
    """The token among a request's or an answer's members; what is no text is none of ours."""
    values = [found[name] for name in MEMBERS if name in found] if isinstance(found, dict) else []
    return None if not values or values[0] is None else str(values[0])


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:  # moto refuses it
        return None


def _is_cbor(environ: dict) -> bool:
    return environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor"


def _cbor(content: bytes) -> object:
    try:
        return BaseCBORParser().parse_data_item(io.BufferedReader(io.BytesIO(content)))
    except (ResponseParserError, ValueError, TypeError, OverflowError, RecursionError):
        return None
