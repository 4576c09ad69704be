"""Verify: checking a typed code, counting a wrong one, and signing in after a correct one."""

from __future__ import annotations

from datetime import datetime, timedelta

from .. import codes, events, tokens
from ..clock import utc_now
from ..exceptions import OtpAuthError, Refused, SessionAlreadyVerified
from ..state import AppState
from ..store.account import Event, Failure
from ..store.database import database_calls
from ..store.sessions import Verdict
from ..store.verdict import Outcome
from ..types import AuthResult, Session, VerifyResult
from .accounts import account_of, is_session_id
from .logins import begin_login

_LOCKED = VerifyResult(
    "locked", "Too many failed attempts. Session is locked.", remaining_attempts=0
)
_EXPIRED = VerifyResult("expired", "Verification code has expired")
_NO_SESSION = VerifyResult("not_found", "Session not found or expired")
_NO_USER = VerifyResult("not_found", "User not found")


def verify(state: AppState, session_id: str, typed: str) -> VerifyResult:
    """Check a typed code, and sign the user in if it is correct.

    The session ends before any handler of the application runs, so nothing that a handler does can
    make its code valid again.

    :param session_id: the id that the client sent.
    :param typed: the code as it was typed.
    :raises SessionAlreadyVerified: the session has already been verified.
    :raises Refused: the code was correct, but the application does not let its user in.
    :raises AuthenticationFailed: the code was correct, but a handler failed.
    :raises InternalError: the stored session is damaged, or MongoDB refused the operation.
    :raises ServiceUnavailable: MongoDB did not answer in time.
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
    if verdict.outcome is Outcome.ACCEPTED:
        events.code_accepted(session)
        return _complete(state, verdict, now, code)
    events.code_rejected(session, str(verdict.outcome))
    if failure is not None and failure.event is not Event.FAILED:
        events.identifier_locked(session, str(failure.event), failure.failures)
    return _rejected(verdict.outcome, session)


def _rejected(outcome: Outcome, session: Session) -> VerifyResult:
    """Return the result of a code that was not accepted."""
    match outcome:
        case Outcome.USED:
            raise SessionAlreadyVerified
        case Outcome.EXPIRED:
            return _EXPIRED
        case Outcome.LOCKED | Outcome.EXHAUSTED:
            return _LOCKED
    return VerifyResult(
        "invalid_code",
        "Invalid verification code",
        remaining_attempts=session.max_attempts - session.attempts,
    )


def _count_failure(state: AppState, verdict: Verdict, now: datetime) -> Failure | None:
    """Count a wrong code for its account; if that fails, the client gets no verdict either."""
    if not state.accounts.rules.counts_failures:
        return None
    session = verdict.session
    failure = state.accounts.record_failure(
        account_of(session), session.session_id, judged_at=verdict.judged_at, now=now
    )
    others = [id_ for id_ in failure.open_sessions if id_ != session.session_id]
    if failure.failures == 1 and others:
        # Sessions that start later see the failure; those that are open have to be told.
        state.sessions.ask_to_settle(others)
    return failure


def _settle(state: AppState, verdict: Verdict, now: datetime) -> None:
    """Have the account clear the failures before a correct code, if there may be any."""
    session = verdict.session
    if not state.accounts.rules.counts_failures or not (verdict.settle or session.attempts):
        return
    account = account_of(session)
    try:
        with database_calls(state.settings.db_timeout):
            state.accounts.settle(account, session.session_id, judged_at=verdict.judged_at, now=now)
    except OtpAuthError:
        # This is no reason to refuse the correct code; the next one clears the failures.
        events.failures_not_cleared(session)


def _complete(state: AppState, verdict: Verdict, now: datetime, code: str) -> VerifyResult:
    """Find the user of a session that has just been verified, and sign them in."""
    session = verdict.session
    try:
        user = state.handlers.get_user(session.identifier, session.method, session.payload)
        if user is None:
            events.no_user_to_sign_in(session)
            return _NO_USER
        auth = _sign_in(state, user, verdict, now)
        return VerifyResult(
            "success",
            token=auth.token,
            refresh_token=auth.refresh_token,
            user=auth.user,
            device_token=_device_token(state, session),
        )
    except Refused:
        events.sign_in_refused(session)
        raise
    except Exception as error:
        failure = events.sign_in_failed(session, code, error)
    raise failure


def _device_token(state: AppState, session: Session) -> str | None:
    """Make the device a trusted one, and return its token, or ``None`` without that option."""
    if state.devices is None:
        return None
    until = utc_now() + timedelta(seconds=state.devices.lifetime)
    try:
        with database_calls(state.settings.db_timeout):
            device = state.accounts.trust(account_of(session), until)
    except OtpAuthError:
        return None  # this is no reason to refuse the correct code; the error has been logged
    return state.devices.issue(device)


def _sign_in(state: AppState, user: object, verdict: Verdict, now: datetime) -> AuthResult:
    """Have the ``verify_success_handler`` complete the sign-in, or issue JWTs without one."""
    session = verdict.session
    if state.handlers.makes_own_tokens:
        return state.handlers.verify_success(
            user, session.identifier, session.method, session.payload
        )
    if state.settings.refresh_token:
        return begin_login(state, user, session, now, verdict.judged_at)
    return tokens.issue(user, session.method, now, verdict.judged_at)
