"""Whose requests are served: the server's names, pages of other origins, signatures."""

import http.client

import pytest

from engine_support.clients import BUCKET, unique
from engine_support.signing import ask

FORM = "application/x-www-form-urlencoded"
# For each protocol a request that the engine would otherwise carry out, and AWS's code.
PROTOCOLS = {
    "s3": ("PUT", f"/{BUCKET}/KEY", b"x", {}, "<Code>AccessDenied</Code>"),
    "form": ("POST", "/", b"Action=ListRoles&Version=2010-05-08", {"Content-Type": FORM}, None),
    "json": ("POST", "/", b"{}", {"X-Amz-Target": "SageMaker.ListModels"}, "AccessDeniedException"),
    "cbor": (
        "POST",
        "/service/GraniteServiceVersion20100801/operation/ListMetrics",
        b"\xa0",
        {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
        "AccessDeniedException",
    ),
    "runtime": ("POST", "/endpoints/e/invocations", b"x", {}, "AccessDeniedException"),
    "health": ("GET", "/-/health", None, {}, "AccessDenied"),
    "moto": ("POST", "/moto-api/reset", b"", {}, "AccessDenied"),
}
SIGNED_FOR = {"form": "iam", "json": "sagemaker", "runtime": "sagemaker", "cbor": "monitoring"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "sign",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Referer": "http://localhost:8888/lab"},
    ],
)
def test_pages_of_other_origins_are_refused_in_every_protocol(aws, protocol, sign):
    method, path, body, headers, code = PROTOCOLS[protocol]
    key = unique("page")
    service = SIGNED_FOR.get(protocol, "s3")
    status, said = ask(aws, method, path.replace("KEY", key), body, service, **headers, **sign)
    assert status == 403
    assert (code or "<Code>AccessDenied</Code>").encode() in said
    assert b"no web page of another origin" in said
    assert aws.keys(key) == []


def test_the_body_of_a_refused_request_is_not_kept(aws):
    """What a page sends must not fill the disk; a client that waits is not asked for it."""
    host = aws.url.removeprefix("http://")
    for headers, size in (({}, 3_000_000), ({"Expect": "100-continue"}, 0)):
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.putrequest("POST", f"/{BUCKET}")
        connection.putheader("Content-Length", "8000000")
        for name, value in {"Origin": "null", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(bytes(size))
        if size:
            assert list((aws.state / "incoming").iterdir()) == []
            connection.send(bytes(8_000_000 - size))
        assert connection.getresponse().status == 403
        connection.close()
