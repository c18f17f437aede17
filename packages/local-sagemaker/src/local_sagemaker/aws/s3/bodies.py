"""Bodies of S3's requests and answers: from the wire to a file, and from a file to the wire."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.aws.s3.checksums import HEADER, BadBody, Claimed
from local_sagemaker.core.errors import error_xml

CHUNK = 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass
class Body:
    """An object's body: a file and what was computed while it was written."""

    file: Path
    size: int
    md5: str | None


def write_body(environ: dict, file: Path) -> Body:
    """Write a request's body to `file`, unwrapping ``aws-chunked`` and checking its digests.

    Raises:
        BadBody: if the body is cut short, or differs from a checksum sent with it.
        OSError: if the file cannot be written.
    """
    try:
        return _written(environ, file)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def cut_body(source: Path, start: int, count: int, file: Path) -> Body:
    """Write `count` bytes of `source`, from `start` on, to `file`."""
    md5 = hashlib.md5()
    with file.open("wb") as target:
        for chunk in _read(source.open("rb"), start, count):
            target.write(chunk)
            md5.update(chunk)
        size = target.tell()
    return Body(file, size, md5.hexdigest())


def _written(environ: dict, file: Path) -> Body:
    trailers: dict[str, str] = {}
    chunked = "STREAMING" in environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    chunks = _aws_chunks(environ, trailers) if chunked else _plain_chunks(environ)
    claimed = Claimed(environ)
    payload = hashlib.sha256() if SHA256.fullmatch(_payload(environ)) else None
    md5, size = hashlib.md5(), 0
    with file.open("wb") as target:
        for chunk in chunks:
            target.write(chunk)
            md5.update(chunk)
            claimed.update(chunk)
            if payload:
                payload.update(chunk)
            size += len(chunk)
    for name, value in trailers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    claimed.check(trailers)
    if payload and payload.hexdigest() != _payload(environ):
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise BadBody("XAmzContentSHA256Mismatch", text)
    return Body(file, size, md5.hexdigest())


def _payload(environ: dict) -> str:
    """The digest of the body that the request's signature covers, or a word that there is none."""
    return environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")


def check_body(environ: dict) -> None:
    """Check a small body, if a checksum was sent in a header with it; it stays where it is.

    Raises:
        BadBody: it differs from the checksum.
    """
    said = any(name.startswith((HEADER, "HTTP_CONTENT_MD5")) for name in environ)
    if not said or "HTTP_X_AMZ_TRAILER" in environ or "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return
    claimed, stream = Claimed(environ), environ["wsgi.input"]
    content = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(content)
    claimed.update(content)
    claimed.check({})


def _plain_chunks(environ: dict) -> Iterator[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (chunk := environ["wsgi.input"].read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _aws_chunks(environ: dict, trailers: dict[str, str]) -> Iterator[bytes]:
    """Bodies in AWS's own chunked form; `trailers` gets the headers that follow the last chunk."""
    stream = environ["wsgi.input"]
    while size := _chunk_size(stream.readline()):
        while size > 0 and (chunk := stream.read(min(CHUNK, size))):
            size -= len(chunk)
            yield chunk
        if size or stream.readline().strip():
            raise BadBody("IncompleteBody", "The body ends inside a chunk")
    while line := stream.readline().strip().decode():
        name, _, value = line.partition(":")
        trailers[name.strip().lower()] = value.strip()


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BadBody("IncompleteBody", f"{line[:40]!r} is no chunk's size") from None


def send_file(file, headers: dict[str, str], wanted: str | None, start_response: Callable):
    """Answer with an open file, whole or by one byte range (RFC 9110, section 14)."""
    size = int(headers["content-length"])
    first, last, status = 0, size - 1, "200 OK"
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
    if match and match[0] != "bytes=-":
        if match[1]:
            first = int(match[1])
            last = min(int(match[2]), size - 1) if match[2] else size - 1
        else:
            first = max(0, size - int(match[2]))
        if first >= size or first > last:
            file.close()
            start_response("416 Range Not Satisfiable", [("Content-Type", "application/xml")])
            message = "The requested range is not satisfiable"
            return [error_xml("InvalidRange", message)]
        status = "206 Partial Content"
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        headers = {n: v for n, v in headers.items() if not n.startswith("x-amz-checksum-")}
    headers["content-length"] = str(last - first + 1)
    start_response(status, list(headers.items()))
    return _read(file, first, last - first + 1)


def read_chunks(file: Path) -> Iterator[bytes]:
    return _read(file.open("rb"), 0, file.stat().st_size)


def _read(file, start: int, count: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while count > 0 and (chunk := file.read(min(CHUNK, count))):
            count -= len(chunk)
            yield chunk
