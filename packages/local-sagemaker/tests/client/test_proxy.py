"""A certificate of the run's own authority is good for its host, and for no other."""

import contextlib
import socket
import ssl
import threading

import pytest

from local_sagemaker.client.proxy import Authority

HOST = "bucket.s3.us-east-1.amazonaws.com"


def shake(authority: Authority, trusted: ssl.SSLContext, asked: str, host: str = HOST) -> None:
    """One TLS handshake with a server that answers as `host`, by a client that asks for `asked`."""
    ours, theirs = socket.socketpair()
    server = authority.context(host)

    def serve():
        with ours, contextlib.suppress(OSError):  # the client may refuse
            server.wrap_socket(ours, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with theirs, trusted.wrap_socket(theirs, server_hostname=asked):
            pass
    finally:
        thread.join(timeout=10)


def trusting(authority: Authority, tmp_path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.write(tmp_path / "ca.pem")))


def test_a_client_that_trusts_the_authority_believes_the_host(tmp_path):
    authority = Authority()
    context = trusting(authority, tmp_path)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    shake(authority, context, HOST)


def test_another_host_is_not_believed(tmp_path):
    authority = Authority()
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        shake(authority, trusting(authority, tmp_path), "other.s3.us-east-1.amazonaws.com")


def test_another_authority_is_not_believed(tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(Authority(), trusting(Authority(), tmp_path), HOST)


def test_no_key_is_written(tmp_path):
    assert "PRIVATE" not in Authority().write(tmp_path / "ca.pem").read_text()


@pytest.mark.parametrize("bucket", ["a" * 63, "my--dogs", "1-dog"])
def test_a_bucket_of_any_name_has_its_certificate(tmp_path, bucket):
    authority, host = Authority(), f"{bucket}.s3.us-east-1.amazonaws.com"
    shake(authority, trusting(authority, tmp_path), host, host)


def test_an_authority_that_is_kept_is_the_same_for_the_next_process(tmp_path):
    file = tmp_path / "kept.pem"
    first = Authority(file).certificate
    assert file.stat().st_mode & 0o777 == 0o600
    again = Authority(file)
    assert again.certificate == first
    shake(again, trusting(again, tmp_path), HOST)
    assert Authority(tmp_path / "other.pem").certificate != first
    for damaged in (b"", file.read_bytes()[:100]):
        file.write_bytes(damaged)
        assert Authority(file).certificate != first
