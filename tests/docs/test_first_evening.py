"""The page "Your first evening", followed to the letter in an empty folder."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from documentation import ROOT, Block, blocks

from flask_otp_auth.testing.mongod import free_port

PAGE = ROOT / "docs" / "first_evening.rst"
# A file's name stands at the beginning of the paragraph above it.
NAMED = re.compile(r"^``([\w/]+\.(?:py|html))`` ", re.MULTILINE)
# What the test has done already, or shows in another way.
DONE = ("mkdir ", "python3 -m venv ", "pip install ", "python -m flask_otp_auth.testing.mongod ")
SECONDS = 60


class Evening:
    """A folder that grows as the page says, and the terminals in which its commands run."""

    def __init__(self, folder: Path, mongo_uri: str) -> None:
        self.folder = folder
        self.port, self.mail_port = free_port(), free_port()
        self.variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "FLASK_MONGO_URI": mongo_uri,
        }
        self.servers: list[subprocess.Popen[str]] = []
        self.mails = folder / "nothing yet"

    def write(self, block: Block) -> None:
        """Write a file of the page."""
        before = "\n".join(PAGE.read_text().splitlines()[: block.line])
        file = self.folder / NAMED.findall(before)[-1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.code)

    def export(self, name: str, value: str) -> None:
        """Set a variable; the database is that of the test."""
        if name != "FLASK_MONGO_URI":
            self.variables[name] = self.run(f"printf %s {value}")

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, command: str, port: int) -> Path:
        """Start a command that goes on until Ctrl-C, and return the file that it prints to."""
        log = self.folder / f"{port}.log"
        with log.open("w") as file:
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env={**self.variables, "PYTHONUNBUFFERED": "1"},
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.servers.append(server)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return log
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"{command}\n{log.read_text()}")

    def leads_to(self, port: int) -> str | None:
        """Return where a browser is led to from the first page."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("GET", "/", headers={"Accept": "text/html"})
            return connection.getresponse().headers["Location"]
        finally:
            connection.close()


@pytest.fixture
def evening(tmp_path: Path, mongo_uri: str) -> Iterator[Evening]:
    evening = Evening(tmp_path, mongo_uri)
    yield evening
    for server in evening.servers:
        server.terminate()
        server.wait(SECONDS)


def commands(block: Block) -> list[str]:
    """Return the commands of a block; one with a here-document is a single command."""
    return [block.code] if "<<" in block.code else block.code.splitlines()


def do(evening: Evening, command: str) -> None:
    """Do what the page says, on ports that are free."""
    command = command.replace("8025", str(evening.mail_port))
    if exported := re.fullmatch(r"export (\w+)=(.*)", command):
        evening.export(*exported.groups())
    elif command.startswith("python -m aiosmtpd"):
        evening.mails = evening.start(command, evening.mail_port)
    elif command.startswith(("flask --app shop run", "gunicorn")):
        listens = "--bind 127.0.0.1:" if command.startswith("gunicorn") else "--no-reload --port "
        port = free_port()
        evening.start(f"{command} {listens}{port}", port)
        assert evening.leads_to(port) == "/otp/login?next=/"
    elif command.endswith("otp check"):
        assert "JWT_COOKIE_SECURE" in evening.run(command, fails=True)
    elif not command.startswith(DONE):
        evening.run(command)


@pytest.mark.slow
def test_an_evening_with_the_docs_ends_with_a_login_mail_and_a_server(evening: Evening) -> None:
    for block in blocks(PAGE):
        if block.language in ("python", "html"):
            evening.write(block)
        else:
            for command in commands(block):
                do(evening, command)

    assert "To: you@example.com" in evening.mails.read_text()
    assert len(evening.servers) == 5
