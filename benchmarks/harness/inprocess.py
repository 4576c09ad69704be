"""A process that calls one WSGI app directly, with no HTTP server, and tells what a login took.

Run as ``python -m harness.inprocess`` with the app's environment: one JSON object in ``argv``, one
on standard output. The CPU time is this process's own; a sampler on the CPU clock divides it among
the parts of the program, and a listener of the driver counts the commands.
"""

from __future__ import annotations

import importlib
import io
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from types import FrameType
from typing import Any
from wsgiref.types import WSGIApplication

from pymongo import monitoring

from .dialects import CODE, DIALECTS, Answer, Dialect, UnexpectedAnswerError

# The kernel looks at the CPU clock at its own ticks, mostly 250 a second; asking for more is vain.
TICK = 0.001

Rules = tuple[tuple[str, tuple[str, ...]], ...]

# Who pays for a sample: the first of these that any frame of the stack belongs to...
CLAIMS: Rules = (
    (
        "client limits",
        (
            "/flask_otp_auth/http/client_limits",
            "/flask_otp_auth/store/limiter_storage",
            "/flask_limiter/",
            "/limits/",
            "/redis/",
        ),
    ),
    ("accounts", ("/flask_otp_auth/store/account",)),
    ("token", ("/flask_otp_auth/tokens", "/flask_jwt_extended/", "/jwt/")),
)
# ... or else the innermost frame that belongs to one of these.
PARTS: Rules = (
    ("driver", ("/pymongo/", "/bson/")),
    (
        "identifier",
        ("/flask_otp_auth/identifiers", "/email_validator/", "/idna/", "/phonenumbers/"),
    ),
    ("codes and HMAC", ("/flask_otp_auth/codes", "/hmac.py", "/secrets.py")),
    ("JSON", ("/json/", "/flask/json/")),
    ("schemas", ("/marshmallow/", "/flask_otp_auth/http/schemas")),
    ("views", ("/flask_otp_auth/http/",)),
    ("sessions", ("/flask_otp_auth/store/",)),
    ("flow and the rest of ours", ("/flask_otp_auth/",)),
    ("Flask and Werkzeug", ("/flask/", "/werkzeug/", "/flask_pymongo/")),
    ("app", ("/peers/floor/", "/peers/ours/")),
    ("measurement", ("/harness/",)),
)


def part_of(frame: FrameType | None) -> str:
    """Return the part of the program that the stack of *frame* is at work for."""
    names = []
    while frame is not None:
        names.append(frame.f_code.co_filename)
        frame = frame.f_back
    for part, marks in CLAIMS:
        if any(mark in name for name in names for mark in marks):
            return part
    for name in names:
        for part, marks in PARTS:
            if any(mark in name for mark in marks):
                return part
    return "other"


class Sampler:
    """Counts, tick by tick of the CPU clock, which part is at work."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Sampler:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
        return self

    def __exit__(self, *details: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        self.counts[part_of(frame)] += 1


class Commands(monitoring.CommandListener):
    """Counts the commands that the driver sends."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count one."""
        self.counts[f"{event.command_name} {event.command.get(event.command_name)}"] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to count."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to count."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: *count* counts commands, *sample* divides the CPU time; neither is free."""

    wsgi: str
    dialect: str
    logins: int
    warm_up: int
    sample: bool = False
    count: bool = False


class Caller:
    """Calls a WSGI app with the bytes that the load client would send."""

    def __init__(self, app: WSGIApplication, dialect: Dialect) -> None:
        self._app = app
        self._dialect = dialect

    def login(self, n: int) -> None:
        """Do the whole login *n*."""
        answer = self._call(self._dialect.begin(n))
        self._dialect.accept(n, self._call(self._dialect.finish(n, answer)))

    def _call(self, request: bytes) -> Answer:
        head, _, body = request.partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": line.split(" ")[1],
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for header in headers:
            name, _, value = header.partition(": ")
            name = name.upper().replace("-", "_")
            environ[name if name.startswith("CONTENT_") else f"HTTP_{name}"] = value
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started[:] = [status, headers]

        chunks = self._app(environ, start_response)
        content = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
        status, fields = started
        code = next((value for name, value in fields if name.lower().encode() == CODE), None)
        header = f"\r\n{CODE.decode()}: {code}" if code else ""
        return Answer(int(status[:3]), header.encode(), content)


def run(plan: Plan) -> dict[str, Any]:
    """Do the logins of *plan* and return what they took."""
    commands = Commands()
    if plan.count:
        monitoring.register(commands)
    module, _, name = plan.wsgi.partition(":")
    found = getattr(importlib.import_module(module), name.removesuffix("()"))
    caller = Caller(found() if name.endswith("()") else found, DIALECTS[plan.dialect])
    for n in range(plan.warm_up):
        caller.login(n)
    commands.counts.clear()
    sampler = Sampler()
    started = time.process_time()
    if plan.sample:
        with sampler:
            _logins(caller, plan)
    else:
        _logins(caller, plan)
    used = time.process_time() - started
    ticks = sampler.counts.total()
    return {
        "cpu_us": used / plan.logins * 1e6,
        "ticks": ticks,
        "parts": {part: n / ticks for part, n in sampler.counts.most_common()},
        "commands": {name: n / plan.logins for name, n in commands.counts.most_common()},
    }


def _logins(caller: Caller, plan: Plan) -> None:
    for n in range(plan.warm_up, plan.warm_up + plan.logins):
        caller.login(n)


if __name__ == "__main__":
    try:
        print(json.dumps(run(Plan(**json.loads(sys.argv[1])))))
    except UnexpectedAnswerError as error:
        sys.exit(f"a login failed: {error}")
