"""The typed values that go in and out of the extension."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Method = Literal["sms", "email"]
SessionStatus = Literal["pending", "verified", "locked", "expired"]
VerifyStatus = Literal["success", "invalid_code", "expired", "locked", "not_found"]
Payload = dict[str, Any]

SendCodeHandler = Callable[[str, str, Method, Payload | None], bool | Awaitable[bool]]
GetUserHandler = Callable[[str, Method, Payload | None], Any]
VerifySuccessHandler = Callable[[Any, str, Method, Payload | None], Any]


@dataclass(frozen=True, slots=True)
class InitiateResult:
    """A session whose code was passed to the sender.

    :param session_id: 32 lower-case hexadecimal digits.
    :param expires_at: the UTC time, in whole milliseconds, at which the code expires.
    :param ttl: seconds from now to ``expires_at``.
    """

    session_id: str
    expires_at: datetime
    ttl: int

    def __repr__(self) -> str:
        return f"InitiateResult(session_id='{self.session_id[:8]}...', ttl={self.ttl})"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The outcome of a typed code.

    :param status: the outcome; ``token`` and ``user`` are set only for ``"success"``.
    :param token: the access token; ``None`` if a ``verify_success_handler`` returned none.
    :param refresh_token: the refresh token, only with ``OTP_AUTH_REFRESH_TOKEN``.
    :param device_token: the token of the device, only with ``OTP_AUTH_TRUSTED_DEVICES``.
    :param user: the user that the ``verify_success_handler`` returned, otherwise ``{"id": ...}``.
    :param remaining_attempts: the attempts left, for ``"invalid_code"`` and ``"locked"``.
    :param message: the text for the person who typed the code; ``None`` for ``"success"``.
    """

    status: VerifyStatus
    message: str | None = None
    token: str | None = None
    refresh_token: str | None = None
    user: Any = None
    remaining_attempts: int | None = None
    device_token: str | None = None

    def __repr__(self) -> str:
        return f"VerifyResult(status={self.status!r}, remaining_attempts={self.remaining_attempts})"


@dataclass(frozen=True, slots=True)
class Session:
    """A stored session, without anything that helps to guess its code.

    :param session_id: 32 lower-case hexadecimal digits.
    :param identifier: the normalised phone number or email address.
    :param method: how the code was sent.
    :param status: ``"pending"``, ``"verified"``, ``"locked"`` or ``"expired"``.
    :param attempts: wrong codes so far.
    :param max_attempts: the number of wrong codes that locks the session.
    :param created_at: the UTC time at which the session was started.
    :param expires_at: the UTC time at which its codes expire; they are valid strictly before it.
    :param verified_at: the UTC time of the correct code, or ``None``.
    :param payload: the payload that the client sent, or ``None``.
    :param resends: how many codes were sent after the first.
    :param account: the key of the account document in which its codes and failures are counted.
    :param locale: the language of its messages, a BCP 47 tag, or ``None``.
    """

    session_id: str
    identifier: str
    method: Method
    status: SessionStatus
    attempts: int
    max_attempts: int
    created_at: datetime
    expires_at: datetime
    verified_at: datetime | None
    payload: Payload | None
    resends: int = 0
    account: str | None = None
    locale: str | None = None

    def __repr__(self) -> str:
        return f"Session(session_id='{self.session_id[:8]}...', status={self.status!r})"


@dataclass(frozen=True, slots=True)
class AuthResult:
    """What signing in gives: from the host's ``verify_success_handler``, or our default."""

    user: Any
    token: str | None
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return "AuthResult(...)"
