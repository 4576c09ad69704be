"""Initiate, resend, verify and unlock as plain functions of their parts; no Flask, no HTTP."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta

from . import codes, identifiers
from .exceptions import (
    AuthenticationFailed,
    IdentifierLocked,
    OtpAuthError,
    SessionAlreadyVerified,
    SessionExpired,
    SessionNotFound,
    TooManyRequests,
    TooManyResends,
)
from .lockouts import Lockout
from .parts import Parts, about, utc_now
from .redaction import describe, short
from .sending.dispatch import dispatch
from .store.sessions import Verdict
from .store.verdict import Outcome
from .types import InitiateResult, Method, Payload, Session, VerifyResult

_log = logging.getLogger("flask_otp_auth")
_SESSION_ID = re.compile(r"[0-9a-f]{32}")

_LOCKED = VerifyResult(
    "locked", "Too many failed attempts. Session is locked.", remaining_attempts=0
)
_EXPIRED = VerifyResult("expired", "Verification code has expired")
_NO_SESSION = VerifyResult("not_found", "Session not found or expired")
_NO_USER = VerifyResult("not_found", "User not found")


def initiate(
    parts: Parts, identifier: str, method: Method, payload: Payload | None, client: str | None
) -> InitiateResult:
    """Start a session and have its code sent.

    :param client: the address of the client; ``None`` for a call from Python.
    :raises InvalidIdentifier: the identifier has no accepted form.
    :raises TooManyRequests: a send limit is used up.
    :raises IdentifierLocked: too many wrong codes in a row.
    :raises SendFailed: the sender failed; the session is over.
    :raises ServiceUnavailable: the database is away.
    :raises MissingHandlerError: a required handler is not registered.
    """
    parts.handlers.require()
    settings = parts.settings
    now = utc_now()
    identifier = identifiers.normalise(identifier, method, settings.default_region)
    fixed = _fixed_code(parts, identifier, now)
    who = {"method": method, "identifier": identifier}
    lockout = _allow_send(parts, who, now, client, limited=fixed is None)
    session = Session(
        session_id=codes.draw_session_id(),
        identifier=identifier,
        method=method,
        status="pending",
        attempts=0,
        max_attempts=_tries(parts, identifier, lockout, now, counted=fixed is not None),
        created_at=now,
        expires_at=now + timedelta(seconds=settings.code_ttl),
        verified_at=None,
        payload=payload,
    )
    code = fixed or codes.draw(settings.code_length)
    digest = parts.digester.digest(session.session_id, code)
    parts.sessions.insert(session, digest, contested=lockout is not None)
    if fixed is not None:
        _check_tries(parts, session, lockout, now)
    parts.notify("session_initiated", **about(session))
    if fixed is None:
        dispatch(
            parts,
            session,
            code,
            undo=lambda: parts.sessions.discard(session.session_id),
            undo_later=None,
        )
    return InitiateResult(session.session_id, session.expires_at, settings.code_ttl)


def resend(parts: Parts, session_id: str, client: str | None) -> InitiateResult:
    """Send another code for a pending session; the earlier ones keep working.

    :raises SessionNotFound: there is no such session, or it is not pending.
    :raises SessionExpired: its time is over.
    :raises TooManyResends: it has had all its resends.
    :raises TooManyRequests: a send limit is used up.
    :raises IdentifierLocked: too many wrong codes in a row.
    :raises SendFailed: the sender failed; the session goes on with its earlier codes.
    """
    parts.handlers.require()
    now = utc_now()
    session = _resendable(parts, session_id)
    fixed = _fixed_code(parts, session.identifier, now)
    _allow_send(parts, about(session), now, client, limited=fixed is None)
    code = fixed or codes.draw(parts.settings.code_length)
    digest = parts.digester.digest(session_id, code)
    extended = parts.sessions.add_code(
        session_id, digest, max_resends=parts.settings.max_resends, now=now
    )
    if extended is None:  # it ended, or got its last resend, since it was looked up
        _resendable(parts, session_id)
        raise SessionNotFound
    if fixed is None:

        def drop() -> None:
            parts.sessions.drop_code(session_id, digest)

        dispatch(parts, extended, code, undo=drop, undo_later=drop)
    left = int((session.expires_at - now).total_seconds())
    return InitiateResult(session_id, session.expires_at, left)


def _resendable(parts: Parts, session_id: str) -> Session:
    """Return a session that may be sent another code."""
    session = find_session(parts, session_id)
    if session is None or session.status in ("verified", "locked"):
        raise SessionNotFound
    if session.status == "expired":
        raise SessionExpired
    if session.resends >= parts.settings.max_resends:
        raise TooManyResends
    return session


def _fixed_code(parts: Parts, identifier: str, now: datetime) -> str | None:
    """Return the code of a test identifier while its entry lives."""
    entry = parts.settings.test_identifiers.get(identifier)
    return None if entry is None or now >= entry.until else entry.code


def _allow_send(
    parts: Parts, who: dict[str, str], now: datetime, client: str | None, *, limited: bool
) -> Lockout | None:
    """Refuse a send that a limit or a lockout is against; return the lockout that is not."""
    admission = parts.admission if limited else parts.unlimited
    try:
        return admission.admit(who["identifier"], client, now)
    except TooManyRequests as refused:
        parts.notify("rate_limited", **who, reason=refused.scope)
        raise
    except IdentifierLocked:
        parts.notify("rate_limited", **who, reason="lockout")
        raise


def _tries(
    parts: Parts, identifier: str, lockout: Lockout | None, now: datetime, *, counted: bool
) -> int:
    """Return the tries of a new session: no more than the identifier has left in a row.

    Without failures so far the send limits keep the open tries far below that bound, and nothing
    has to be asked; *counted* says that there are no such limits.
    """
    most, budget = parts.settings.max_attempts, parts.lockouts.budget(lockout)
    if budget is None or (lockout is None and not counted):
        return most
    left = budget - parts.sessions.open_tries(identifier, now)
    if left < 1:
        raise IdentifierLocked(retry_after=parts.settings.code_ttl)
    return min(most, left)


def _check_tries(parts: Parts, session: Session, lockout: Lockout | None, now: datetime) -> None:
    """Take a session back if others were opened beside it and all together are too many."""
    budget = parts.lockouts.budget(lockout)
    if budget is not None and parts.sessions.open_tries(session.identifier, now) > budget:
        parts.sessions.discard(session.session_id)
        raise IdentifierLocked(retry_after=parts.settings.code_ttl)


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
    code = codes.normalise(typed)
    now = utc_now()
    verdict = parts.sessions.judge(session_id, parts.digester.candidates(session_id, code), now)
    if verdict is None:
        return _NO_SESSION
    session = verdict.session
    _log.info("code %s: session=%s", verdict.outcome, short(session_id))
    if verdict.outcome is Outcome.ACCEPTED:
        parts.notify("code_verified", **about(session))
        _clear_failures(parts, verdict)
        return _complete(parts, session, now, code)
    parts.notify("code_rejected", **about(session), reason=str(verdict.outcome))
    match verdict.outcome:
        case Outcome.USED:
            raise SessionAlreadyVerified
        case Outcome.EXPIRED:
            return _EXPIRED
        case Outcome.LOCKED:
            return _LOCKED
    _count_failure(parts, session, now)
    if verdict.outcome is Outcome.EXHAUSTED:
        parts.notify("session_locked", **about(session))
        return _LOCKED
    return VerifyResult(
        "invalid_code",
        "Invalid verification code",
        remaining_attempts=session.max_attempts - session.attempts,
    )


def _count_failure(parts: Parts, session: Session, now: datetime) -> None:
    """Count a wrong code for its identifier; without the count there is no answer either."""
    lockout = parts.lockouts.record_failure(session.identifier, now)
    if lockout is None:
        return
    if lockout.failures == 1:
        # Sessions opened from now on see the record; those that are open have to be told.
        parts.sessions.contest(session.identifier)
    if lockout.begins:
        reason = "disabled" if lockout.disabled else "waiting"
        _log.warning("identifier locked: %s %s", identifiers.mask(session.identifier), reason)
        parts.notify("identifier_locked", **about(session), reason=reason)


def _clear_failures(parts: Parts, verdict: Verdict) -> None:
    session = verdict.session
    if not parts.lockouts.enabled or not (verdict.contested or session.attempts):
        return
    try:
        parts.lockouts.clear(session.identifier)
    except OtpAuthError:
        # The owner has shown the right code; the count stays and the next right code clears it.
        _log.warning("failures of %s not cleared", identifiers.mask(session.identifier))


def _complete(parts: Parts, session: Session, now: datetime, code: str) -> VerifyResult:
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
            describe(error, code, session.identifier),
        )
    raise failure


def unlock(parts: Parts, identifier: str, method: Method) -> bool:
    """Forget the failures of an identifier, so that it gets new codes again.

    No session is revived by it, and no send limit forgotten.

    :returns: whether there was anything to forget.
    :raises InvalidIdentifier: the identifier has no accepted form.
    """
    identifier = identifiers.normalise(identifier, method, parts.settings.default_region)
    cleared = parts.lockouts.clear(identifier)
    if cleared:
        _log.warning("identifier unlocked: %s", identifiers.mask(identifier))
        parts.notify("identifier_unlocked", method=method, identifier=identifier, reason="unlock")
    return cleared


def find_session(parts: Parts, session_id: str) -> Session | None:
    """Return a session as it stands now: one past its time is expired, judged or not."""
    if not _SESSION_ID.fullmatch(session_id):
        return None
    session = parts.sessions.find(session_id)
    if session is not None and session.status == "pending" and utc_now() >= session.expires_at:
        return replace(session, status="expired")
    return session
