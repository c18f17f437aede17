"""S3's checksums: what a client says of a body, compared with the body that arrived.

A client names a checksum in a header ``x-amz-checksum-ALGORITHM``, or, after a body that it sends
in AWS's chunks, in a trailer of that name; or it sends ``Content-MD5``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import anycrc

HEADER = "HTTP_X_AMZ_CHECKSUM_"
# Headers of that form that hold no checksum.
SETTINGS = {"ALGORITHM", "MODE", "TYPE"}


class Digest(Protocol):
    """A checksum in the making, as in `hashlib`."""

    def update(self, data: bytes) -> None: ...

    def digest(self) -> bytes: ...


class Crc:
    """A cyclic redundancy check as a `Digest`."""

    def __init__(self, extend: Callable[[bytes, int | None], int], size: int) -> None:
        """`extend` continues a value by more data; `size` is the value's, in bytes."""
        self._extend, self._size, self._value = extend, size, None

    def update(self, data: bytes) -> None:
        self._value = self._extend(data, self._value)

    def digest(self) -> bytes:
        value = self._extend(b"", None) if self._value is None else self._value
        return value.to_bytes(self._size, "big")


def _crc32(data: bytes, value: int | None) -> int:
    return zlib.crc32(data, value or 0)


CRC32C, CRC64NVME = anycrc.Model("CRC32-ISCSI"), anycrc.Model("CRC64-NVME")
ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "CRC32": lambda: Crc(_crc32, 4),
    "CRC32C": lambda: Crc(CRC32C.calc, 4),
    "CRC64NVME": lambda: Crc(CRC64NVME.calc, 8),
    "MD5": hashlib.md5,
    "SHA1": hashlib.sha1,
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
}


class BadBody(ValueError):
    """The body is not what its headers or checksums say; `code` is S3's for it."""

    def __init__(self, code: str, message: str, status: str = "400 Bad Request") -> None:
        super().__init__(message)
        self.code, self.status = code, status


def compute(body: bytes, algorithm: str, encode_base64: bool = True) -> bytes:
    """The checksum of a body, in place of moto's function, which knows three algorithms."""
    digest = _new(algorithm)
    digest.update(body)
    return base64.b64encode(digest.digest()) if encode_base64 else digest.digest()


def _new(algorithm: str) -> Digest:
    if algorithm.upper() not in ALGORITHMS:
        text = f"local_sagemaker does not do the checksum {algorithm.upper()}"
        raise BadBody("NotImplemented", text, "501 Not Implemented")
    return ALGORITHMS[algorithm.upper()]()


def require_known(environ: Mapping[str, str]) -> None:
    """Refuse a copy or an upload in parts for which a checksum is asked that is not known here.

    Raises:
        BadBody: it is not.
    """
    if algorithm := environ.get(f"{HEADER}ALGORITHM"):
        _new(algorithm)


class Claimed:
    """What a request says of its body: fed with the body, it tells whether that is true."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read the headers.

        Raises:
            BadBody: they contradict each other, or name a checksum that is not known here.
        """
        self._sent = _sent(environ)
        trailer = environ.get("HTTP_X_AMZ_TRAILER", "").upper()
        self._trailer = trailer.removeprefix("X-AMZ-CHECKSUM-") if trailer else None
        asked = environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "").upper()
        names = set(self._sent) | ({self._trailer} if self._trailer else set())
        if len(names) > 1:
            raise BadBody(
                "InvalidRequest",
                "Expecting a single x-amz-checksum- header. "
                "Multiple checksum Types are not allowed.",
            )
        if asked and asked not in names:
            raise BadBody(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                "x-amz-trailer headers were found.",
            )
        self._md5 = environ.get("HTTP_CONTENT_MD5")
        self._digests = {name: _new(name) for name in names}
        if self._md5:
            self._digests.setdefault("MD5", hashlib.md5())

    def update(self, data: bytes) -> None:
        for digest in self._digests.values():
            digest.update(data)

    def check(self, trailers: Mapping[str, str]) -> None:
        """Compare what was said with the body that was fed.

        Args:
            trailers: those that followed the body, by their names in lower case.

        Raises:
            BadBody: the body differs, or a checksum is none.
        """
        if self._trailer:
            value = trailers.get(f"x-amz-checksum-{self._trailer.lower()}")
            if value is None:
                text = (
                    "The request contained trailing data that was not well-formed or did not "
                    "conform to our published schema."
                )
                raise BadBody("MalformedTrailerError", text)
            self._sent[self._trailer] = value
        for name, value in self._sent.items():
            found = self._digests[name].digest()
            if _decoded(value, len(found)) is None:
                text = f"Value for x-amz-checksum-{name.lower()} header is invalid."
                raise BadBody("InvalidRequest", text)
            if _decoded(value, len(found)) != found:
                text = f"The {name} you specified did not match the calculated checksum."
                raise BadBody("BadDigest", text)
        if self._md5:
            self._check_md5(self._md5, self._digests["MD5"].digest())

    def _check_md5(self, value: str, found: bytes) -> None:
        if _decoded(value, len(found)) is None:
            raise BadBody("InvalidDigest", "The Content-MD5 you specified was invalid.")
        if _decoded(value, len(found)) != found:
            text = "The Content-MD5 you specified did not match what we received."
            raise BadBody("BadDigest", text)


def check_whole(environ: Mapping[str, str], chunks: Callable[[], Iterable[bytes]]) -> None:
    """Compare what CompleteMultipartUpload says of the whole object with the joined parts.

    A checksum of the parts' checksums (``VALUE-PARTS``) says nothing of the object's bytes.

    Raises:
        BadBody: they differ.
    """
    whole = {name: value for name, value in _sent(environ).items() if "-" not in value}
    if not whole or environ.get(f"{HEADER}TYPE", "FULL_OBJECT").upper() != "FULL_OBJECT":
        return
    claimed = Claimed({HEADER + name: value for name, value in whole.items()})
    for chunk in chunks():
        claimed.update(chunk)
    claimed.check({})


def _sent(environ: Mapping[str, str]) -> dict[str, str]:
    names = {
        name.removeprefix(HEADER): value
        for name, value in environ.items()
        if name.startswith(HEADER)
    }
    return {name: value for name, value in names.items() if name not in SETTINGS}


def _decoded(value: str, size: int) -> bytes | None:
    """The bytes of a checksum in base 64, or None if it is none of that size."""
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if len(content) == size else None
