"""Sending a code: now or in the background, and taking it back when it did not go out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from .. import identifiers
from ..exceptions import OtpAuthError, SendFailed
from ..redaction import describe, short
from ..signals import notify_of
from ..state import AppState
from ..types import Session

_log = logging.getLogger("flask_otp_auth")


def dispatch(
    state: AppState,
    session: Session,
    code: str,
    *,
    undo: Callable[[], None],
    undo_later: Callable[[], None] | None,
) -> None:
    """Send now, or hand the sending to the background.

    :param undo: takes the code back when it did not go out.
    :param undo_later: the same in the background, where it must not change anything that a client
        could see: only an account that exists can have a sender that fails, and its session must
        go on as that of an unknown one does.
    """
    if state.background is None:
        _deliver(state, session, code, undo)
        return

    def job() -> None:
        with contextlib.suppress(SendFailed):  # logged and signalled where it happened
            _deliver(state, session, code, undo_later)

    try:
        state.background.submit(job)
    except OtpAuthError:
        _undo(session, undo)
        raise


def _deliver(state: AppState, session: Session, code: str, undo: Callable[[], None] | None) -> None:
    """Hand the code to the sender; take it back if it did not go out."""
    whom = (session.method, identifiers.mask(session.identifier), short(session.session_id))
    handlers, to = state.handlers, (session.identifier, session.method, session.payload)
    try:
        if not state.settings.send_to_unknown and handlers.get_user(*to) is None:
            _log.info("no user, no code sent: method=%s to=%s session=%s", *whom)
            return
        sent, error = handlers.send_code(code, *to), None
    except Exception as raised:
        sent, error = False, raised
    if sent:
        _log.info("code sent: method=%s to=%s session=%s", *whom)
        notify_of("code_sent", session)
        return
    failure = SendFailed()
    _log.error(
        "code not sent: method=%s to=%s session=%s [error %s]: %s",
        *whom,
        failure.id,
        describe(error, code, session.identifier)
        if error
        else "send_code_handler did not return a true value",
    )
    notify_of("send_failed", session, reason="raised" if error else "not sent", error=error)
    if undo is not None:
        _undo(session, undo)
    raise failure


def _undo(session: Session, undo: Callable[[], None]) -> None:
    try:
        undo()
    except OtpAuthError as error:
        _log.error(
            "the code of session %s was not taken back: %s", short(session.session_id), error
        )
