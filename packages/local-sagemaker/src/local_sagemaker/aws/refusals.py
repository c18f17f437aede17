"""Operations that are not there: each is refused by its name, in the protocol of whoever asked.

moto answers some operations of S3 with a success although it did nothing, or something else: an
unknown ``PUT /bucket/key?encryption`` would overwrite the object, an unknown
``DELETE /bucket?inventory`` delete the bucket. So what S3 is asked for is looked up in botocore's
model first.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import parse_qs

from local_sagemaker.core.errors import ApiError, error_xml
from local_sagemaker.core.validation import service_model

SAGEMAKER_REST = (  # services of their own that are signed as "sagemaker"
    "sagemaker-runtime",
    "sagemaker-a2i-runtime",
    "sagemaker-featurestore-runtime",
    "sagemaker-metrics",
    "sagemaker-edge",
)
XML_SERVICES = {"s3", "s3-outposts", "s3express", "route53", "cloudfront", "iam", "sts"}
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def refused(service: str, environ: dict, of_s3: Collection[str]) -> ApiError | None:
    """Why a request cannot be served, if it is known before anyone looks at it closely.

    `of_s3` names the operations of S3 that are served.
    """
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if service == "s3":
        return _refused_s3(method, path, environ.get("QUERY_STRING", ""), of_s3)
    if service == "sagemaker" and path not in {"", "/"}:
        name = _rest_operation(method, path) or f"{method} {path}"
        return ApiError(
            "UnknownOperationException",
            f"local_sagemaker does not do {name}; of these services it does InvokeEndpoint",
        )
    return None


def unserved(service: str, served: Iterable[str], environ: dict) -> ApiError:
    """A service that is not here at all."""
    return ApiError(
        "UnknownService",
        f"local_sagemaker does not serve '{service}' ({operation_name(environ)}); it serves "
        f"{', '.join(sorted(served))} and sagemaker",
    )


def unimplemented(service: str, environ: dict) -> ApiError:
    """An operation that moto has not implemented."""
    name = operation_name(environ)
    text = f"local_sagemaker does not do {name} of {service}: moto, which serves it, has it not"
    return ApiError("UnknownOperationException", text)


def malformed() -> ApiError:
    """A body that is to be XML, and is none."""
    text = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
    return ApiError("MalformedXML", text)


def defect(service: str, environ: dict) -> ApiError:
    """An operation at which moto or the engine failed."""
    text = f"local_sagemaker failed on {operation_name(environ)} of {service}: see the engine's log"
    return ApiError("InternalFailure", text, status=500)


def operation_name(environ: dict) -> str:
    """What a request calls its operation, or its method and path."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return target.rpartition(".")[2]
    path = environ["PATH_INFO"]
    if match := re.fullmatch(r"/service/\w+/operation/(\w+)", path):
        return match[1]
    if action := environ.get("local_sagemaker.action"):
        return action
    return f"{environ['REQUEST_METHOD']} {path}"


def _refused_s3(method: str, path: str, query: str, served: Collection[str]) -> ApiError | None:
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return None
    asked = parse_qs(query, keep_blank_values=True)
    if method == "PUT" and not key and not _s3_words() & set(asked) and not _is_bucket_name(bucket):
        return ApiError("InvalidBucketName", "The specified bucket is not valid.")
    for word in asked:
        names = s3_operations(word, method, bool(key))
        if not any(name in served for name in names) and word in _s3_words():
            name = " or ".join(names) or f"{method} ?{word}"
            return ApiError("NotImplemented", f"local_sagemaker does not do {name}", status=501)
    return None


def _is_bucket_name(name: str) -> bool:
    """Whether S3 makes a bucket of this name today; older buckets have others."""
    is_formed = BUCKET_NAME.fullmatch(name) and ".." not in name and not ADDRESS.fullmatch(name)
    is_free = not name.startswith(RESERVED_PREFIXES) and not name.endswith(RESERVED_SUFFIXES)
    return bool(is_formed) and is_free


@functools.cache
def _s3_words() -> frozenset[str]:
    return frozenset(word for words in s3_uris().values() for word in words)


@functools.cache
def words_of_reading_a_key() -> frozenset[str]:
    """The words after the question mark with which a GET of a key asks for something else."""
    found = [words for (_, verb, keyed), words in s3_uris().items() if keyed and verb == "GET"]
    return frozenset().union(*found)


@functools.cache
def s3_operations(word: str, method: str, has_key: bool) -> tuple[str, ...]:
    """S3's operations on a bucket or on a key whose address has `word` after its question mark."""
    return tuple(
        name
        for (name, verb, keyed), words in s3_uris().items()
        if word in words and (verb, keyed) == (method, has_key)
    )


@functools.cache
def s3_uris() -> dict[tuple[str, str, bool], frozenset[str]]:
    """For each operation of S3 (name, method, has it a key) the words after its question mark."""
    model, found = service_model("s3"), {}
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        words = frozenset(parse_qs(query, keep_blank_values=True)) - {"x-id"}
        found[name, http["method"], "{Key+}" in path] = words
    return found


def _rest_operation(method: str, path: str) -> str | None:
    for service in SAGEMAKER_REST:
        model = service_model(service)
        for name in model.operation_names:
            http = model.operation_model(name).http
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(http["requestUri"].split("?")[0]))
            if http["method"] == method and re.fullmatch(pattern, path):
                return name
    return None


def read_action(environ: dict) -> None:
    """Note the action of a form, as the older services send it; the body is read."""
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        note_action(environ, body)


def note_action(environ: dict, body: bytes) -> None:
    """Keep the action of a form for `operation_name`."""
    if action := re.search(rb"(?:^|&)Action=(\w+)", body):
        environ["local_sagemaker.action"] = action[1].decode()


def answer(error: ApiError, service: str, environ: dict, start_response: Callable) -> list[bytes]:
    """`error` in the protocol of the request (WSGI)."""
    content_type, body, headers = _encoded(error, service, environ)
    headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    start_response(f"{error.status} {error.code}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _encoded(error: ApiError, service: str, environ: dict) -> tuple[str, bytes, list]:
    members = {"__type": error.code, "message": error.message}
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return "application/cbor", _cbor(members), [("smithy-protocol", "rpc-v2-cbor")]
    is_form = "urlencoded" in environ.get("CONTENT_TYPE", "")
    if service == "s3":
        return "application/xml", error_xml(error.code, error.message), []
    if service == "ec2":
        return "text/xml", error_xml(error.code, error.message, "ec2"), []
    if "HTTP_X_AMZ_TARGET" not in environ and (is_form or service in XML_SERVICES):
        return "text/xml", error_xml(error.code, error.message, "query", error.status), []
    kind = "x-amz-json-1.1" if "HTTP_X_AMZ_TARGET" in environ else "json"
    headers = [("x-amzn-ErrorType", error.code)]
    return f"application/{kind}", json.dumps(members).encode(), headers


def _cbor(members: dict[str, str]) -> bytes:
    """A map of texts in CBOR (RFC 8949), which newer clients of CloudWatch speak."""
    return bytes([0xA0 + len(members)]) + b"".join(
        _cbor_text(text) for pair in members.items() for text in pair
    )


def _cbor_text(text: str) -> bytes:
    content = text.encode()
    return b"\x79" + len(content).to_bytes(2, "big") + content
