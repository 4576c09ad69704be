"""The types of the arguments and results of handlers and of the Python API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

Method = Literal["sms", "email"]
SessionStatus = Literal["pending", "verified", "locked", "expired"]
VerifyStatus = Literal["success", "invalid_code", "expired", "locked", "not_found"]
Payload = dict[str, Any]
METHODS: tuple[Method, ...] = get_args(Method)

# The message of a result by which clients tell a missing user from a missing session.
NO_USER = "User not found"

SendCodeHandler = Callable[[str, str, Method, Payload | None], bool | Awaitable[bool]]
GetUserHandler = Callable[[str, Method, Payload | None], Any]
VerifySuccessHandler = Callable[[Any, str, Method, Payload | None], Any]


@dataclass(frozen=True, slots=True)
class InitiateResult:
    """A session for which a code has been sent, or is being sent in the background.

    :param session_id: 32 lower-case hexadecimal digits.
    :param expires_at: when the codes of the session expire, as an aware datetime in UTC.
    :param ttl: whole seconds until ``expires_at``.
    """

    session_id: str
    expires_at: datetime
    ttl: int

    def __repr__(self) -> str:
        return f"InitiateResult(session_id='{self.session_id[:8]}...', ttl={self.ttl})"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The outcome of checking a code. Only ``"success"`` has tokens and a user.

    :param status: ``"success"``, ``"invalid_code"``, ``"locked"``, ``"expired"`` or
        ``"not_found"``.
    :param message: the text for the person who typed the code; ``None`` for ``"success"``.
    :param token: the access token; ``None`` if the ``verify_success_handler`` returned none.
    :param refresh_token: the refresh token, with ``OTP_AUTH_REFRESH_TOKEN`` and without a
        ``verify_success_handler``.
    :param user: the ``user`` that the ``verify_success_handler`` returned, else ``{"id": ...}``.
    :param remaining_attempts: the attempts left, for ``"invalid_code"`` and ``"locked"`` only.
    :param device_token: the token that makes this device a trusted one, with
        ``OTP_AUTH_TRUSTED_DEVICES``.
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
class ConfirmResult:
    """The outcome of checking a code that is for something else than a login.

    Only ``"success"`` has an identifier, a method and a payload.

    :param status: ``"success"``, ``"invalid_code"``, ``"locked"``, ``"expired"`` or
        ``"not_found"``.
    :param message: the text for the person who typed the code; ``None`` for ``"success"``.
    :param remaining_attempts: the attempts left, for ``"invalid_code"`` and ``"locked"`` only.
    :param identifier: the normalised phone number or email address to which the code was sent.
    :param method: ``"sms"`` or ``"email"``.
    :param payload: the payload that the application gave to ``otp.initiate``, or ``None``.
    """

    status: VerifyStatus
    message: str | None = None
    remaining_attempts: int | None = None
    identifier: str | None = None
    method: Method | None = None
    payload: Payload | None = None

    def __repr__(self) -> str:
        return (
            f"ConfirmResult(status={self.status!r}, remaining_attempts={self.remaining_attempts})"
        )


@dataclass(frozen=True, slots=True)
class AccountId:
    """The id of an account, or of one of its trusted devices, each of which has its own document.

    :param account: the HMAC of the account, in hexadecimal digits.
    :param device: the id of the device, or ``None`` for the account itself.
    """

    account: str
    device: str | None = None

    def __str__(self) -> str:
        return self.account if self.device is None else f"{self.account}:{self.device}"

    @classmethod
    def parse(cls, text: str) -> AccountId:
        """Return the id that ``str()`` has written."""
        account, colon, device = text.partition(":")
        return cls(account, device if colon else None)

    @property
    def owner(self) -> AccountId:
        """The account itself."""
        return AccountId(self.account)


@dataclass(frozen=True, slots=True)
class Session:
    """A stored session, without anything that helps to guess its code.

    :param session_id: 32 lower-case hexadecimal digits.
    :param identifier: the normalised phone number or email address.
    :param method: ``"sms"`` or ``"email"``.
    :param status: ``"pending"``, ``"verified"``, ``"locked"`` or ``"expired"``.
    :param attempts: the number of wrong codes so far.
    :param max_attempts: the number of wrong codes at which the session is locked.
    :param created_at: when the session was started, in UTC.
    :param expires_at: when its codes expire, in UTC; they are valid strictly before this time.
    :param verified_at: when the correct code came, in UTC, or ``None``.
    :param payload: the payload that the client sent, or ``None``.
    :param resends: the number of codes that were requested after the first.
    :param account: the account or the trusted device for which its sends and failures count.
    :param locale: the language of its messages as a BCP 47 tag, or ``None``.
    :param purpose: what its code is for, as it was given to ``otp.initiate``; ``None`` for a login.
    :param binding: the HMAC of purpose and subject to which its codes are bound, or ``None``.
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
    account: AccountId | None = None
    locale: str | None = None
    purpose: str | None = None
    binding: str | None = None

    def at(self, now: datetime) -> Session:
        """Return the session as it is at a UTC time: pending past its ``expires_at`` is expired."""
        is_over = self.status == "pending" and now >= self.expires_at
        return replace(self, status="expired") if is_over else self

    def __repr__(self) -> str:
        return f"Session(session_id='{self.session_id[:8]}...', status={self.status!r})"


@dataclass(frozen=True, slots=True)
class Login:
    """A login that can be refreshed.

    :param id: 32 lower-case hexadecimal digits, the claim ``otp_login`` of its tokens.
    :param method: ``"sms"`` or ``"email"``: how its code was sent.
    :param started_at: when the person signed in, in UTC and whole seconds.
    :param refreshed_at: when its tokens were last refreshed, in UTC; before the first refresh it is
        ``started_at``.
    :param expires_at: when it ends unless it is refreshed before, in UTC.
    """

    id: str
    method: Method
    started_at: datetime
    refreshed_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Login(id='{self.id[:8]}...', method={self.method!r})"


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The user and the tokens of a sign-in, from a ``verify_success_handler`` or our default."""

    user: Any
    token: str | None
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return "AuthResult(...)"
