"""Verify: judge a typed code, count a wrong one, and sign the user of a right one in."""

from __future__ import annotations

import logging
from datetime import datetime

from .. import codes, identifiers, signals, tokens
from ..clock import utc_now
from ..exceptions import AuthenticationFailed, OtpAuthError, SessionAlreadyVerified
from ..redaction import describe, short
from ..state import AppState
from ..store.account import Event
from ..store.accounts import Failure
from ..store.database import database_calls
from ..store.sessions import Verdict
from ..store.verdict import Outcome
from ..types import AuthResult, Session, VerifyResult
from .accounts import account_of, is_session_id
from .logins import begin_login

_log = logging.getLogger("flask_otp_auth")

_LOCKED = VerifyResult(
    "locked", "Too many failed attempts. Session is locked.", remaining_attempts=0
)
_EXPIRED = VerifyResult("expired", "Verification code has expired")
_NO_SESSION = VerifyResult("not_found", "Session not found or expired")
_NO_USER = VerifyResult("not_found", "User not found")


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
    if not is_session_id(session_id):
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
        signals.notify_of(signals.code_verified, session)
        return _complete(state, session, now, code)
    signals.notify_of(signals.code_rejected, session, reason=str(verdict.outcome))
    if failure is not None and failure.event is not Event.FAILED:
        _log.warning(
            "identifier locked: %s %s", identifiers.mask(session.identifier), failure.event
        )
        signals.notify_of(
            signals.identifier_locked,
            session,
            reason=str(failure.event),
            bound=f"{failure.failures} wrong codes in a row",
        )
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
            signals.notify_of(signals.session_locked, session)
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
        account_of(state, session), session.session_id, judged_at=verdict.judged_at, now=now
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
    account = account_of(state, session)
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
            "success",
            token=auth.token,
            refresh_token=auth.refresh_token,
            user=auth.user,
            device_token=_device_token(state, session),
        )
    except Exception as error:
        failure = AuthenticationFailed()
        _log.error(
            "sign-in failed after the right code: session=%s [error %s]: %s",
            short(session.session_id),
            failure.id,
            describe(error, code, session.identifier),
        )
        signals.notify_of(signals.sign_in_failed, session, reason="raised", error=error)
    raise failure


def _device_token(state: AppState, session: Session) -> str | None:
    """Return the token by which the device of a sign-in is trusted from now on."""
    if state.devices is None:
        return None
    return state.devices.issue(*state.accounts.account_and_device(account_of(state, session)))


def _sign_in(state: AppState, user: object, session: Session, now: datetime) -> AuthResult:
    """Have the host sign a user in, or make our own tokens."""
    if state.handlers.makes_own_tokens:
        return state.handlers.verify_success(
            user, session.identifier, session.method, session.payload
        )
    if state.settings.refresh_token:
        return begin_login(state, user, session, now)
    return tokens.issue(user, session.method, now)
