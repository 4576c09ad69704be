"""Servers on free loopback ports for the tests, and a client that sends bytes as they are."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

HOST = "127.0.0.1"
#: The environment of a served application without limits.
NO_LIMITS = {f"FLASK_OTP_AUTH_{of}_LIMITS": "null" for of in ("CLIENT", "IDENTIFIER")}
PATIENCE = 60.0  # seconds until a server that does not do what was asked is given up
ROOT = Path(__file__).parents[2]
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Site:
    """Where a server listens.

    :param ports: where each of its processes listens alone, if there are several.
    """

    port: int
    ports: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] = JSON,
        *,
        chunked: bool = False,
        timeout: float = PATIENCE,
    ) -> Answer:
        """Send one request and read its answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout)
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
        with contextlib.closing(connection):
            connection.putrequest(method, path)
            for name, value in {**headers, **length}.items():
                connection.putheader(name, value)
            connection.endheaders()
            # A server may answer and close before it has read all.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(in_chunks(body) if chunked else body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """Post JSON."""
        return self.send("POST", path, json.dumps(body).encode(), {**JSON, **(headers or {})})

    def initiate(
        self, identifier: str = "+46701234567", method: str = "sms", **members: Any
    ) -> str:
        """Start a session and return its id."""
        answer = self.post("/otp/initiate", {"identifier": identifier, "method": method, **members})
        assert answer.status == 200, answer.text
        return str(answer.json["data"]["sessionId"])

    def verify(self, session_id: str, code: str) -> Answer:
        """Try a code."""
        return self.post("/otp/verify", {"sessionId": session_id, "code": code})


def in_chunks(body: bytes, size: int = 4096) -> bytes:
    """Return *body* in the chunked transfer coding of RFC 9112."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def threaded(app: Flask) -> Iterator[Site]:
    """Serve *app* from threads of this process."""
    server = make_server(HOST, 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Site(server.server_port)
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()
        assert not thread.is_alive(), "the server did not stop"


@contextlib.contextmanager
def process(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    cwd: Path = ROOT,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* in a process group of its own, and end all of that group at the end."""
    with contextlib.ExitStack() as stack:
        output = subprocess.DEVNULL if log is None else stack.enter_context(log.open("wb"))
        # Started in the background, or by nohup, we ignore these, and so would the child.
        ignored = (signal.SIGINT, signal.SIGHUP)
        before = [signal.signal(each, signal.default_int_handler) for each in ignored]
        try:
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        finally:
            for each, handler in zip(ignored, before, strict=True):
                signal.signal(each, handler)
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()
            try:
                child.wait(PATIENCE)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait(PATIENCE)


@contextlib.contextmanager
def gunicorn(
    database: str,
    log: Path,
    *,
    app: str = "support.served_app",
    folder: Path = ROOT / "tests",
    workers: int = 4,
    worker_class: str = "sync",
    options: Sequence[str] = (),
    **env: str,
) -> Iterator[Site]:
    """Serve an application from *workers* processes of gunicorn, all of them ready.

    With the option ``--preload`` the app is loaded once for all of them, which starts sooner.
    Each process also has a port of its own, see ``gunicorn_conf.py``.

    :param database: its ``MONGO_URI``.
    :param app: the module with its ``create_app``.
    :param folder: where that is imported from.
    :param log: gets what gunicorn writes.
    :param options: more of gunicorn's; one that is here too replaces ours.
    :param env: what else the app finds in its environment.
    """
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server((HOST, 0), backlog=2048))
            for _ in range(1 + workers)
        ]
        shared, *own = [listener.getsockname()[1] for listener in listeners]
        site = Site(shared, tuple(own))
        command = [
            *(sys.executable, "-m", "gunicorn", f"{app}:create_app()"),
            f"--config={Path(__file__).with_name('gunicorn_conf.py')}",
            f"--pythonpath={folder},{ROOT / 'examples'}",
            *(f"--bind=fd://{listener.fileno()}" for listener in listeners),
            f"--workers={workers}",
            f"--worker-class={worker_class}",
            f"--threads={1 if worker_class == 'sync' else 4}",
            "--graceful-timeout=5",
            "--no-control-socket",
            *options,
        ]
        env |= {"MONGO_URI": database, "PYTHONPATH": python_path()}
        inherited = [listener.fileno() for listener in listeners]
        with process(command, env={**os.environ, **env}, log=log, pass_fds=inherited) as child:
            stack.close()  # ours: once gunicorn ends, nobody listens

            def all_answered() -> bool:
                answers = send_together(site, [post_bytes("/", {})] * workers)
                return len({answer.headers["X-Process"] for answer in answers}) == workers

            wait_until(all_answered, child, log)
            yield site


def freeze(pid: int) -> None:
    """Stop a child process and wait until it has stopped: on a busy machine that takes a while."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def thaw(pid: int) -> None:
    """Let a child process go on, as if no time had passed."""
    os.kill(pid, signal.SIGCONT)


def python_path() -> str:
    """Return a PYTHONPATH with the package in it, installed or not."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def wait_until(condition: Callable[[], bool], child: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for *condition* to be true while *child* lives."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionError):
            if condition():
                return
        assert child.poll() is None, f"it ended with {child.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not within {PATIENCE} s:\n{log.read_text()}"
        time.sleep(0.02)


def post_bytes(path: str, body: Any, headers: Mapping[str, str] | None = None) -> bytes:
    """Return one whole POST of JSON as it goes over the wire."""
    content = json.dumps(body).encode()
    fields = {"Host": HOST, **JSON, **(headers or {}), "Content-Length": str(len(content))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def send_together(site: Site, requests: Sequence[bytes]) -> list[Answer]:
    """Send all *requests* on connections of their own, the last byte of each at once.

    The processes of the site get equal shares. Every answer is read to its Content-Length and its
    connection closed at once, since gunicorn waits for that.
    """
    ports = [*(site.ports or [site.port])]
    random.shuffle(ports)
    pairs = zip(itertools.cycle(ports), requests, strict=False)
    readers = [_Reader(port, request) for port, request in pairs]
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for reader in readers:
            stack.enter_context(reader.socket)
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        for reader in readers:
            reader.release()
        deadline = time.monotonic() + PATIENCE
        while selector.get_map():
            assert time.monotonic() < deadline, "some requests were not answered"
            for key, _ in selector.select(timeout=1):
                if key.data.read():
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    return [reader.answer() for reader in readers]


class _Reader:
    """One connection that has sent all of its request but the last byte."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request[:-1])
        self._last = request[-1:]
        self._received = b""

    def release(self) -> None:
        self.socket.sendall(self._last)

    def read(self) -> bool:
        """Take what is there; whether the answer is whole."""
        data = self.socket.recv(65536)
        assert data, f"the connection was closed after {self._received!r}"
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        return bool(gap) and len(body) >= int(self._headers(head).get("Content-Length", 0))

    def answer(self) -> Answer:
        head, _, body = self._received.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]), self._headers(head), body)

    @staticmethod
    def _headers(head: bytes) -> Message:
        lines = head.decode("latin-1").split("\r\n")[1:]
        message = Message()
        for name, _, value in (line.partition(":") for line in lines):
            message[name] = value.strip()
        return message
