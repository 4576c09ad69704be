"""Initiate and verify as plain functions of their parts; no Flask, no HTTP."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from . import codes, identifiers
from .config import Settings
from .exceptions import (
    AuthenticationFailed,
    OtpAuthError,
    SendFailed,
    SessionAlreadyVerified,
)
from .redaction import describe, short
from .sessions import Outcome, SessionStore
from .types import AuthResult, InitiateResult, Method, Payload, Session, VerifyResult

_log = logging.getLogger("flask_otp_auth")
_SESSION_ID = re.compile(r"[0-9a-f]{32}")

_LOCKED = VerifyResult(
    "locked", "Too many failed attempts. Session is locked.", remaining_attempts=0
)
_EXPIRED = VerifyResult("expired", "Verification code has expired")
_NO_SESSION = VerifyResult("not_found", "Session not found or expired")
_NO_USER = VerifyResult("not_found", "User not found")


class HostHandlers(Protocol):
    """The host's functions as the flow calls them."""

    def require(self) -> None:
        """Raise MissingHandlerError unless both required functions are there."""

    def send_code(
        self, code: str, identifier: str, method: Method, payload: Payload | None
    ) -> bool:
        """Return whether the code is on its way."""

    def get_user(self, identifier: str, method: Method, payload: Payload | None) -> Any:
        """Return the user, or ``None``."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the flow of one application works with.

    :param sign_in: makes the tokens for a user: (user, session, now).
    """

    settings: Settings
    sessions: SessionStore
    digester: codes.CodeDigester
    handlers: HostHandlers
    sign_in: Callable[[Any, Session, datetime], AuthResult]


def utc_now() -> datetime:
    """Return the application's clock, in the whole milliseconds that MongoDB keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def initiate(
    parts: Parts, identifier: str, method: Method, payload: Payload | None
) -> InitiateResult:
    """Start a session and have its code sent.

    :raises InvalidIdentifier: the identifier has no accepted form.
    :raises SendFailed: the sender failed; the session is over.
    :raises ServiceUnavailable: the database is away.
    :raises MissingHandlerError: a required handler is not registered.
    """
    parts.handlers.require()
    settings = parts.settings
    identifier = identifiers.normalise(identifier, method, settings.default_region)
    code = codes.draw(settings.code_length)
    now = utc_now()
    session = Session(
        session_id=codes.draw_session_id(),
        identifier=identifier,
        method=method,
        status="pending",
        attempts=0,
        max_attempts=settings.max_attempts,
        created_at=now,
        expires_at=now + timedelta(seconds=settings.code_ttl),
        verified_at=None,
        payload=payload,
    )
    parts.sessions.insert(session, parts.digester.digest(session.session_id, code))
    _send(parts, session, code)
    return InitiateResult(session.session_id, session.expires_at, settings.code_ttl)


def _send(parts: Parts, session: Session, code: str) -> None:
    """Hand the code to the sender, or end the session that nobody has a code for."""
    where = (session.method, identifiers.mask(session.identifier), short(session.session_id))
    failure = SendFailed()
    try:
        if parts.handlers.send_code(code, session.identifier, session.method, session.payload):
            _log.info("code sent: method=%s to=%s session=%s", *where)
            return
        reason = "send_code_handler did not return a true value"
    except Exception as error:
        reason = describe(error, code, session.identifier)
    _log.error(
        "code not sent: method=%s to=%s session=%s [error %s]: %s", *where, failure.id, reason
    )
    try:
        parts.sessions.discard(session.session_id)
    except OtpAuthError as error:
        _log.error("session %s was not ended: %s", where[2], error)
    raise failure


def verify(parts: Parts, session_id: str, typed: str) -> VerifyResult:
    """Judge a typed code and sign the user in if it is right.

    The session is used up before any handler of the host runs, so nothing a handler does can
    make its code right twice.

    :raises SessionAlreadyVerified: a right code used the session up before.
    :raises AuthenticationFailed: the code was right and a handler failed.
    :raises ServiceUnavailable: the database is away.
    :raises MissingHandlerError: a required handler is not registered.
    """
    parts.handlers.require()
    if not _SESSION_ID.fullmatch(session_id):
        return _NO_SESSION
    candidates = parts.digester.candidates(session_id, codes.normalise(typed))
    now = utc_now()
    verdict = parts.sessions.judge(session_id, candidates, now)
    if verdict is None:
        return _NO_SESSION
    session = verdict.session
    _log.info("code %s: session=%s", verdict.outcome, short(session_id))
    match verdict.outcome:
        case Outcome.ACCEPTED:
            return _complete(parts, session, now, typed)
        case Outcome.REJECTED:
            return VerifyResult(
                "invalid_code",
                "Invalid verification code",
                remaining_attempts=session.max_attempts - session.attempts,
            )
        case Outcome.USED:
            raise SessionAlreadyVerified
        case Outcome.EXPIRED:
            return _EXPIRED
        case Outcome.EXHAUSTED | Outcome.LOCKED:
            return _LOCKED


def _complete(parts: Parts, session: Session, now: datetime, typed: str) -> VerifyResult:
    """Find the user of a session that was just verified, and sign them in."""
    try:
        user = parts.handlers.get_user(session.identifier, session.method, session.payload)
        if user is None:
            _log.warning("right code and no user: session=%s", short(session.session_id))
            return _NO_USER
        auth = parts.sign_in(user, session, now)
        return VerifyResult(
            "success", token=auth.token, refresh_token=auth.refresh_token, user=auth.user
        )
    except Exception as error:
        failure = AuthenticationFailed()
        _log.error(
            "sign-in failed after the right code: session=%s [error %s]: %s",
            short(session.session_id),
            failure.id,
            describe(error, codes.normalise(typed), session.identifier),
        )
    raise failure


def find_session(parts: Parts, session_id: str) -> Session | None:
    """Return a session as it stands now: one past its time is expired, judged or not."""
    if not _SESSION_ID.fullmatch(session_id):
        return None
    session = parts.sessions.find(session_id)
    if session is not None and session.status == "pending" and utc_now() >= session.expires_at:
        return replace(session, status="expired")
    return session
