"""Judging a typed code: the verdict on its session, and what it does to the account."""

from __future__ import annotations

from datetime import datetime

from .. import codes, events
from ..clock import utc_now
from ..exceptions import OtpAuthError, SessionAlreadyVerified
from ..state import AppState
from ..store.account import Event, Failure
from ..store.database import database_calls
from ..store.sessions import Verdict
from ..store.verdict import Outcome
from ..subjects import Purpose
from ..types import Session, VerifyResult
from .accounts import account_of, is_session_id

_LOCKED = VerifyResult(
    "locked", "Too many failed attempts. Session is locked.", remaining_attempts=0
)
_EXPIRED = VerifyResult("expired", "Verification code has expired")
_NO_SESSION = VerifyResult("not_found", "Session not found or expired")


def judge(
    state: AppState, session_id: str, typed: str, purpose: Purpose | None
) -> Verdict | VerifyResult:
    """Check a typed code, and count it for the account if it was wrong.

    A session that is for something else is not touched, and answered like one that does not exist.

    :param session_id: the id that the client sent.
    :param typed: the code as it was typed.
    :param purpose: what the code is to be used for, or ``None`` for a login.
    :returns: the verdict on a correct code, which has ended its session, or the result of any other
        code.
    :raises SessionAlreadyVerified: the session has already been verified.
    :raises InternalError: the stored session is damaged, or MongoDB refused the operation.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    if not is_session_id(session_id):
        return _NO_SESSION
    now, failure = utc_now(), None
    with database_calls(state.settings.db_timeout):
        verdict = _decide(state, session_id, codes.read(typed), purpose, now)
        if verdict is None:
            return _NO_SESSION
        if verdict.outcome is Outcome.ACCEPTED:
            _settle(state, verdict, now)
        elif verdict.outcome.is_judged:
            failure = _count_failure(state, verdict, now)
    session = verdict.session
    if verdict.outcome is Outcome.ACCEPTED:
        events.code_accepted(session)
        return verdict
    if verdict.outcome is not Outcome.UNREADABLE:
        events.code_rejected(session, str(verdict.outcome))
    if failure is not None and failure.event is not Event.FAILED:
        events.identifier_locked(session, str(failure.event), failure.failures)
    return _rejected(verdict.outcome, session)


def _decide(
    state: AppState, session_id: str, code: str | None, purpose: Purpose | None, now: datetime
) -> Verdict | None:
    bindings, name = None, None
    if purpose is not None:
        bindings, name = state.digester.bindings(session_id, purpose), purpose.name
    candidates = None
    if code is not None:
        candidates = state.digester.candidates(session_id, code, bindings)
    return state.sessions.judge(session_id, candidates, now, purpose=name, bindings=bindings or ())


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
