"""The identity proxy: STS is answered at its own hosts; all else passes through, or is refused."""

import base64
import contextlib
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import boto3
import certifi
import pytest
from botocore.config import Config

from local_sagemaker import ROLE_ARN
from local_sagemaker.client import identity_proxy
from local_sagemaker.client.callers_way import UnusableProxy, Way
from local_sagemaker.client.identity_proxy import STS, IdentityProxy


@pytest.fixture(scope="module")
def proxy_for(aws):
    """Starts a proxy before the run's engine, for a caller with these proxies of their own."""
    made = []

    def start(proxy: str = "", exceptions: str = "") -> IdentityProxy:
        made.append(IdentityProxy(aws.url))
        made[-1].way = Way(proxy, exceptions)
        return made[-1]

    yield start
    ends = [threading.Thread(target=one.shutdown) for one in made]  # each takes half a second
    for end in ends:
        end.start()
    for end, one in zip(ends, made, strict=True):
        end.join()
        one.server_close()


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets and, at the end of that, 'over'."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                with connection:
                    while piece := connection.recv(65536):
                        connection.sendall(piece)
                    connection.sendall(b"over")

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def address(proxy: IdentityProxy) -> str:
    return f"http://{proxy.way.user_name}:{proxy.secret}@127.0.0.1:{proxy.server_port}"


def variables(proxy: IdentityProxy, folder: Path, trusted: str = "") -> dict[str, str]:
    """What puts a caller under the proxy."""
    authority = proxy.authority.write(folder / "authority.pem")
    way = replace(proxy.way, trusted=trusted)
    return identity_proxy.variables(
        proxy.server_port, proxy.secret, authority, way, folder / "all.pem"
    )


def ask(proxy: IdentityProxy, line: str, secret: str | None = None) -> socket.socket:
    """A connection to the proxy on which `line` was sent, with the command's or another secret."""
    connection = socket.create_connection(("127.0.0.1", proxy.server_port), timeout=10)
    secret = proxy.secret if secret is None else secret
    connection.sendall(head(line, secret, proxy.way.user_name))
    return connection


def head(line: str, secret: str, name: str = Way().user_name) -> bytes:
    pair = base64.b64encode(f"{name}:{secret}".encode()).decode()
    return f"{line} HTTP/1.1\r\nProxy-Authorization: Basic {pair}\r\n\r\n".encode()


def status(connection: socket.socket) -> int:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        assert piece, answer
        answer += piece
    return int(answer.split()[1])


