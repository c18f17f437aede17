"""A proxy on 127.0.0.1 that records every request and hands it to an engine.

Two ways in. As the address of all services (``AWS_ENDPOINT_URL``) it records what a client asks of
the engine. As the proxy of a client that believes it is on AWS (``HTTPS_PROXY``) it answers for
AWS's own hosts, with TLS, under a certificate authority of its own; every other host is refused,
and the refusal recorded. Bodies pass through in pieces, so their size does not matter.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from local_sagemaker.client.proxy import Handler, Proxy
from local_sagemaker.client.recording import (
    Call,
    Journal,
    body_member,
    has_more,
    is_rpc,
    pages,
    recognise,
    with_length,
)
from local_sagemaker.core.errors import error_xml

AWS = re.compile(r"[a-z0-9.-]+\.amazonaws\.com")
# S3's addresses: https://BUCKET.s3.REGION.amazonaws.com/KEY, also without bucket or region.
S3 = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z]{2}-[a-z-]+-\d)?\.amazonaws\.com")
LOOPBACK = {"127.0.0.1", "localhost"}
TRUSTED = "AWS_CA_BUNDLE and its like"
MOST_READ = 64 * 1024 * 1024  # bytes of a body that is read whole: all but objects are small


class RecordingProxy(Proxy):
    """Records what it hands on, until it is closed."""

    def __init__(self, engine: str, record: Path, deny: Collection[str] = ()) -> None:
        """Listen on a free port of 127.0.0.1.

        Args:
            engine: address of the engine, ``http://127.0.0.1:PORT``.
            record: file that gets a line of JSON for each request.
            deny: operations as ``iam:GetRole`` that are answered with AccessDenied, as AWS does
                where a caller's policy does not allow them.
        """
        self.journal, self.deny = Journal(record), frozenset(deny)
        super().__init__(engine, _Handler)

    def handle_error(self, request, client_address) -> None:
        """Tell of a defect; a client that goes away is none, and the record shows status 0."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(Handler):
    server: RecordingProxy

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0].lower()
        if not AWS.fullmatch(host):
            return self._refuse_host(host)
        try:
            self.answer_as(host)
        except OSError as error:
            if self.tls_host:  # the client has gone
                raise
            reason = f"the client broke off TLS ({type(error).__name__}): does it trust {TRUSTED}?"
            self.server.journal.write(Call("?", "?", host, refused=reason))

    def _serve(self) -> None:
        if self.path.startswith("http://"):  # asked as a proxy, without TLS
            return self._refuse_host(urlsplit(self.path).hostname or "")
        named = _name(self.headers.get("Host", ""))
        if not self.tls_host and named not in LOOPBACK:  # a foreign name that was made to lead here
            return self._refuse_host(named)
        pieces = self.pieces()
        whole = _joined(pieces) if is_rpc(self.headers) else b""
        target = self._target()
        host = self.tls_host or named
        call = recognise(host, self.command, target, self.headers, whole)
        if not is_rpc(self.headers) and not (call.operation != "?" and body_member(call)):
            whole = _joined(pieces)
            call = recognise(host, self.command, target, self.headers, whole)
        if f"{call.service}:{call.operation}" in self.server.deny:
            for _ in pieces:  # a client that is still sending would not see the answer
                pass
            return self._deny(call)
        self._hand_on(call, target, _Counted([whole] if whole else pieces))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve

    def _target(self) -> str:
        """Path and query for the engine, with S3's bucket in the path."""
        match = S3.fullmatch(self.tls_host)
        bucket = match["bucket"] if match else None
        return f"/{bucket}{self.path}" if bucket else self.path

    def _hand_on(self, call: Call, target: str, body: _Counted) -> None:
        """Ask the engine, record the request, and only then pass the answer to the client."""
        with contextlib.ExitStack() as asking:
            status, more, page = 0, False, None
            try:
                answer = asking.enter_context(self.engines_answer(target, body))
                status = answer.status
                if pages(call):  # a page is small, an object may not be
                    page = answer.read()
                    more = has_more(call, status, dict(answer.headers), page)
            finally:
                length = int(self.headers.get("X-Amz-Decoded-Content-Length") or body.bytes)
                told = replace(with_length(call, length), status=status, more=more)
                self.server.journal.write(told)
            self.pass_back(answer, page)

    def _refuse_host(self, host: str) -> None:
        reason = "not a host of AWS" if not AWS.fullmatch(host) else "AWS is asked over TLS only"
        self.server.journal.write(Call("?", "?", host, status=403, refused=reason))
        self._answer(403, "text/plain", f"local_sagemaker answers for AWS alone: '{host}' is not\n")
        self.close_connection = True

    def _deny(self, call: Call) -> None:
        self.server.journal.write(replace(call, status=403, refused="denied as by a policy"))
        message = f"not authorized to perform: {call.service}:{call.operation}"
        if "X-Amz-Target" in self.headers or call.service == "sagemaker-runtime":
            text = json.dumps({"__type": "AccessDeniedException", "message": message})
            self._answer(403, "application/x-amz-json-1.1", text, "AccessDeniedException")
        else:
            protocol = "s3" if call.service == "s3" else "query"
            text = error_xml("AccessDenied", message, protocol).decode()
            self._answer(403, "text/xml", text)

    def _answer(self, status: int, content_type: str, text: str, error: str = "") -> None:
        content = text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class _Counted:
    """Pieces of a body that count their bytes as they pass."""

    def __init__(self, pieces) -> None:
        self._pieces, self.bytes = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.bytes += len(piece)
            yield piece


def _name(host: str) -> str:
    """The name in a ``Host`` header, which may have a port."""
    return re.sub(r":\d+$", "", host.strip()).lower()


def _joined(pieces: Iterator[bytes]) -> bytes:
    """All of a body that is no object's.

    Raises:
        ValueError: it is larger than any such body is.
    """
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > MOST_READ:
            raise ValueError(f"a body of more than {MOST_READ} bytes that is no object's")
    return bytes(content)
