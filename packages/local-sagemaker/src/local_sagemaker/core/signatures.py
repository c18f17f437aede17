"""AWS's signatures: who holds the secret of a key has signed exactly this request.

A request names the key and says how it is signed: by version 4 in the ``Authorization`` header or
in the query, or by version 2 in the query, which boto3 still takes for S3's presigned addresses.
The signature is computed anew, by botocore's own signers, from what arrived.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from botocore.auth import HmacV1QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest, HTTPHeaders
from botocore.credentials import Credentials

# The proxies of `run` answer for AWS's own hosts. They say by this header which one was signed for.
SIGNED_HOST = "X-Local-Sagemaker-Host"
BUCKET_HOST = re.compile(r"(?P<bucket>.+)\.s3(?:[.-][a-z]{2}-[a-z-]+-\d)?\.amazonaws\.com")
SCOPE = re.compile(r"([^/\s]+)/(\d{8})/([^/\s]*)/([^/\s]+)/aws4_request")
HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<scope>[^,\s]+)"
    r"(?:,\s*SignedHeaders=(?P<headers>[^,\s]+))?(?:,\s*Signature=(?P<signature>\w+))?"
)
UNSIGNED = "UNSIGNED-PAYLOAD"
DATE = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Claim:
    """Who signed a request, by its own words, and how.

    Attributes:
        key: identifier of the access key.
        service, region: what it is signed for.
        signature: what is to be checked.
        headers: names of the headers that are signed, in lower case; None in version 2.
        date: the moment of signing, in AWS's form; in version 2 the moment when it expires.
        expires: for how many seconds an address is valid; None for a header.
    """

    key: str
    service: str
    region: str
    signature: str
    headers: tuple[str, ...] | None
    date: str
    expires: str | None = None


def claim(environ: Mapping[str, str]) -> Claim | None:
    """What a request says of its signature; None if it has none that is known here."""
    if authorization := environ.get("HTTP_AUTHORIZATION", ""):
        return _in_header(authorization, environ.get("HTTP_X_AMZ_DATE", ""))
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return in_fields({name: values[0] for name, values in query.items()})


def _in_header(authorization: str, date: str) -> Claim | None:
    match = HEADER.match(authorization)
    scope = match and SCOPE.fullmatch(match["scope"])
    if not scope:
        return None
    key, _, region, service = scope.groups()
    headers = tuple((match["headers"] or "").lower().split(";"))
    return Claim(key, service, region, match["signature"] or "", headers, date)


def in_fields(fields: Mapping[str, str]) -> Claim | None:
    """The claim in the fields of a query, or of a form for S3 (where case does not matter)."""
    fields = {name.lower(): value for name, value in fields.items()}
    if scope := SCOPE.fullmatch(fields.get("x-amz-credential", "")):
        key, _, region, service = scope.groups()
        signature = fields.get("x-amz-signature", "")
        headers = tuple(fields.get("x-amz-signedheaders", "").lower().split(";"))
        date, expires = fields.get("x-amz-date", ""), fields.get("x-amz-expires", "")
        return Claim(key, service, region, signature, headers, date, expires)
    if key := fields.get("awsaccesskeyid"):
        signature, expires = fields.get("signature", ""), fields.get("expires", "")
        return Claim(key, "s3", "", signature, None, expires, expires)
    return None


def is_expired(claim: Claim) -> bool:
    """Whether an address that was valid for some time is so no more."""
    if claim.expires is None:
        return False
    try:
        if claim.headers is None:
            return int(claim.expires) < time.time()
        signed = calendar.timegm(time.strptime(claim.date, DATE))
        return signed + int(claim.expires) < time.time()
    except ValueError:
        return True


def is_right(claim: Claim, secret: str, environ: Mapping[str, str], body: bytes) -> bool:
    """Whether `secret` makes the signature of this request.

    Args:
        body: the body, where its digest is signed and does not stand in a header.
    """
    if claim.headers is None:
        found = _version_2(claim, secret, environ)
    else:
        found = [_version_4(claim, secret, environ, body)]
    return any(hmac.compare_digest(one.encode(), claim.signature.encode()) for one in found)


def is_right_form(claim: Claim, secret: str, policy: str) -> bool:
    """Whether `secret` makes the signature of the policy in a form for S3."""
    credentials = Credentials(claim.key, secret)
    if claim.headers is None:
        found = HmacV1QueryAuth(credentials).sign_string(policy)
    else:
        request = AWSRequest()
        request.context["timestamp"] = claim.date
        found = SigV4Auth(credentials, claim.service, claim.region).signature(policy, request)
    return hmac.compare_digest(found.encode(), claim.signature.encode())


def _version_4(claim: Claim, secret: str, environ: Mapping[str, str], body: bytes) -> str:
    host, path = _asked(environ)
    given = {name: _header(environ, name) for name in claim.headers}
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://engine{path}?{_query(environ.get('QUERY_STRING', ''))}",
        headers={**given, "host": host},
    )
    request.context["timestamp"] = claim.date
    signer = _Version4(Credentials(claim.key, secret), claim.service, claim.region)
    signer.digest = _digest(claim, environ, body)
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


class _Version4(SigV4Auth):
    """botocore's signer, told which headers are signed and what the body's digest is."""

    digest: str

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return self.digest

    def _normalize_url_path(self, path: str) -> str:
        return path if self._service_name == "s3" else super()._normalize_url_path(path)


def _digest(claim: Claim, environ: Mapping[str, str], body: bytes) -> str:
    if claim.expires is not None and claim.service == "s3":
        return UNSIGNED
    return environ.get("HTTP_X_AMZ_CONTENT_SHA256") or hashlib.sha256(body).hexdigest()


def _version_2(claim: Claim, secret: str, environ: Mapping[str, str]) -> list[str]:
    """The signature, and that without a type of the content.

    Clients such as urllib add one that was not signed. S3 then refuses the request, to the
    despair of many; but it is of no use to anyone here to know a key and not the type.
    """
    signer = HmacV1QueryAuth(Credentials(claim.key, secret))
    signer._get_date = lambda: claim.date
    method = environ["REQUEST_METHOD"]
    path, query = _target(environ)
    address = urlsplit(f"http://engine{path}?{query}")
    sent = {
        name[5:].replace("_", "-").lower(): environ[name] for name in environ if "HTTP_" in name
    }
    sent["content-type"] = environ.get("CONTENT_TYPE", "")
    in_query = {n.lower(): v[0] for n, v in parse_qs(query, keep_blank_values=True).items()}
    named = {n: v for n, v in {**sent, **in_query}.items() if _counts(n)}
    found = []
    for content_type in (named.get("content-type", ""), ""):
        headers = HTTPHeaders()
        for name, value in {**named, "content-type": content_type}.items():
            headers[name] = value
        for resource in {path, path.rstrip("/") + "/"}:  # a bucket is signed with a slash
            found.append(signer.get_signature(method, address, headers, auth_path=resource))
    return found


def _counts(name: str) -> bool:
    return name in {"content-md5", "content-type"} or name.startswith("x-amz-")


def _asked(environ: Mapping[str, str]) -> tuple[str, str]:
    """Host and path as they were signed."""
    path, _ = _target(environ)
    host = _header(environ, SIGNED_HOST) or environ.get("HTTP_HOST", "")
    match = BUCKET_HOST.fullmatch(host)
    return host, path.removeprefix(f"/{match['bucket']}") if match else path


def _target(environ: Mapping[str, str]) -> tuple[str, str]:
    """Path and query as they were sent; a client that thinks of a proxy sends an address."""
    target = environ.get("REQUEST_URI", "")
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def _query(text: str) -> str:
    pairs = [pair.partition("=")[::2] for pair in text.split("&") if pair]
    encoded = [(quote(unquote(n), safe="-_.~"), quote(unquote(v), safe="-_.~")) for n, v in pairs]
    return "&".join(f"{name}={value}" for name, value in encoded if name != "X-Amz-Signature")


def _header(environ: Mapping[str, str], name: str) -> str:
    name = name.upper().replace("-", "_")
    value = environ.get(name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}", "")
    return value.encode("latin-1").decode("utf-8", "replace")  # what WSGI's strings stand for
