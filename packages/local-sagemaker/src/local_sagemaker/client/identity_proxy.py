"""A proxy on 127.0.0.1 that answers as AWS's STS, and for every other host only tunnels.

Both SageMaker SDKs ask STS who they are at its regional host, whatever ``AWS_ENDPOINT_URL`` says.
Under this proxy (``HTTPS_PROXY``) that question reaches the engine; what else a command or a shell
asks of the network passes through unread, by the way it would have taken without the proxy.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import os
import re
import secrets
import socket
import threading
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import proxy_bypass_environment

import certifi

from local_sagemaker.client.callers_way import UnusableProxy, Way, from_user_name
from local_sagemaker.client.proxy import Handler, Proxy
from local_sagemaker.core import access_key
from local_sagemaker.core.access_key import AccessKey
from local_sagemaker.core.state_files import IDENTITY, IDENTITY_KEY
from local_sagemaker.core.store import is_disk_full

# sts.amazonaws.com, sts.REGION.amazonaws.com(.cn), sts-fips.REGION..., sts.REGION.api.aws
STS = re.compile(r"sts(-fips)?(\.[a-z0-9-]+)?\.(amazonaws\.com(\.cn)?|api\.aws)")
STS_HOST = "sts.us-east-1.amazonaws.com"  # one of them, to ask whether a rule covers them
LONGEST_BODY = 1024 * 1024  # bytes; STS takes less
CONNECT_LIMIT_S = 30
PIECE = 64 * 1024
LOOPBACK = "127.0.0.1,localhost"


class IdentityProxy(Proxy):
    """Answers for STS until the process ends or it is closed."""

    def __init__(
        self, engine: str, secret: str | None = None, port: int = 0, kept: Path | None = None
    ) -> None:
        """Listen on 127.0.0.1.

        Args:
            engine: address of the engine, ``http://127.0.0.1:PORT``.
            secret: who knows it may use the proxy: others on this machine must not reach the
                network by the callers' own proxies. None takes a random one.
            port: 0 takes a free one.
            kept: where its authority is kept from one process to the next; None keeps it nowhere.

        Raises:
            OSError: the port is taken.
        """
        self.secret = secret or secrets.token_urlsafe(16)
        super().__init__(engine, _Handler, port, kept)

    def connect(self, host: str, port: int, way: Way) -> socket.socket:
        """A connection towards `host`: direct, or a tunnel through the caller's own proxy.

        Raises:
            OSError: there is no way.
        """
        own = way.upstream
        if not own.hostname or proxy_bypass_environment(f"{host}:{port}", {"no": way.exceptions}):
            return socket.create_connection((host, port), timeout=CONNECT_LIMIT_S)
        tunnel = http.client.HTTPConnection(own.hostname, own.port or 80, timeout=CONNECT_LIMIT_S)
        tunnel.set_tunnel(host, port, _credentials(own))
        tunnel.connect()
        return tunnel.sock

    def handle_error(self, request, client_address) -> None:
        """Clients that go away are no defect, and the command's terminal is not ours."""


def variables(port: int, secret: str, authority: Path, way: Way, bundle: Path) -> dict[str, str]:
    """Variables that put a caller under the proxy on `port`; writes the bundle of authorities.

    Args:
        secret: the proxy's.
        authority: a file with the certificate of the proxy's authority.
        way: the caller's own.
        bundle: the file to write: that certificate, and those that the caller trusts.

    Raises:
        UnusableProxy: tunnels would have to go through a proxy that does not speak HTTP.
    """
    _ = way.upstream
    own = Path(way.trusted or os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where())
    real = own if own.is_file() else Path(certifi.where())
    bundle.write_bytes(authority.read_bytes() + real.read_bytes())
    url = f"http://{way.user_name}:{secret}@127.0.0.1:{port}"
    past = ",".join([LOOPBACK, *not_for_sts(way.exceptions)])
    return {
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": past,
        "no_proxy": past,
        "AWS_CA_BUNDLE": str(bundle),
    }


def answer(state: Path, engine: str) -> int:
    """Answer for the engine on `state` as long as this process lives; return the port.

    An engine that is to have the same port each time has its proxy on the next one, if it is free,
    so that a shell which knows both reaches them after a restart.
    """
    key, port = access_key.read(state), int(engine.rpartition(":")[2]) + 1
    kept = state / IDENTITY_KEY
    try:
        proxy = IdentityProxy(engine, secret_for(key), port, kept)
    except (OSError, OverflowError) as error:
        if is_disk_full(error):
            raise
        proxy = IdentityProxy(engine, secret_for(key), 0, kept)
    proxy.authority.write(state / IDENTITY)
    return proxy.server_port


def secret_for(key: AccessKey) -> str:
    """The secret of an engine's own proxy, which outlives the engine as its access key does."""
    return hmac.new(key.secret.encode(), b"identity proxy", "sha256").hexdigest()[:32]


def not_for_sts(exceptions: str) -> list[str]:
    """A caller's exceptions, less those that would lead past the proxy to the real STS.

    For their other hosts the proxy keeps to them itself.
    """
    entries = [entry.strip() for entry in exceptions.split(",")]
    return [e for e in entries if e and not proxy_bypass_environment(STS_HOST, {"no": e})]


class _Handler(Handler):
    """A client's request for a tunnel, and inside of one to STS its requests."""

    server: IdentityProxy

    def do_CONNECT(self) -> None:
        self.close_connection = True  # whatever follows is not asked of this proxy
        if (way := self._way()) is None:
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
            there = self.server.connect(host, port, way)
        except (OSError, http.client.HTTPException, UnusableProxy):
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

    def _way(self) -> Way | None:
        """The caller's own way, if it is one who may ask."""
        name, _, secret = _decoded(self.headers.get("Proxy-Authorization", "")).partition(":")
        if not secrets.compare_digest(secret.encode(), self.server.secret.encode()):
            return None
        return from_user_name(name)

    def _say(self, status: int, *headers: str) -> None:
        line = f"HTTP/1.1 {status} {http.client.responses[status]}"
        if status != 200:  # git asks without the secret first, and again when it may
            headers += ("Content-Length: 0", "Connection: close")
        self.wfile.write("\r\n".join([line, *headers, "", ""]).encode())


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def _decoded(header: str) -> str:
    try:
        return base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except ValueError:
        return ""


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
