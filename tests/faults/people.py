"""A person of the soak: signs in, mistypes, asks again, comes too late, or sends rubbish."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database
from support.servers import HOST, JSON
from traffic import Journal

RUBBISH: list[tuple[str, str, bytes, Mapping[str, str]]] = [
    ("POST", "/otp/initiate", b"\xff\xfe\x00{", JSON),
    ("POST", "/otp/initiate", b"[" * 10_000, JSON),
    ("POST", "/otp/initiate", b'{"identifier": {"$ne": 1}, "method": "sms"}', JSON),
    ("POST", "/otp/initiate", b'{"identifier": "nobody@", "method": "email"}', JSON),
    ("POST", "/otp/verify", b'{"sessionId": "' + b"0" * 32 + b'", "code": "000000"}', JSON),
    ("POST", "/otp/verify", b'{"sessionId": "../../", "code": "000000"}', JSON),
    ("POST", "/otp/verify", b'{"sessionId": "x", "code": 0, "a": NaN}', JSON),
    ("POST", "/otp/resend", b'{"sessionId": "' + b"f" * 32 + b'"}', JSON),
    ("POST", "/otp/verify", b"x" * 20_000, JSON),
    ("POST", "/otp/verify", b"sessionId=1", {"Content-Type": "application/octet-stream"}),
    ("GET", "/otp/verify", b"", JSON),
    ("POST", "/nowhere", b"{}", JSON),
]
# Then a person comes again on a new connection.
REQUESTS_A_CONNECTION = 25


@dataclass
class Login:
    """One session as its owner knows it from the answers."""

    run: str
    session_id: str
    status: str = "pending"
    wrong: int = 0
    resends: int = 0


class Person(threading.Thread):
    """Goes on until *ended*; stops at the first answer that is not as it must be.

    :param port: of the worker that this person talks to.
    """

    def __init__(
        self,
        number: int,
        port: int,
        journal: Journal,
        database: Database[dict[str, Any]],
        ended: threading.Event,
    ) -> None:
        super().__init__(daemon=True)
        self._random = random.Random(number)
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)
        self._journal = journal
        self._database = database
        self._ended = ended
        self.logins: list[Login] = []
        self.statuses: Counter[int] = Counter()
        self.workers: Counter[int] = Counter()
        self.error: Exception | AssertionError | None = None

    def run(self) -> None:
        deeds = [
            self._sign_in,
            self._mistype_and_sign_in,
            self._give_up_after_wrong_codes,
            self._ask_again,
            self._come_too_late,
            self._send_rubbish,
            self._leave,
        ]
        try:
            while not self._ended.is_set():
                self._random.choice(deeds)()
        except Exception as error:
            self.error = error
        finally:
            self._connection.close()

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        client = ".".join(["10", *(str(self._random.randrange(256)) for _ in range(3))])
        fields = {**headers, "X-Forwarded-For": client}
        try:
            self._connection.request(method, path, body, fields)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # A server may close what it has not read; the next request opens a connection.
            self._connection.close()
            return None
        content = answer.read()
        self.statuses[answer.status] += 1
        self.workers[int(answer.headers["X-Process"])] += 1
        if self.statuses.total() % REQUESTS_A_CONNECTION == 0:
            self._connection.close()
        return answer.status, content

    def _post(self, path: str, body: Any) -> tuple[int, Any]:
        answer = self._send("POST", f"/otp/{path}", json.dumps(body).encode(), JSON)
        if answer is None:  # an idle connection that was closed at that moment
            raise AssertionError(f"{path} was not answered")
        return answer[0], json.loads(answer[1])

    def _start(self) -> Login:
        run = uuid.uuid4().hex
        status, body = self._post(
            "initiate",
            {"identifier": f"{run}@example.com", "method": "email", "payload": {"run": run}},
        )
        assert status == 200, body
        login = Login(run, body["data"]["sessionId"])
        self.logins.append(login)
        self._code(login)
        return login

    def _code(self, login: Login) -> str:
        deadline = time.monotonic() + 30
        while len(lines := self._journal.lines("outbox", login.run)) <= login.resends:
            assert time.monotonic() < deadline, "a code was not sent"
            time.sleep(0.002)
        return lines[-1]

    def _verify(self, login: Login, code: str, status: int) -> None:
        answer, body = self._post("verify", {"sessionId": login.session_id, "code": code})
        assert answer == status, body

    def _mistype(self, login: Login, status: int = 401) -> None:
        self._verify(login, "1234567", status)
        login.wrong += 1

    def _finish(self, login: Login) -> None:
        self._verify(login, self._code(login), 200)
        login.status = "verified"
        self._verify(login, self._code(login), 400)

    def _sign_in(self) -> None:
        self._finish(self._start())

    def _mistype_and_sign_in(self) -> None:
        login = self._start()
        self._mistype(login)
        self._mistype(login)
        self._finish(login)

    def _give_up_after_wrong_codes(self) -> None:
        login = self._start()
        self._mistype(login)
        self._mistype(login)
        self._mistype(login, 403)
        login.status = "locked"
        self._verify(login, self._code(login), 403)

    def _ask_again(self) -> None:
        login = self._start()
        first = self._code(login)
        status, body = self._post("resend", {"sessionId": login.session_id})
        assert status == 200, body
        login.resends += 1
        self._code(login)
        if self._random.random() < 0.5:
            self._finish(login)
        else:
            self._verify(login, first, 200)
            login.status = "verified"

    def _come_too_late(self) -> None:
        login = self._start()
        past = datetime.now(UTC) - timedelta(seconds=1)
        self._database.otp_sessions.update_one(
            {"_id": login.session_id}, {"$set": {"expiresAt": past}}
        )
        self._verify(login, self._code(login), 403)
        login.status = "expired"

    def _send_rubbish(self) -> None:
        self._send(*self._random.choice(RUBBISH))

    def _leave(self) -> None:
        self._start()
