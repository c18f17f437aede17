"""A proxy on 127.0.0.1 that answers as AWS's STS, and for every other host only tunnels.

Both SageMaker SDKs ask STS who they are at its regional host, whatever ``AWS_ENDPOINT_URL`` says.
Under this proxy (``HTTPS_PROXY``) that question reaches the engine; what else the command asks of
the network passes through unread, by the way it would have taken without the proxy.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import proxy_bypass_environment

import certifi

from local_sagemaker.client.proxy import Handler, Proxy
from local_sagemaker.core.state_files import AUTHORITIES

# sts.amazonaws.com, sts.REGION.amazonaws.com(.cn), sts-fips.REGION..., sts.REGION.api.aws
STS = re.compile(r"sts(-fips)?(\.[a-z0-9-]+)?\.(amazonaws\.com(\.cn)?|api\.aws)")
STS_HOST = "sts.us-east-1.amazonaws.com"  # one of them, to ask whether a rule covers them
LONGEST_BODY = 1024 * 1024  # bytes; STS takes less
CONNECT_LIMIT_S = 30
PIECE = 64 * 1024
LOOPBACK = "127.0.0.1,localhost"


class UnusableProxy(ValueError):
    """The caller's own proxy is of a kind that cannot be asked for a tunnel."""


class IdentityProxy(Proxy):
    """Answers for STS until the process ends or it is closed."""

    def __init__(self, engine: str, callers: Mapping[str, str]) -> None:
        """Listen on a free port of 127.0.0.1.

        Args:
            engine: address of the engine, ``http://127.0.0.1:PORT``.
            callers: the caller's own proxies, as `urllib.request.getproxies_environment` says.

        Raises:
            UnusableProxy: tunnels would have to go through a proxy that does not speak HTTP.
        """
        upstream = callers.get("https") or callers.get("all") or ""
        self.upstream = urlsplit(upstream if "://" in upstream else f"http://{upstream}")
        if upstream and self.upstream.scheme != "http":
            raise UnusableProxy(f"a proxy of the kind {self.upstream.scheme}://")
        self.callers = {"no": callers.get("no", "")}
        # Others on this machine must not reach the network by the caller's proxy.
        self.secret = secrets.token_urlsafe(16)
        super().__init__(engine, _Handler)

    def environment(self, folder: Path, trusted: Path | None) -> dict[str, str]:
        """Variables that put a command under this proxy; writes the bundle of authorities.

        Args:
            folder: gets the bundle.
            trusted: the caller's own bundle; None takes certifi's.
        """
        bundle = folder / AUTHORITIES
        self.authority.write(bundle)
        real = trusted if trusted and trusted.is_file() else Path(certifi.where())
        bundle.write_bytes(bundle.read_bytes() + real.read_bytes())
        url = f"http://local:{self.secret}@127.0.0.1:{self.server_port}"
        past = ",".join([LOOPBACK, *self._not_for_sts()])
        return {
            "HTTPS_PROXY": url,
            "https_proxy": url,
            "NO_PROXY": past,
            "no_proxy": past,
            "AWS_CA_BUNDLE": str(bundle),
        }

    def _not_for_sts(self) -> list[str]:
        """The caller's exceptions, less those that would lead past this proxy to the real STS.

        For their other hosts this proxy keeps to them itself.
        """
        entries = [entry.strip() for entry in self.callers["no"].split(",")]
        return [e for e in entries if e and not proxy_bypass_environment(STS_HOST, {"no": e})]

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection towards `host`: direct, or a tunnel through the caller's own proxy.

        Raises:
            OSError: there is no way.
        """
        own = self.upstream
        if not own.hostname or proxy_bypass_environment(f"{host}:{port}", self.callers):
            return socket.create_connection((host, port), timeout=CONNECT_LIMIT_S)
        tunnel = http.client.HTTPConnection(own.hostname, own.port or 80, timeout=CONNECT_LIMIT_S)
        tunnel.set_tunnel(host, port, _credentials(own))
        tunnel.connect()
        return tunnel.sock

    def handle_error(self, request, client_address) -> None:
        """Clients that go away are no defect, and the command's terminal is not ours."""


class _Handler(Handler):
    """A client's request for a tunnel, and inside of one to STS its requests."""

    server: IdentityProxy

    def do_CONNECT(self) -> None:
        self.close_connection = True  # whatever follows is not asked of this proxy
        if not self._is_the_commands():
            return self._say(407, 'Proxy-Authenticate: Basic realm="local_sagemaker"')
        try:
            address = urlsplit(f"//{self.path}")
            host, port = (address.hostname or "").lower(), address.port or 443
        except ValueError:  # brackets or a port that are none
            return self._say(400)
        if STS.fullmatch(host):
            with contextlib.suppress(OSError):  # the client does not trust the authority, or left
                self.answer_as(host)
            return None
        try:
            there = self.server.connect(host, port)
        except (OSError, http.client.HTTPException):
            return self._say(502)
        with there:
            there.settimeout(None)
            self._say(200)
            _relay(self.connection, there)

    def _serve(self) -> None:
        if not self.tls_host:
            self.close_connection = True
            return self._say(405, "Allow: CONNECT")
        if int(self.headers.get("Content-Length") or 0) > LONGEST_BODY:
            self.close_connection = True
            return self._say(413)
        with self.engines_answer(self.path, self.pieces()) as answer:
            self.pass_back(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve

    def _is_the_commands(self) -> bool:
        expected = _basic("local", self.server.secret)
        given = self.headers.get("Proxy-Authorization", "")
        return secrets.compare_digest(given.encode(), expected.encode())

    def _say(self, status: int, *headers: str) -> None:
        line = f"HTTP/1.1 {status} {http.client.responses[status]}"
        if status != 200:  # git asks without the secret first, and again when it may
            headers += ("Content-Length: 0", "Connection: close")
        self.wfile.write("\r\n".join([line, *headers, "", ""]).encode())


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def _credentials(proxy: SplitResult) -> dict[str, str]:
    """The header that the caller's own proxy asks for, if its address holds a name."""
    if not proxy.username:
        return {}
    pair = unquote(proxy.username), unquote(proxy.password or "")
    return {"Proxy-Authorization": _basic(*pair)}


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until both sides have said their last."""
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # one side broke off; the other must hear of it
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