def sent_back(proxy: IdentityProxy, port: int) -> bytes:
    """What comes back through a tunnel to the echo, after all was sent."""
    with ask(proxy, f"CONNECT localhost:{port}") as connection:
        assert status(connection) == 200
        sender = threading.Thread(
            target=lambda: (
                connection.sendall(bytes(range(256)) * 4096),
                connection.shutdown(socket.SHUT_WR),
            )
        )
        sender.start()
        received = b""
        while piece := connection.recv(65536):
            received += piece
        sender.join()
    return received


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "sts.us-east-1.amazonaws.com"),
        ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
        ("us-east-1", "sts.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_sts_tells_the_role_at_its_own_hosts(aws, proxy_for, tmp_path, region, host):
    proxy = proxy_for()
    trusted = variables(proxy, tmp_path)["AWS_CA_BUNDLE"]
    sts = boto3.client(
        "sts",
        endpoint_url=f"https://{host}",
        region_name=region,
        verify=trusted,
        config=Config(proxies={"https": address(proxy)}, retries={"max_attempts": 0}),
        aws_access_key_id=aws.key.id,
        aws_secret_access_key=aws.key.secret,
    )
    found = sts.get_caller_identity()
    name = ROLE_ARN.rpartition("/")[2]
    assert found["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{name}/SageMaker"
    assert found["Account"] == "123456789012"
    assert sts.get_caller_identity()["UserId"] == found["UserId"]  # the connection goes on


@pytest.mark.parametrize(
    "host",
    [
        "sts.us-east-1.amazonaws.com.example.org",
        "s3.us-east-1.amazonaws.com",
        "mysts.amazonaws.com",
        "sts.example.org",
        "a.sts.us-east-1.amazonaws.com",
        "sts.evil-amazonaws.com",
        "sts.my.bucket.amazonaws.com",
    ],
)
def test_no_other_host_is_taken_for_sts(host):
    assert not STS.fullmatch(host)


def test_all_else_passes_through_byte_by_byte_to_both_ends(proxy_for, echo):
    assert sent_back(proxy_for(), echo) == bytes(range(256)) * 4096 + b"over"


def test_inside_a_tunnel_the_hosts_own_certificate_is_seen(proxy_for):
    first, second = proxy_for(), proxy_for()  # the second plays a host elsewhere
    with ask(first, f"CONNECT localhost:{second.server_port}") as outer:
        assert status(outer) == 200
        outer.sendall(head("CONNECT sts.amazonaws.com:443", second.secret))
        assert status(outer) == 200
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=second.authority.certificate)
        with context.wrap_socket(outer, server_hostname="sts.amazonaws.com") as inside:
            assert inside.version()


def test_the_callers_own_proxy_is_asked_with_the_callers_name(proxy_for, echo):
    own = proxy_for()
    assert sent_back(proxy_for(address(own)), echo).endswith(b"over")
    wrong = address(own).replace(own.secret, "another")
    with ask(proxy_for(wrong), f"CONNECT localhost:{echo}") as connection:
        assert status(connection) == 502  # it was asked, and refused


def test_the_callers_exceptions_go_past_the_callers_proxy(proxy_for, echo):
    broken = "http://127.0.0.1:1"
    with ask(proxy_for(broken), f"CONNECT localhost:{echo}") as connection:
        assert status(connection) == 502
    assert sent_back(proxy_for(broken, "localhost"), echo).endswith(b"over")


@pytest.mark.parametrize("proxy", ["socks5h://127.0.0.1:9", "https://127.0.0.1:9"])
def test_a_proxy_of_another_kind_is_not_replaced(proxy_for, tmp_path, proxy):
    with pytest.raises(UnusableProxy, match=proxy.partition(":")[0]):
        variables(proxy_for(proxy), tmp_path)


@pytest.mark.parametrize("secret", ["", "guessed"])
@pytest.mark.parametrize("host", ["sts.amazonaws.com:443", "localhost:{echo}"])
def test_without_the_commands_secret_nobody_gets_through(proxy_for, echo, secret, host):
    line = f"CONNECT {host.format(echo=echo)}"
    with ask(proxy_for(), line, secret) as connection:
        assert status(connection) == 407


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("GET http://example.org/", 405),
        ("POST /", 405),
        ("CONNECT localhost:no-port", 400),
        ("CONNECT nobody.invalid:443", 502),
    ],
)
def test_what_is_no_tunnel_is_refused(proxy_for, line, code):
    with ask(proxy_for(), line) as connection:
        assert status(connection) == code
        assert connection.recv(1) == b""


def test_it_listens_on_loopback_alone(proxy_for):
    assert proxy_for().server_address[0] == "127.0.0.1"


def test_the_real_authorities_stay_trusted_beside_our_own(proxy_for, tmp_path, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    proxy = proxy_for()
    file = Path(variables(proxy, tmp_path)["AWS_CA_BUNDLE"])
    assert Path(certifi.where()).read_text() in file.read_text()
    assert proxy.authority.certificate in file.read_text()
    own = tmp_path / "own.pem"
    own.write_text(proxy_for().authority.certificate)
    variables(proxy, tmp_path, str(own))
    assert own.read_text() in file.read_text()
    assert proxy.authority.certificate in file.read_text()
    assert "PRIVATE" not in file.read_text()
    ssl.create_default_context(cafile=str(file))


@pytest.mark.parametrize(
    ("callers", "kept"),
    [
        ("", []),
        ("corp.example, .internal", ["corp.example", ".internal"]),
        ("*", []),
        (".amazonaws.com,corp.example", ["corp.example"]),
        ("sts.us-east-1.amazonaws.com", []),
    ],
)
def test_the_callers_exceptions_stay_unless_they_lead_to_the_real_sts(
    proxy_for, tmp_path, callers, kept
):
    found = variables(proxy_for("", callers), tmp_path)
    assert found["NO_PROXY"].split(",") == ["127.0.0.1", "localhost", *kept]
    assert found["no_proxy"] == found["NO_PROXY"] and found["https_proxy"] == found["HTTPS_PROXY"]
