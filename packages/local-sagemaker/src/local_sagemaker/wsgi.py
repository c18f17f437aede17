"""The HTTP server: waitress on 127.0.0.1, mended where it is not what S3's clients expect."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import waitress
import waitress.parser
from waitress.buffers import OverflowableBuffer, TempfileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ThreadedTaskDispatcher, WSGITask

NO_ROOM = "local_sagemaker.no_room"  # in the environment: why the body was not kept
MAX_JOINED = 64 * 1024  # bytes; a larger body is not copied to be sent with its head
THREADS = 16  # requests at a time; others wait
INVOCATION_THREADS = 64  # of InvokeEndpoint
MAX_BODY = 6 * 1024**3  # bytes; S3 itself takes 5 GiB in one request


class FileBuffer(TempfileBasedBuffer):
    """A large body on its way in; beside the state, as /tmp may be memory."""

    folder: Path  # set by create_server()

    def newfile(self):
        return tempfile.TemporaryFile("w+b", dir=self.folder)


class BodyBuffer(OverflowableBuffer):
    """A request's body; one for which the disk has no room is read to its end, and not kept."""

    full: OSError | None = None
    dropped = False

    def drop(self) -> None:
        """Read the body to its end, and keep nothing of it."""
        self.dropped = True

    def _set_large_buffer(self) -> None:
        self.buf = FileBuffer(self.buf)
        self.overflowed = True

    def append(self, data: bytes) -> None:
        if self.full is None and not self.dropped:
            try:
                super().append(data)
            except OSError as error:
                self.full = error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it would write what it could not
            super().close()


waitress.parser.OverflowableBuffer = BodyBuffer


class Parser(HTTPRequestParser):
    """Does not wait for a body of no bytes after ``Expect: 100-continue``, as boto3 sends it.

    The body of a request that will be refused is not kept, or, if the client waits to be asked for
    it, not asked for.
    """

    refuses: Callable[[dict], object]  # set by create_server()

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.content_length == 0 and not self.chunked:
            self.expect_continue = False
        if self.body_rcv is not None and self.refuses(self._head()):
            if self.expect_continue:
                self.body_rcv, self.content_length, self.chunked = None, 0, False
                self.expect_continue, self.headers["CONNECTION"] = False, "close"
                self.headers.pop("CONTENT_LENGTH", None)
            else:
                self.body_rcv.getbuf().drop()

    def _head(self) -> dict:
        """The request's head, as WSGI names its parts."""
        head = {f"HTTP_{name}": value for name, value in self.headers.items()}
        head["CONTENT_TYPE"] = self.headers.get("CONTENT_TYPE", "")
        return {
            **head,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
        }


class Held:
    """In a channel's place: keeps what is to be written."""

    def __init__(self, channel: HTTPChannel):
        self.server, self.pieces = channel.server, []

    def write_soon(self, data: bytes) -> None:
        """Keep it."""
        self.pieces.append(data)


class Task(WSGITask):
    """Leaves S3's headers in lower case: in them, the case of a name is the user's metadata.

    Sends an answer's head together with its body. If the engine is killed between the two, botocore
    takes the answer for a complete one without a body, and so for a success.
    """

    def write(self, data: bytes) -> None:
        if self.wrote_header or len(data) > MAX_JOINED:
            super().write(data)
            return
        channel, self.channel = self.channel, Held(self.channel)
        try:
            super().write(data)
        finally:
            held, self.channel = self.channel, channel
        channel.write_soon(b"".join(held.pieces))

    def get_environment(self) -> dict:
        environ = super().get_environment()
        receiver = self.request.body_rcv
        environ[NO_ROOM] = receiver.getbuf().full if receiver else None
        return environ

    def build_response_header(self) -> bytes:
        head = super().build_response_header()
        return re.sub(rb"(?m)^X-Amz-[^:]*", lambda name: name[0].lower(), head)


class Channel(HTTPChannel):
    parser_class = Parser
    task_class = Task


class Dispatcher(ThreadedTaskDispatcher):
    """Threads for requests; invocations, which may take a minute each, have others of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.set_thread_count(THREADS)
        self.invocations = ThreadedTaskDispatcher()
        self.invocations.set_thread_count(INVOCATION_THREADS)

    def add_task(self, channel: HTTPChannel) -> None:
        path = getattr(channel.requests[0], "path", "")  # a request that is none has no path
        if path.startswith("/endpoints/"):
            self.invocations.add_task(channel)
        else:
            super().add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        self.invocations.shutdown(cancel_pending, timeout)
        return super().shutdown(cancel_pending, timeout)


class PortTaken(RuntimeError):
    """The server cannot listen; the text says where and what to do."""


def create_server(
    application: Callable, port: int, folder: Path, refuses: Callable[[dict], object]
):
    """A server of `application` on 127.0.0.1; `run()` it, and `close()` it.

    Args:
        folder: for large bodies on their way in; must exist when the server runs.
        refuses: whether `application` refuses a request with this head (a WSGI environment).

    Raises:
        PortTaken: the port is taken.
    """
    FileBuffer.folder = folder
    Parser.refuses = staticmethod(refuses)
    try:
        server = _server(application, port)
    except OSError as error:
        raise PortTaken(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}; "
            "name another port with --port, or none for a free one"
        ) from None
    server.channel_class = Channel
    return server


def _server(application: Callable, port: int):
    return waitress.create_server(
        application,
        host="127.0.0.1",
        port=port,
        threads=THREADS,
        _dispatcher=Dispatcher(),
        max_request_body_size=MAX_BODY,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
