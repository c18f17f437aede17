"""Whose requests are served: what is checked before anything is read of the state, or changed.

In this order: the name by which the server is asked, so that no foreign name can be made to lead
here; no page of another origin; a key that this engine gave out, except where none is needed; the
signature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from local_sagemaker.aws.s3 import post_forms
from local_sagemaker.core import signatures
from local_sagemaker.core.browsers import foreign_origin
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.signatures import Claim

HEALTH = "/-/health"
KEYLESS = {HEALTH}  # paths that need no key: who starts or finds an engine asks there
LOOPBACK = {"127.0.0.1", "localhost"}
RIGHT_KEY = "`local-sagemaker env` prints the right one"
DIGEST = re.compile(r"[0-9a-f]{64}")
# What AWS calls its refusals, by the protocol of the request, and what it says.
DENIED = {"s3": "AccessDenied", "query": "AccessDenied", "json": "AccessDeniedException"}
UNSIGNED = {
    "s3": "AccessDenied",
    "query": "MissingAuthenticationToken",
    "json": "MissingAuthenticationTokenException",
}
UNKNOWN_KEY = {
    "s3": "InvalidAccessKeyId",
    "query": "InvalidClientTokenId",
    "json": "InvalidClientTokenId",
}
WRONG_SIGNATURE = {
    "s3": "SignatureDoesNotMatch",
    "query": "SignatureDoesNotMatch",
    "json": "InvalidSignatureException",
}


def service(environ: Mapping[str, str]) -> str:
    """The service that a request is signed for, or that it would be for by its form."""
    if claim := signatures.claim(environ):
        return claim.service
    if "HTTP_X_AMZ_TARGET" in environ or environ["PATH_INFO"].startswith("/endpoints/"):
        return "sagemaker"
    is_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return "sts" if is_form else "s3"


def _protocol(environ: Mapping[str, str]) -> str:
    """Of the three families of protocols the one in which a request is to be refused."""
    name = service(environ)
    if name == "s3":
        return "s3"
    is_form = "urlencoded" in environ.get("CONTENT_TYPE", "")
    return "query" if is_form or name in {"iam", "sts"} else "json"


class Admission:
    """The checks of one engine."""

    def __init__(self, secret_of: Callable[[str], str | None]) -> None:
        """`secret_of` knows the secret of each key that may be used, and None of any other."""
        self._secret_of = secret_of

    def refused_by_head(self, environ: Mapping[str, str]) -> ApiError | None:
        """Why a request is not served, so far as its head tells."""
        host, protocol = environ.get("HTTP_HOST", ""), _protocol(environ)
        if not _is_loopback(host):
            text = f"local_sagemaker serves 127.0.0.1 and localhost only, not '{host}'"
            return ApiError(DENIED[protocol], text, 403)
        if sign := foreign_origin(environ):
            text = f"local_sagemaker serves no web page of another origin ({sign})"
            return ApiError(DENIED[protocol], text, 403)
        if environ["PATH_INFO"] in KEYLESS:
            return None
        claim = signatures.claim(environ)
        if claim is None:
            return None if post_forms.is_form(environ) else _unsigned(environ)
        return None if self._secret_of(claim.key) else _unknown(claim, protocol)

    def refused(self, environ: dict) -> ApiError | None:
        """Why a request is not served that its head did not refuse; may read its body."""
        if environ["PATH_INFO"] in KEYLESS:
            return None
        claim = signatures.claim(environ)
        if claim is None:
            return self._refused_form(environ)
        protocol = _protocol(environ)
        if signatures.is_expired(claim):
            code = "AccessDenied" if protocol == "s3" else WRONG_SIGNATURE[protocol]
            return ApiError(code, "Request has expired", 403)
        body = b"" if _is_upload(environ, claim) else _body(environ)
        if error := _wrong_digest(environ, claim, body):
            return error
        secret = self._secret_of(claim.key)
        if secret and signatures.is_right(claim, secret, environ, body):
            return None
        return _wrong_signature(claim, protocol)

    def _refused_form(self, environ: dict) -> ApiError | None:
        """A form for S3 carries the key and the signature of a policy in its fields."""
        try:
            fields, size = post_forms.read(environ)
            claim = signatures.in_fields(fields)
            if claim is None:
                return _unsigned(environ)
            if (secret := self._secret_of(claim.key)) is None:
                return _unknown(claim, "s3")
            policy = fields.get("policy", "")
            if not signatures.is_right_form(claim, secret, policy):
                return _wrong_signature(claim, "s3")
            post_forms.check(policy, fields, size)
        except ApiError as error:
            return error
        return None


def _unsigned(environ: Mapping[str, str]) -> ApiError:
    text = "The request is not signed with an access key: `local-sagemaker env` prints the engine's"
    return ApiError(UNSIGNED[_protocol(environ)], text, 403)


def _unknown(claim: Claim, protocol: str) -> ApiError:
    said = "The AWS Access Key Id you provided does not exist in our records."
    if protocol != "s3":
        said = "The security token included in the request is invalid."
    text = f"{said} '{claim.key}' is no key of this local engine: {RIGHT_KEY}."
    return ApiError(UNKNOWN_KEY[protocol], text, 403)


def _wrong_signature(claim: Claim, protocol: str) -> ApiError:
    said = "The request signature we calculated does not match the signature you provided."
    text = f"{said} Check the secret access key of '{claim.key}': {RIGHT_KEY}."
    return ApiError(WRONG_SIGNATURE[protocol], text, 403)


def _wrong_digest(environ: Mapping[str, str], claim: Claim, body: bytes) -> ApiError | None:
    """The signature covers the digest in the header, so the body must have that digest."""
    named = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    if claim.expires is not None:
        return None
    if claim.service == "s3" and not named:
        text = "Missing required header for this request: x-amz-content-sha256"
        return ApiError("InvalidRequest", text)
    if _is_upload(environ, claim) or not DIGEST.fullmatch(named):
        return None
    if hashlib.sha256(body).hexdigest() == named:
        return None
    text = "The provided 'x-amz-content-sha256' header does not match what was computed."
    return ApiError("XAmzContentSHA256Mismatch", text)


def _is_upload(environ: Mapping[str, str], claim: Claim) -> bool:
    """An object's or part's body is not read here; S3 checks it while it is written."""
    is_put = environ["REQUEST_METHOD"] == "PUT" and claim.service == "s3"
    return is_put and "/" in environ["PATH_INFO"].lstrip("/")


def _body(environ: dict) -> bytes:
    stream = environ["wsgi.input"]
    content = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    stream.seek(0)
    return content


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK or host.rpartition(":")[0] in LOOPBACK
