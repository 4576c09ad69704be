"""The load client: whole logins over a few kept-alive connections, every answer checked.

It is one thread around one selector, with prepared bytes and no HTTP library, because it shares
the cores with what it measures. Run as a process of its own (``python -m harness.load``): one
JSON object in ``argv``, one on standard output.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .dialects import DIALECTS, Answer, Dialect, UnexpectedAnswerError

MAX_FAILURES = 20
# A connection is given up after so many logins, so that which worker happened to accept how many
# of them averages out within a run.
RENEW_AFTER = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: *logins* in number and *seconds* in time both bound the run."""

    port: int
    dialect: str
    connections: int
    logins: int
    seconds: float
    first: int = 0


@dataclass(slots=True)
class Outcome:
    """What came of a plan; times in seconds, latencies in milliseconds."""

    logins: int = 0
    failures: int = 0
    first_failure: str | None = None
    seconds: float = 0.0
    client_cpu: float = 0.0
    initiate_ms: list[float] = field(default_factory=list)
    verify_ms: list[float] = field(default_factory=list)


class Connection:
    """One connection and the login that is under way on it."""

    __slots__ = ("asked_at", "buffer", "logins", "number", "sock", "started_ms", "verifying")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.number = 0
        self.logins = 0
        self.verifying = False
        self.asked_at = 0.0
        self.started_ms = 0.0

    def ask(self, request: bytes) -> None:
        """Send *request* and start its clock."""
        self.asked_at = time.perf_counter()
        self.sock.sendall(request)

    def read(self) -> Answer | None:
        """Take what has arrived; return the answer once it is whole."""
        data = self.sock.recv(65536)
        if not data:
            raise UnexpectedAnswerError(f"connection closed after {self.buffer[:200]!r}")
        self.buffer += data
        answer = parse(self.buffer)
        if answer is not None:
            self.buffer = b""
        return answer


def parse(data: bytes) -> Answer | None:
    """Return the answer in *data*, or ``None`` while its end has not come."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, body = data[:end], data[end + 4 :]
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at >= 0:
        if len(body) < int(lower[at + 17 :].split(b"\r\n", 1)[0]):
            return None
    elif b"\r\ntransfer-encoding: chunked" in lower:
        if not body.endswith(b"0\r\n\r\n"):
            return None
        body = unchunk(body)
    return Answer(int(head[9:12]), head, body)


def unchunk(body: bytes) -> bytes:
    """Join the chunks of a whole chunked *body*."""
    parts: list[bytes] = []
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(parts)
        parts.append(rest[:length])
        body = rest[length + 2 :]


class Load:
    """A run of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._dialect: Dialect = DIALECTS[plan.dialect]
        self._selector = selectors.DefaultSelector()
        self._outcome = Outcome()
        self._next = plan.first
        self._until = 0.0

    def run(self) -> Outcome:
        """Keep every connection busy until the plan is done, then let the last logins end."""
        outcome = self._outcome
        start, used = time.perf_counter(), time.process_time()
        self._until = start + self._plan.seconds
        for index in range(self._plan.connections):
            # Out of step, so that the connections are not all renewed at once.
            self._open(logins=index * RENEW_AFTER // self._plan.connections)
        while self._selector.get_map():
            ready = self._selector.select(timeout=60)
            if not ready:
                raise TimeoutError("no answer within 60 s")
            for key, _ in ready:
                self._advance(key.data)
        outcome.seconds = time.perf_counter() - start
        outcome.client_cpu = time.process_time() - used
        return outcome

    def _open(self, logins: int = 0) -> None:
        if not self._more():
            return
        connection = Connection(self._plan.port)
        connection.logins = logins
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        self._begin(connection)

    def _close(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def _more(self) -> bool:
        return (
            self._next < self._plan.first + self._plan.logins
            and time.perf_counter() < self._until
            and self._outcome.failures < MAX_FAILURES
        )

    def _begin(self, connection: Connection) -> None:
        connection.number = self._next
        self._next += 1
        connection.verifying = False
        connection.ask(self._dialect.begin(connection.number))

    def _advance(self, connection: Connection) -> None:
        try:
            answer = connection.read()
            if answer is None:
                return
            taken = (time.perf_counter() - connection.asked_at) * 1000
            if not connection.verifying:
                connection.started_ms = taken
                request = self._dialect.finish(connection.number, answer)
                connection.verifying = True
                connection.ask(request)
                return
            self._dialect.accept(connection.number, answer)
        except (UnexpectedAnswerError, OSError, KeyError, TypeError, ValueError) as error:
            self._outcome.failures += 1
            self._outcome.first_failure = self._outcome.first_failure or repr(error)
            self._close(connection)
            self._open()
            return
        self._outcome.logins += 1
        self._outcome.initiate_ms.append(connection.started_ms)
        self._outcome.verify_ms.append(taken)
        connection.logins += 1
        if not self._more():
            self._close(connection)
        elif connection.logins >= RENEW_AFTER or b"\r\nconnection: close" in answer.head.lower():
            self._close(connection)
            self._open()
        else:
            self._begin(connection)


def percentile(values: list[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def summary(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome with its latencies summed up."""
    result = asdict(outcome)
    for name in ("initiate_ms", "verify_ms"):
        values = result.pop(name)
        result[name] = {
            "p50": percentile(values, 0.5),
            "p90": percentile(values, 0.9),
            "p99": percentile(values, 0.99),
        }
    return result


if __name__ == "__main__":
    print(json.dumps(summary(Load(Plan(**json.loads(sys.argv[1]))).run())))
