"""Verify and confirm: what a correct code is good for, a login or something else."""

from __future__ import annotations

from datetime import timedelta

from .. import codes, events, tokens
from ..clock import utc_now
from ..exceptions import OtpAuthError, Refused
from ..state import AppState
from ..store.database import database_calls
from ..store.sessions import Verdict
from ..subjects import Purpose
from ..types import NO_USER, AuthResult, ConfirmResult, Session, VerifyResult
from .accounts import account_of
from .judge import judge
from .logins import begin_login


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
    judged = judge(state, session_id, typed, None)
    if isinstance(judged, VerifyResult):
        return judged
    return _complete(state, judged, codes.normalise(typed))


def confirm(state: AppState, session_id: str, typed: str, purpose: Purpose) -> ConfirmResult:
    """Check a typed code for a purpose. No handler is called, and nobody is signed in.

    :param session_id: the id of the session.
    :param typed: the code as it was typed.
    :param purpose: what the code is to be used for, and whose action that is.
    :raises SessionAlreadyVerified: the session has already been verified.
    :raises InternalError: the stored session is damaged, or MongoDB refused the operation.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    judged = judge(state, session_id, typed, purpose)
    if isinstance(judged, VerifyResult):
        return ConfirmResult(judged.status, judged.message, judged.remaining_attempts)
    session = judged.session
    return ConfirmResult(
        "success",
        identifier=session.identifier,
        method=session.method,
        payload=session.payload,
    )


def _complete(state: AppState, verdict: Verdict, code: str) -> VerifyResult:
    """Find the user of a session that has just been verified, and sign them in."""
    session = verdict.session
    try:
        user = state.handlers.get_user(session.identifier, session.method, session.payload)
        if user is None:
            events.no_user_to_sign_in(session)
            return VerifyResult("not_found", NO_USER)
        auth = _sign_in(state, user, verdict)
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


def _sign_in(state: AppState, user: object, verdict: Verdict) -> AuthResult:
    """Have the ``verify_success_handler`` complete the sign-in, or issue JWTs without one."""
    session, now = verdict.session, verdict.session.verified_at or utc_now()
    if state.handlers.makes_own_tokens:
        return state.handlers.verify_success(
            user, session.identifier, session.method, session.payload
        )
    if state.settings.refresh_token:
        return begin_login(state, user, session, now, verdict.judged_at)
    return tokens.issue(user, session.method, now, verdict.judged_at)
