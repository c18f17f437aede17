"""The HTTP server's repairs, seen from a socket."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from engine_support.clients import BUCKET
from engine_support.signing import signed
from local_sagemaker.wsgi import create_server


def head(aws, method: str, path: str, **headers: str) -> str:
    """The head of a signed request for a body that is not signed, up to its last line."""
    lines = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", **headers}
    lines = {**signed(aws, method, path, **lines), "Host": aws.url.removeprefix("http://")}
    lines["Connection"] = "close"
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in lines.items()), ""])


def raw(aws, text: str) -> str:
    host, port = aws.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(text.encode())
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return answer.decode()


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_a_body_of_no_bytes_is_not_waited_for(aws, expect):
    request = head(aws, "PUT", f"/{BUCKET}/wsgi")
    answer = raw(aws, f"{request}Content-Length: 0\r\n{expect}\r\n")
    assert answer.splitlines()[0] == "HTTP/1.1 200 OK"


def test_a_body_is_asked_for(aws):
    request = head(aws, "PUT", f"/{BUCKET}/wsgi") + "Content-Length: 1\r\nExpect: 100-continue\r\n"
    assert raw(aws, request + "\r\nx").startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_names_of_metadata_keep_their_case(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="case", Body=b"", Metadata={"breed": "Beagle"})
    answer = raw(aws, head(aws, "HEAD", f"/{BUCKET}/case") + "\r\n")
    assert "\r\nx-amz-meta-breed: Beagle\r\n" in answer


@pytest.mark.parametrize("text", ["GARBAGE\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_no_http_is_refused(aws, text):
    assert " 400 " in raw(aws, text).splitlines()[0] or " 403 " in raw(aws, text).splitlines()[0]


def test_an_answers_head_and_body_leave_together(aws):
    """If the engine were killed between the two, botocore would see a success without a body."""
    request = (head(aws, "GET", f"/{BUCKET}?list-type=2&max-keys=1") + "\r\n").encode()
    host, port = aws.url.removeprefix("http://").split(":")
    for _ in range(50):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(request)
            assert b"</ListBucketResult>" in connection.recv(65536)


def test_slow_invocations_leave_the_other_requests_their_threads(tmp_path):
    stop, begun = threading.Event(), threading.Semaphore(0)

    def application(environ, start_response):
        if environ["PATH_INFO"].endswith("/invocations"):
            begun.release()
            stop.wait(60)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server = create_server(application, 0, tmp_path, lambda environ: None)
    threading.Thread(target=server.run, daemon=True).start()
    url = f"http://127.0.0.1:{server.effective_port}"
    with ThreadPoolExecutor(20) as pool:
        try:
            asked = [
                pool.submit(requests.post, f"{url}/endpoints/e/invocations", data=b"x")
                for _ in range(20)
            ]
            assert all(begun.acquire(timeout=30) for _ in asked)
            assert requests.get(f"{url}/-/health", timeout=30).text == "ok"
        finally:
            stop.set()
        assert [answer.result(timeout=30).text for answer in asked] == ["ok"] * 20
    server.close()
