"""Initiate, resend, verify and unlock as plain functions of the state; no Flask, no HTTP."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta

from . import codes, identifiers, tokens
from .clock import utc_now
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
from .redaction import describe, short
from .sending.dispatch import dispatch
from .signals import notify, notify_of
from .state import AppState
from .store.accounts import Admission, Failure
from .store.admission import Event
from .store.database import database_calls
from .store.sessions import Verdict
from .store.verdict import Outcome
from .test_identifiers import fixed_code
from .types import AuthResult, InitiateResult, Method, Payload, Session, VerifyResult

_log = logging.getLogger("flask_otp_auth")
_SESSION_ID = re.compile(r"[0-9a-f]{32}")

_LOCKED = VerifyResult(
    "locked", "Too many failed attempts. Session is locked.", remaining_attempts=0
)
_EXPIRED = VerifyResult("expired", "Verification code has expired")
_NO_SESSION = VerifyResult("not_found", "Session not found or expired")
_NO_USER = VerifyResult("not_found", "User not found")


def initiate(
    state: AppState, identifier: str, method: Method, payload: Payload | None
) -> InitiateResult:
    """Start a session and have its code sent.

    :raises InvalidIdentifier: the identifier has no accepted form.
    :raises TooManyRequests: a send limit of the account is used up.
    :raises IdentifierLocked: too many wrong codes in a row.
    :raises SendFailed: the sender failed; the session is over.
    :raises ServiceUnavailable: the database is away.
    :raises MissingHandlerError: a required handler is not registered.
    """
    state.handlers.require()
    settings = state.settings
    now = utc_now()
    identifier = identifiers.normalise(identifier, method, settings.default_region)
    account = state.accounts.key_of(identifiers.account_of(identifier))
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
        account=account,
    )
    fixed = fixed_code(settings.test_identifiers, identifier, now)
    code = fixed or codes.draw(settings.code_length)
    digest = state.digester.digest(session.session_id, code)
    admit = state.accounts.admit if fixed is None else state.accounts.admit_unlimited
    with database_calls(settings.db_timeout):
        state.indexes.ensure(settings.db_timeout)
        admission = admit(
            account,
            session.session_id,
            tries=session.max_attempts,
            expires_at=session.expires_at,
            now=now,
        )
        _refuse_unless_sent(admission, session, now)
        session = replace(session, max_attempts=admission.tries)
        state.sessions.insert(session, digest, settle=admission.settle)
    notify_of("session_initiated", session)
    if fixed is None:

        def undo() -> None:
            with database_calls(settings.db_timeout):
                state.sessions.discard(session.session_id)
                state.accounts.give_back(account, now, session.session_id)

        dispatch(state, session, code, undo=undo, undo_later=None)
    return InitiateResult(session.session_id, session.expires_at, settings.code_ttl)


def resend(state: AppState, session_id: str) -> InitiateResult:
    """Send another code for a pending session; the earlier ones keep working.

    :raises SessionNotFound: there is no such session, or it is not pending.
    :raises SessionExpired: its time is over.
    :raises TooManyResends: it has had all its resends.
    :raises TooManyRequests: a send limit of the account is used up.
    :raises IdentifierLocked: too many wrong codes in a row.
    :raises SendFailed: the sender failed; the session goes on with its earlier codes.
    """
    state.handlers.require()
    settings = state.settings
    now = utc_now()
    with database_calls(settings.db_timeout):
        session = _resendable(state, session_id)
        account = _account_of(state, session)
        fixed = fixed_code(settings.test_identifiers, session.identifier, now)
        code = fixed or codes.draw(settings.code_length)
        digest = state.digester.digest(session_id, code)
        accounts = state.accounts
        admit = accounts.admit_resend if fixed is None else accounts.admit_resend_unlimited
        _refuse_unless_sent(admit(account, now), session, now)
        extended = state.sessions.add_code(
            session_id, digest, max_resends=settings.max_resends, now=now
        )
        if extended is None:  # it ended, or got its last resend, since it was looked up
            accounts.give_back(account, now)
            _resendable(state, session_id)
            raise SessionNotFound
    if fixed is None:

        def undo_later() -> None:
            with database_calls(settings.db_timeout):
                state.sessions.drop_code(session_id, digest)

        def undo() -> None:
            undo_later()
            with database_calls(settings.db_timeout):
                accounts.give_back(account, now)

        dispatch(state, extended, code, undo=undo, undo_later=undo_later)
    left = int((session.expires_at - now).total_seconds())
    return InitiateResult(session_id, session.expires_at, left)


def _resendable(state: AppState, session_id: str) -> Session:
    """Return a session that may be sent another code."""
    session = _find_session(state, session_id)
    if session is None or session.status in ("verified", "locked"):
        raise SessionNotFound
    if session.status == "expired":
        raise SessionExpired
    if session.resends >= state.settings.max_resends:
        raise TooManyResends
    return session


def _account_of(state: AppState, session: Session) -> str:
    """Return the key of a session's account."""
    return session.account or state.accounts.key_of(identifiers.account_of(session.identifier))


def _refuse_unless_sent(admission: Admission, session: Session, now: datetime) -> None:
    """Raise what the account said, unless it let the send through."""
    if admission.event is Event.SENT:
        return
    retry_at = admission.retry_at
    wait = None if retry_at is None else (retry_at - now).total_seconds()
    reason = _REFUSALS[admission.event]
    notify("rate_limited", method=session.method, identifier=session.identifier, reason=reason)
    if admission.event is Event.LIMITED:
        raise TooManyRequests(retry_after=wait or 1, scope="identifier")
    raise IdentifierLocked(retry_after=wait)


