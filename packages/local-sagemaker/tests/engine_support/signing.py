"""Raw requests, signed as botocore signs them."""

from __future__ import annotations

import hashlib
import http.client

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_sagemaker import REGION
from local_sagemaker.core.access_key import AccessKey


class _Signer(SigV4Auth):
    def _normalize_url_path(self, path: str) -> str:
        return path


def signed(
    aws, method: str, path: str, body: bytes | None = None, service: str = "s3", **headers: str
) -> dict[str, str]:
    """The headers of a request, with a signature by the engine's key.

    Args:
        path: as it goes over the wire, with its query.
        headers: all of them are signed.
    """
    if service == "s3":
        digest = hashlib.sha256(body or b"").hexdigest()
        headers = {"x-amz-content-sha256": digest, **headers}
    request = AWSRequest(method, aws.url + path, headers=headers, data=body or b"")
    _Signer(Credentials(aws.key.id, aws.key.secret), service, REGION).add_auth(request)
    return dict(request.headers.items())


def ask(
    aws, method: str, path: str, body: bytes | None = None, service: str = "s3", **headers: str
) -> tuple[int, bytes]:
    """Send a signed request; status and body of the answer."""
    return send(aws, method, path, body, **signed(aws, method, path, body, service, **headers))


def send(
    aws, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Send a request as it is; status and body of the answer."""
    connection = http.client.HTTPConnection(aws.url.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _Query(SigV4QueryAuth):
    def _normalize_url_path(self, path: str) -> str:
        return path

    def payload(self, request: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD" if self._service_name == "s3" else super().payload(request)


def presigned(key: AccessKey, method: str, url: str, service: str = "s3") -> str:
    """`url` with a signature in its query, good for ten minutes."""
    request = AWSRequest(method, url)
    _Query(Credentials(key.id, key.secret), service, REGION, expires=600).add_auth(request)
    return request.url
