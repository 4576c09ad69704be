"""The files of ``examples/deploy`` on loopback: nginx with TLS, two gunicorns, a mail server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from replica_set import wait_for
from support.servers import HOST, JSON, PATIENCE, ROOT, Answer, process, python_path

from flask_otp_auth.testing.mongod import free_port

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
OPENSSL = shutil.which("openssl")
DEPLOY = ROOT / "examples" / "deploy"
MACHINES = ("app1", "app2")


@dataclass
class Mails:
    """A mail server that takes every mail, and the codes in them by address."""

    port: int
    codes: dict[str, list[str]] = field(default_factory=dict)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        text = message.get_body(["plain"])
        assert text is not None
        [code] = re.findall(r"\b\d{6}\b", text.get_content())
        for recipient in envelope.rcpt_tos:
            self.codes.setdefault(recipient, []).append(code)
        return "250 taken"


@contextlib.contextmanager
def mail_server() -> Iterator[Mails]:
    """Run it on a free port."""
    mails = Mails(free_port())
    controller = Controller(mails, hostname=HOST, port=mails.port)
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()


@dataclass(frozen=True)
class Deployment:
    """What a client sees of it, and the machines behind."""

    https: int
    http: int
    trust: ssl.SSLContext
    mails: Mails
    logs: Mapping[str, Path]
    env: Mapping[str, str]
    machines: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        client: str = HOST,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request over TLS, from an address of this machine."""
        connection = http.client.HTTPSConnection(
            "localhost",
            self.https,
            timeout=PATIENCE,
            source_address=(client, 0),
            context=self.trust,
        )
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {**JSON, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def initiate(self, person: str, **how: Any) -> Answer:
        """Ask for a code by email."""
        body = {"identifier": person, "method": "email"}
        return self.ask("POST", "/otp/initiate", body, **how)

    def verify(self, session_id: str, code: str) -> Answer:
        """Try a code."""
        return self.ask("POST", "/otp/verify", {"sessionId": session_id, "code": code})

    def kill(self, name: str) -> None:
        """End all processes of a machine, and wait until nginx has noticed."""
        os.killpg(self.machines[name].pid, signal.SIGKILL)
        self.machines[name].wait(PATIENCE)
        wait_for(self.all_is_well, "nginx does not pass the dead machine over", PATIENCE)

    def all_is_well(self) -> bool:
        """Whether nobody would notice if a machine were missing."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return [self.ask("GET", "/healthz").status for _ in range(4)] == [200] * 4
        return False

    def served_by(self) -> Mapping[str, int]:
        """Return how many requests to the endpoints each machine has answered."""
        return {name: log.read_text().count('"POST /otp/') for name, log in self.logs.items()}


@contextlib.contextmanager
def deployment(
    mongo_uri: str, redis_uri: str, folder: Path, **options: str
) -> Iterator[Deployment]:
    """Run the files of ``examples/deploy`` as they are, but for addresses and ports.

    :param options: of the application, without ``FLASK_``.
    """
    ports = dict(zip(MACHINES, _free_ports(2), strict=True))
    https, plain = _free_ports(2)
    certificate = _certificate(folder)
    with contextlib.ExitStack() as stack:
        mails = stack.enter_context(mail_server())
        env = {
            **os.environ,
            "FLASK_SECRET_KEY": "the same on both of the machines",
            "FLASK_JWT_SECRET_KEY": "the same on both of the machines, for tokens",
            "FLASK_MONGO_URI": mongo_uri,
            "FLASK_RATELIMIT_STORAGE_URI": redis_uri,
            "FLASK_OTP_AUTH_EMAIL_URLS": json.dumps(
                [f"mailto://{HOST}:{mails.port}?from=login@example.com"]
            ),
            "PYTHONPATH": python_path(),
            **{f"FLASK_{name}": value for name, value in options.items()},
        }
        running = Deployment(
            https=https,
            http=plain,
            trust=ssl.create_default_context(cafile=certificate),
            mails=mails,
            logs={name: folder / f"{name}.log" for name in MACHINES},
            env=env,
        )
        for name, port in ports.items():
            machine = process(
                [sys.executable, "-m", "gunicorn"],
                env={**env, "BIND": f"{HOST}:{port}"},
                log=running.logs[name],
                cwd=DEPLOY,
            )
            running.machines[name] = stack.enter_context(machine)
        for port in ports.values():
            wait_for(lambda port=port: _listens(port), "gunicorn does not start", PATIENCE)
        stack.enter_context(_nginx(folder, ports, https, plain, certificate))
        wait_for(lambda: _all_serve(running), "the deployment does not start", PATIENCE)
        yield running


def _all_serve(running: Deployment) -> bool:
    return running.all_is_well() and all(
        "/healthz" in log.read_text() for log in running.logs.values()
    )


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((HOST, port), timeout=1).close()
        return True
    return False


def _free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def _certificate(folder: Path) -> Path:
    certificate = folder / "server.crt"
    subprocess.run(
        [
            *(str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / "server.key", "-out", certificate),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate


@contextlib.contextmanager
def _nginx(
    folder: Path, ports: Mapping[str, int], https: int, plain: int, certificate: Path
) -> Iterator[None]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    writable = "".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    changes = {
        "listen 80;": f"listen {HOST}:{plain};",
        "listen 443 ssl;": f"listen {HOST}:{https} ssl;",
        "/etc/nginx/tls/server.crt": str(certificate),
        "/etc/nginx/tls/server.key": str(certificate.with_suffix(".key")),
        "http {": f"http {{ access_log off; {writable}",
        **{f"{name}:8000": f"{HOST}:{port}" for name, port in ports.items()},
    }
    text = (DEPLOY / "nginx.conf").read_text()
    for ours, here in changes.items():
        assert ours in text, f"nginx.conf has no {ours}"
        text = text.replace(ours, here)
    conf = folder / "nginx.conf"
    conf.write_text(f"pid {folder / 'nginx.pid'};\n{text}")
    command = [str(NGINX), "-p", str(folder), "-c", str(conf), "-e", str(folder / "nginx.err")]
    with process([*command, "-g", "daemon off;"], log=folder / "nginx.log"):
        yield
