"""A proxy on 127.0.0.1 that answers for some hosts, over TLS too, by asking the engine.

What the identity proxy and the recording proxy share. The certificates are signed by an authority
of the proxy's own.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from local_sagemaker.core.access_key import write_private
from local_sagemaker.core.signatures import SIGNED_HOST

PIECE = 1024 * 1024
PER_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "expect"}


class Authority:
    """Signs certificates for hosts; its own key ends with the process, unless it is kept."""

    def __init__(self, kept: Path | None = None) -> None:
        """Make an authority, or take the one of a former process.

        Args:
            kept: the file that only its owner reads, with the authority's key and certificate. It
                is made if it is not there or is damaged.
        """
        self._authority = (_read(kept) if kept else None) or _made(kept)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    @property
    def certificate(self) -> str:
        """What clients must trust, as PEM."""
        return self._authority.cert_pem.bytes().decode()

    def write(self, file: Path) -> Path:
        """Write the certificate that clients must trust to `file`, as PEM."""
        file.write_text(self.certificate)
        return file

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to answer TLS as `host`."""
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._signed(host).configure_cert(context)
                self._contexts[host] = context
            return self._contexts[host]

    def _signed(self, host: str) -> trustme.LeafCert:
        try:
            return self._authority.issue_cert(host)
        except UnicodeError:  # a bucket may be called what no domain may, such as "my--dogs"
            return self._authority.issue_cert("*." + host.partition(".")[2])


def _made(kept: Path | None) -> trustme.CA:
    authority = trustme.CA(organization_name="local_sagemaker")
    if kept:
        text = authority.private_key_pem.bytes() + authority.cert_pem.bytes()
        write_private(kept, text.decode())
    return authority


def _read(file: Path) -> trustme.CA | None:
    try:
        text = file.read_bytes()
        return trustme.CA.from_pem(text, text)
    except (OSError, ValueError):
        return None


class Proxy(ThreadingHTTPServer):
    """Stands between clients and the engine until it is closed."""

    daemon_threads = True

    def __init__(
        self, engine: str, handler: type[Handler], port: int = 0, kept: Path | None = None
    ) -> None:
        """Listen on 127.0.0.1.

        Args:
            engine: its address, ``http://127.0.0.1:PORT``.
            port: 0 takes a free one.
            kept: where the authority is kept from one process to the next; None keeps it nowhere.

        Raises:
            OSError: the port is taken.
        """
        self.engine, self.authority = urlsplit(engine).netloc, Authority(kept)
        super().__init__(("127.0.0.1", port), handler)
        threading.Thread(target=self.serve_forever, daemon=True, name=type(self).__name__).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Requests on one connection, and inside the tunnel that it may become."""

    protocol_version = "HTTP/1.1"
    tls_host = ""  # whom the client believes it is talking to, inside a tunnel
    server: Proxy

    def log_message(self, *_) -> None:
        pass

    def answer_as(self, host: str) -> None:
        """Become a tunnel to `host`, and answer the requests inside it.

        Raises:
            OSError: the client does not trust the authority.
        """
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.close_connection = True
        context = self.server.authority.context(host)
        self.request = context.wrap_socket(self.request, server_side=True)
        with self.request:
            self.tls_host = host
            self.setup()  # streams over the tunnel's inside
            self.close_connection = False
            while not self.close_connection:
                self.handle_one_request()

    def pieces(self) -> Iterator[bytes]:
        """The request's body, in pieces."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            yield from self._chunks()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (piece := self.rfile.read(min(PIECE, left))):
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            while size > 0 and (piece := self.rfile.read(min(PIECE, size))):
                size -= len(piece)
                yield piece
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    @contextlib.contextmanager
    def engines_answer(
        self, target: str, body: Iterable[bytes]
    ) -> Iterator[http.client.HTTPResponse]:
        """Hand the request on to the engine, with `target` as its path and query."""
        with contextlib.closing(http.client.HTTPConnection(self.server.engine)) as engine:
            engine.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
            engine.putheader("Host", self.server.engine)
            for name, value in self.headers.items():
                if name.lower() not in PER_CONNECTION | {"host", SIGNED_HOST.lower()}:
                    engine.putheader(name, value)
            engine.putheader(SIGNED_HOST, self.headers.get("Host", ""))
            chunked = "Transfer-Encoding" in self.headers
            if chunked:
                engine.putheader("Transfer-Encoding", "chunked")
            engine.endheaders(body, encode_chunked=chunked)
            yield engine.getresponse()

    def pass_back(self, answer: http.client.HTTPResponse, read: bytes | None = None) -> None:
        """Hand the engine's answer to the client; `read` is its body, if that was read already."""
        self.send_response_only(answer.status, answer.reason)
        has_length = "Content-Length" in answer.headers
        for name, value in answer.headers.items():
            if name.lower() not in PER_CONNECTION:
                self.send_header(name, value)
        if not has_length:  # then the end of the connection is the end of the answer
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if read is not None:
            self.wfile.write(read)
            return
        while piece := answer.read(PIECE):
            self.wfile.write(piece)
