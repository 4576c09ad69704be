"""Confirm: checking a code that is for something else than a login."""

from __future__ import annotations

from ..state import AppState
from ..subjects import Purpose
from ..types import ConfirmResult, VerifyResult
from .judge import judge


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
