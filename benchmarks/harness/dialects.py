"""How a login is spoken with each app under test: the two requests, and what a right answer is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class UnexpectedAnswerError(Exception):
    """An answer that is not the one of a clean login; the run does not count."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an app, read to its end."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> str:
        """Return the value of the header *name* (lower case), or fail."""
        marker = b"\r\n" + name + b":"
        start = self.head.lower().find(marker)
        if start < 0:
            raise UnexpectedAnswerError(f"no {name.decode()} in {self}")
        start += len(marker)
        end = self.head.find(b"\r\n", start)
        return self.head[start : end if end >= 0 else None].strip().decode()

    def json(self, status: int = 200) -> Any:
        """Return the body as JSON if the answer has this *status*, or fail."""
        if self.status != status:
            raise UnexpectedAnswerError(str(self))
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300]!r}"


class Dialect(Protocol):
    """The two requests of a login; *n* numbers the logins and so the users."""

    def begin(self, n: int) -> bytes:
        """Return the request that has a code sent to user *n*."""

    def finish(self, n: int, answer: Answer) -> bytes:
        """Return the request that brings the code which came with *answer* to ``begin``."""

    def accept(self, n: int, answer: Answer) -> None:
        """Check that *answer* to ``finish`` lets user *n* in."""


def phone(n: int) -> str:
    """Return the phone number of user *n*, in its normal form."""
    return f"+4670{n:08d}"


def email(n: int) -> str:
    """Return the e-mail address of user *n*, in its normal form."""
    return f"user{n}@example.com"


def post(path: str, n: int, body: dict[str, Any], *headers: str) -> bytes:
    """Build a request; every login has a client address of its own."""
    content = json.dumps(body, separators=(",", ":"))
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-Forwarded-For: 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
        "Content-Type: application/json",
        "Accept: application/json",
        *headers,
        f"Content-Length: {len(content)}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n" + content).encode()


CODE = b"x-bench-code"


def require(condition: object, answer: Answer) -> None:
    """Fail with *answer* unless *condition* holds."""
    if not condition:
        raise UnexpectedAnswerError(str(answer))


class Otp:
    """This extension, the Node plugin and the floor."""

    def __init__(self, method: str, address: Callable[[int], str]) -> None:
        self._method = method
        self._address = address

    def begin(self, n: int) -> bytes:
        return post("/otp/initiate", n, {"identifier": self._address(n), "method": self._method})

    def finish(self, n: int, answer: Answer) -> bytes:
        session_id = answer.json()["data"]["sessionId"]
        return post("/otp/verify", n, {"sessionId": session_id, "code": answer.header(CODE)})

    def accept(self, n: int, answer: Answer) -> None:
        data = answer.json()["data"]
        require(data["status"] == "success" and data["token"].count(".") == 2, answer)
        require(data["user"]["id"] == self._address(n), answer)


class DrfPasswordless:
    """drfpasswordless: the e-mail address is sent again with the code."""

    def begin(self, n: int) -> bytes:
        return post("/auth/email/", n, {"email": email(n)})

    def finish(self, n: int, answer: Answer) -> bytes:
        answer.json()
        return post("/auth/token/", n, {"email": email(n), "token": answer.header(CODE)})

    def accept(self, n: int, answer: Answer) -> None:
        require(answer.json()["token"].count(".") == 2, answer)


class Allauth:
    """django-allauth, headless: 401 is its word for "the code is on its way"."""

    def begin(self, n: int) -> bytes:
        return post("/_allauth/app/v1/auth/code/request", n, {"email": email(n)})

    def finish(self, n: int, answer: Answer) -> bytes:
        session = f"X-Session-Token: {answer.json(401)['meta']['session_token']}"
        code = {"code": answer.header(CODE)}
        return post("/_allauth/app/v1/auth/code/confirm", n, code, session)

    def accept(self, n: int, answer: Answer) -> None:
        found = answer.json()
        require(found["data"]["user"]["email"] == email(n), answer)
        require(found["meta"]["access_token"].count(".") == 2, answer)


class FlaskSecurity:
    """Flask-Security, unified sign-in."""

    def begin(self, n: int) -> bytes:
        return post("/us-signin/send-code", n, {"identity": email(n), "chosen_method": "email"})

    def finish(self, n: int, answer: Answer) -> bytes:
        answer.json()
        body = {"identity": email(n), "passcode": answer.header(CODE)}
        return post("/us-signin?include_auth_token", n, body)

    def accept(self, n: int, answer: Answer) -> None:
        require(answer.json()["response"]["user"]["authentication_token"], answer)


class BetterAuth:
    """better-auth, plugin email-otp."""

    def begin(self, n: int) -> bytes:
        body = {"email": email(n), "type": "sign-in"}
        return post("/api/auth/email-otp/send-verification-otp", n, body)

    def finish(self, n: int, answer: Answer) -> bytes:
        answer.json()
        body = {"email": email(n), "otp": answer.header(CODE)}
        return post("/api/auth/sign-in/email-otp", n, body)

    def accept(self, n: int, answer: Answer) -> None:
        found = answer.json()
        require(found["token"] and found["user"]["email"] == email(n), answer)


DIALECTS: dict[str, Dialect] = {
    "otp-sms": Otp("sms", phone),
    "otp-email": Otp("email", email),
    "drfpasswordless": DrfPasswordless(),
    "allauth": Allauth(),
    "flask-security": FlaskSecurity(),
    "better-auth": BetterAuth(),
}
