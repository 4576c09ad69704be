"""Stand-ins on loopback for those who deliver: an SMTP server, an HTTP gateway, one that hangs."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask, Response, request

from flask_otp_auth.testing.mongod import free_port
from support.servers import HOST, PATIENCE, Site, threaded

USER, PASSWORD = "mailer", "smtp-pass-word"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a new certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@dataclass
class Mailbox:
    """An SMTP server that asks for STARTTLS and a login, and what it got."""

    port: int
    received: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    is_plain: bool = False
    refusal: str | None = None

    @property
    def url(self) -> str:
        """Its Apprise URL."""
        sender = "from=no-reply@example.com"
        return f"mailtos://{USER}:{PASSWORD}@{HOST}:{self.port}?{sender}&mode=starttls"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert self.is_plain or session.ssl is not None
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        self.received.append((list(envelope.rcpt_tos), message))
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, how: str, data: Any) -> Any:
        self.logins.append(data.login.decode())
        is_right = data.password == PASSWORD.encode()
        return AuthResult(
            success=is_right, handled=False, message=None if is_right else self.refusal
        )


@contextlib.contextmanager
def plain_smtp_server() -> Iterator[Mailbox]:
    """Run an SMTP server that has neither TLS nor a login."""
    mailbox = Mailbox(free_port(), is_plain=True)
    controller = Controller(mailbox, hostname=HOST, port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@contextlib.contextmanager
def smtp_server(cert: Path, key: Path) -> Iterator[Mailbox]:
    """Run an SMTP server with STARTTLS and login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    mailbox = Mailbox(free_port())
    controller = Controller(
        mailbox,
        hostname=HOST,
        port=mailbox.port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=mailbox.authenticate,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Gateway:
    """An HTTP gateway for SMS, and what it was asked."""

    site: Site
    status: int = 200
    answer: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    logins: list[tuple[str | None, str | None]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its Apprise URL, with a login."""
        return f"json://gateway-user:gateway-password@{HOST}:{self.site.port}/sms/secret-path"


@contextlib.contextmanager
def http_gateway(status: int = 200, answer: str = "") -> Iterator[Gateway]:
    """Run an HTTP server that takes JSON, and answers with *status*."""
    app = Flask("gateway")
    gateway = Gateway(Site(0), status, answer)

    @app.route("/<path:path>", methods=["GET", "POST"])
    def take(path: str) -> Response:
        gateway.paths.append(request.full_path)
        gateway.bodies.append(request.get_data(as_text=True))
        if request.authorization is not None:
            login = request.authorization
            gateway.logins.append((login.username, login.password))
        body = request.get_json(silent=True)
        gateway.received.append(body if body is not None else request.form.to_dict())
        return Response(gateway.answer, gateway.status)

    with threaded(app) as site:
        gateway.site = site
        yield gateway


@contextlib.contextmanager
def hanging_server() -> Iterator[int]:
    """Take connections and never say a word; yields the port."""
    taken: list[socket.socket] = []
    stopped = threading.Event()
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(0.05)

        def accept() -> None:
            while not stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            thread.join(PATIENCE)
            for connection in taken:
                connection.close()
