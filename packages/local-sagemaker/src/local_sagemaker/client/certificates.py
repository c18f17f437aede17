"""A certificate authority of this machine's own, so that TLS can be answered locally."""

from __future__ import annotations

import datetime
import ssl
import tempfile
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local_sagemaker.core.access_key import write_private

LIFETIME = datetime.timedelta(days=365)  # an engine may run for months
PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates for hosts; its own key ends with the process, unless it is kept."""

    def __init__(self, kept: Path | None = None) -> None:
        """Make an authority, or take the one of a former process.

        Args:
            kept: the file that only its owner reads, with the authority's key and certificate. It
                is made if it is not there, is damaged, or will expire soon.
        """
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local_sagemaker")])
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        if found := _read(kept) if kept else None:
            self._key, self.certificate = found
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._self_signed()
        if kept:
            write_private(kept, (_text_of(self._key) + self.certificate.public_bytes(PEM)).decode())

    def write(self, file: Path) -> Path:
        """Write the certificate that clients must trust to `file`, as PEM."""
        file.write_bytes(self.certificate.public_bytes(PEM))
        return file

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to answer TLS as `host`."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._context(host)
            return self._contexts[host]

    def _context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._for_host(host, key.public_key())
        text = signed.public_bytes(PEM) + _text_of(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only
            file.write(text)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _self_signed(self) -> x509.Certificate:
        usage = {name: name in {"key_cert_sign", "crl_sign"} for name in _USAGES}
        return (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _for_host(self, host: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        # The common name holds 64 characters at most, a host may have more: clients read the SAN.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        return (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _text_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(PEM, form, plain)


def _read(file: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None:
    """The key and the certificate in `file`, if they are good for some time yet."""
    try:
        text = file.read_bytes()
        key = serialization.load_pem_private_key(text, None)
        certificate = x509.load_pem_x509_certificate(text)
    except (OSError, ValueError):
        return None
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return (key, certificate) if left > LIFETIME / 2 else None


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