_REFUSALS = {
    Event.LIMITED: "identifier",
    Event.LOCKED: "lockout",
    Event.DISABLED: "lockout",
    Event.RESERVED: "tries",
}


def verify(state: AppState, session_id: str, typed: str) -> VerifyResult:
    """Judge a typed code and sign the user in if it is right.

    The session is used up before any handler of the host runs, so nothing a handler does can
    make its code right twice.

    :raises SessionAlreadyVerified: a right code used the session up before.
    :raises AuthenticationFailed: the code was right and a handler failed.
    :raises ServiceUnavailable: the database is away.
    :raises MissingHandlerError: a required handler is not registered.
    """
    state.handlers.require()
    if not _SESSION_ID.fullmatch(session_id):
        return _NO_SESSION
    code = codes.normalise(typed)
    now = utc_now()
    candidates = state.digester.candidates(session_id, code)
    failure = None
    with database_calls(state.settings.db_timeout):
        verdict = state.sessions.judge(session_id, candidates, now)
        if verdict is None:
            return _NO_SESSION
        if verdict.outcome is Outcome.ACCEPTED:
            _settle(state, verdict, now)
        elif verdict.outcome.is_judged:
            failure = _count_failure(state, verdict, now)
    session = verdict.session
    _log.info("code %s: session=%s", verdict.outcome, short(session_id))
    if verdict.outcome is Outcome.ACCEPTED:
        notify_of("code_verified", session)
        return _complete(state, session, now, code)
    notify_of("code_rejected", session, reason=str(verdict.outcome))
    if failure is not None and failure.event is not Event.FAILED:
        _log.warning(
            "identifier locked: %s %s", identifiers.mask(session.identifier), failure.event
        )
        notify_of("identifier_locked", session, reason=str(failure.event))
    return _rejected(verdict.outcome, session)


def _rejected(outcome: Outcome, session: Session) -> VerifyResult:
    """Return the result of a guess that did not sign anybody in."""
    match outcome:
        case Outcome.USED:
            raise SessionAlreadyVerified
        case Outcome.EXPIRED:
            return _EXPIRED
        case Outcome.LOCKED:
            return _LOCKED
        case Outcome.EXHAUSTED:
            notify_of("session_locked", session)
            return _LOCKED
    return VerifyResult(
        "invalid_code",
        "Invalid verification code",
        remaining_attempts=session.max_attempts - session.attempts,
    )


def _count_failure(state: AppState, verdict: Verdict, now: datetime) -> Failure | None:
    """Count a wrong code for its account; without the count there is no answer either."""
    if not state.accounts.rules.counts_failures:
        return None
    session = verdict.session
    failure = state.accounts.record_failure(
        _account_of(state, session), session.session_id, judged_at=verdict.judged_at, now=now
    )
    others = [id_ for id_ in failure.open_sessions if id_ != session.session_id]
    if failure.failures == 1 and others:
        # Sessions opened from now on see the failure; those that are open have to be told.
        state.sessions.ask_to_settle(others)
    return failure


def _settle(state: AppState, verdict: Verdict, now: datetime) -> None:
    """Have the account forget the failures before a right code, if there can be any."""
    session = verdict.session
    if not state.accounts.rules.counts_failures or not (verdict.settle or session.attempts):
        return
    account = _account_of(state, session)
    try:
        with database_calls(state.settings.db_timeout):
            state.accounts.settle(account, session.session_id, judged_at=verdict.judged_at, now=now)
    except OtpAuthError:
        # The owner has shown the right code; the count stays and the next right code clears it.
        _log.warning("failures of %s not cleared", identifiers.mask(session.identifier))


def _complete(state: AppState, session: Session, now: datetime, code: str) -> VerifyResult:
    """Find the user of a session that was just verified, and sign them in."""
    try:
        user = state.handlers.get_user(session.identifier, session.method, session.payload)
        if user is None:
            _log.warning("right code and no user: session=%s", short(session.session_id))
            return _NO_USER
        auth = _sign_in(state, user, session, now)
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


def _sign_in(state: AppState, user: object, session: Session, now: datetime) -> AuthResult:
    """Have the host sign a user in, or make our own tokens."""
    if state.handlers.makes_own_tokens:
        return state.handlers.verify_success(
            user, session.identifier, session.method, session.payload
        )
    return tokens.issue(user, session.method, now, refresh=state.settings.refresh_token)


def unlock(state: AppState, identifier: str, method: Method) -> bool:
    """Forget the failures and the sends of an account, so that it gets new codes again.

    No session is revived by it, and what open sessions have reserved stays reserved.

    :returns: whether there was anything to forget.
    :raises InvalidIdentifier: the identifier has no accepted form.
    """
    identifier = identifiers.normalise(identifier, method, state.settings.default_region)
    account = state.accounts.key_of(identifiers.account_of(identifier))
    with database_calls(state.settings.db_timeout):
        cleared = state.accounts.unlock(account, utc_now())
    if cleared:
        _log.warning("identifier unlocked: %s", identifiers.mask(identifier))
        notify("identifier_unlocked", method=method, identifier=identifier, reason="unlock")
    return cleared


def find_session(state: AppState, session_id: str) -> Session | None:
    """Return a session as it stands now: one past its time is expired, judged or not."""
    with database_calls(state.settings.db_timeout):
        return _find_session(state, session_id)


def _find_session(state: AppState, session_id: str) -> Session | None:
    if not _SESSION_ID.fullmatch(session_id):
        return None
    session = state.sessions.find(session_id)
    if session is not None and session.status == "pending" and utc_now() >= session.expires_at:
        return replace(session, status="expired")
    return session
