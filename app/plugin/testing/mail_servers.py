"""A recording mail server on loopback: plain, STARTTLS, or TLS from the start."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.plugin.testing.http_servers import PATIENCE_S


@dataclass
class MailServer:
    """Received messages, and the responses to each recipient and each message."""

    host: str = "127.0.0.1"
    port: int = 0
    password: str | None = None
    recipient_answer: str = "250 OK"
    message_answer: str = "250 OK"
    letters: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Any] = field(default_factory=list)
    certificate_pem: bytes = b""
    arrival: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, *, timeout_s: float = PATIENCE_S) -> list[EmailMessage]:
        """Return the messages as soon as there are `count`. Raise TimeoutError."""
        with self.arrival:
            if not self.arrival.wait_for(lambda: len(self.letters) >= count, timeout_s):
                raise TimeoutError(f"{len(self.letters)} of {count} emails received within {timeout_s} s")
            return list(self.letters)

    async def handle_MAIL(self, _server: Any, session: Any, envelope: Any, address: str, _options: Any) -> str:
        """Require a login first if there is a password."""
        if self.password is not None and not session.authenticated:
            return "530 log in first"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """Accept or refuse a recipient."""
        if self.recipient_answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Store the message."""
        if self.message_answer.startswith("2"):
            with self.arrival:
                self.envelopes.append(envelope)
                self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
                self.arrival.notify_all()
        return self.message_answer

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        """Compare the password with ours."""
        success = self.password is not None and data.password == self.password.encode()
        return AuthResult(success=success, handled=success)


@contextmanager
def mail_server(connection_type: str = "plain", *, password: str | None = None) -> Iterator[MailServer]:
    """Yield a running mail server, and stop it after the block.

    With a password it requires a login.
    """
    server = MailServer(password=password)
    certificate, key = self_signed_certificate()
    server.certificate_pem = certificate
    context = _server_context(certificate, key)
    with _free_port() as port:
        server.port = port
    controller = Controller(
        server,
        hostname=server.host,
        port=server.port,
        ssl_context=context if connection_type == "ssl" else None,
        tls_context=context if connection_type == "starttls" else None,
        require_starttls=connection_type == "starttls",
        authenticator=server.authenticate if password else None,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@lru_cache(maxsize=1)
def self_signed_certificate() -> tuple[bytes, bytes]:
    """Return an untrusted certificate for 127.0.0.1 and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(certificate + key)
        context.load_cert_chain(path)
    return context


@contextmanager
def _free_port() -> Iterator[int]:
    """Yield a port that is free now; aiosmtpd cannot report which one it has opened."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]
