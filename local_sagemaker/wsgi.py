"""The HTTP server: waitress on 127.0.0.1, mended where it is not what S3's clients expect."""

from __future__ import annotations

import re
from collections.abc import Callable

import waitress
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

MAX_BODY = 6 * 1024**3  # bytes; S3 itself takes 5 GiB in one request


class Parser(HTTPRequestParser):
    """Does not wait for a body of no bytes after ``Expect: 100-continue``, as boto3 sends it."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.content_length == 0 and not self.chunked:
            self.expect_continue = False


class Task(WSGITask):
    """Leaves S3's headers in lower case: in them, the case of a name is the user's metadata."""

    def build_response_header(self) -> bytes:
        head = super().build_response_header()
        return re.sub(rb"(?m)^X-Amz-[^:]*", lambda name: name[0].lower(), head)


class Channel(HTTPChannel):
    parser_class = Parser
    task_class = Task


def create_server(application: Callable, port: int):
    """A server of `application` on 127.0.0.1; `run()` it, and `close()` it.

    Raises:
        OSError: the port is taken.
    """
    server = waitress.create_server(
        application,
        host="127.0.0.1",
        port=port,
        threads=16,
        max_request_body_size=MAX_BODY,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    server.channel_class = Channel
    return server
