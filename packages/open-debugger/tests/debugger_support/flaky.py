"""S3 that does not answer for a while."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Flaky(ThreadingHTTPServer):
    """Hands GET requests on to `target`, and answers those 503 that it is told to."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.refusing = target, lambda path: False
        self.refused: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.server.refusing(self.path):
            self.server.refused.append(self.path)
            return self._answer(503, b"<Error><Code>SlowDown</Code></Error>")
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        asked = urllib.request.Request(self.server.target + self.path, headers=headers)
        with urllib.request.urlopen(asked) as answer:
            self._answer(answer.status, answer.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        """Nothing."""


@contextmanager
def flaky(target: str) -> Iterator[Flaky]:
    """A server in front of `target`."""
    with Flaky(target) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
