"""Sending a code, now or in the background, and withdrawing it if it could not be sent."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from .. import identifiers, signals
from ..exceptions import OtpAuthError, SendFailed
from ..redaction import describe, short
from ..sending.background import Slot
from ..sending.current import sending
from ..state import AppState
from ..types import Session

_log = logging.getLogger("flask_otp_auth")


@contextlib.contextmanager
def reserved_slot(state: AppState, *, needed: bool) -> Iterator[Slot | None]:
    """Reserve a slot in the background while a send is admitted; release it if that fails.

    :param needed: whether a code is going to be sent.
    :returns: the slot, or ``None`` if nothing is sent in the background.
    :raises ServiceUnavailable: all slots are taken.
    """
    slot = state.background.reserve() if needed and state.background is not None else None
    try:
        yield slot
    except BaseException:
        if slot is not None:
            slot.release()
        raise


def dispatch(
    state: AppState,
    session: Session,
    code: str,
    slot: Slot | None,
    *,
    undo: Callable[[], None],
    undo_later: Callable[[], None] | None,
) -> None:
    """Send a code now or in the background, and withdraw it if it could not be sent.

    :param slot: a slot in the background, or ``None`` to send now.
    :param undo: withdraws a code that was to be sent now.
    :param undo_later: withdraws a code that was to be sent in the background, or ``None``. It must
        not change anything that a client can see: only for a user who exists can the sender fail,
        so this would reveal who has an account.
    :raises SendFailed: the code could not be sent now.
    """
    if state.background is None or slot is None:
        _deliver(state, session, code, undo)
        return
    pace = state.background.pace

    def job() -> None:
        began, is_sent = time.perf_counter(), True
        with contextlib.suppress(SendFailed):  # it has been logged and signalled
            is_sent = _deliver(state, session, code, undo_later)
        if is_sent:
            pace.record(session.method, time.perf_counter() - began)
        else:
            pace.imitate(session.method, began)

    slot.run(job)


def _deliver(state: AppState, session: Session, code: str, undo: Callable[[], None] | None) -> bool:
    """Pass the code to the sender, and withdraw it if it could not be sent.

    :returns: whether there is a user to send it to.
    :raises SendFailed: the code could not be sent.
    """
    whom = (session.method, identifiers.mask(session.identifier), short(session.session_id))
    handlers, to = state.handlers, (session.identifier, session.method, session.payload)
    try:
        if not state.settings.send_to_unknown and handlers.get_user(*to) is None:
            _log.info("no user, no code sent: method=%s to=%s session=%s", *whom)
            return False
        with sending(session):
            sent, error = handlers.send_code(code, *to), None
    except Exception as raised:
        sent, error = False, raised
    if sent:
        _log.info("code sent: method=%s to=%s session=%s", *whom)
        signals.notify_of(signals.code_sent, session)
        return True
    failure = SendFailed()
    _log.error(
        "code not sent: method=%s to=%s session=%s [error %s]: %s",
        *whom,
        failure.id,
        describe(error, code, session.identifier)
        if error
        else "send_code_handler did not return a true value",
    )
    signals.notify_of(
        signals.send_failed, session, reason="raised" if error else "not sent", error=error
    )
    if undo is not None:
        _undo(session, undo)
    raise failure


def _undo(session: Session, undo: Callable[[], None]) -> None:
    try:
        undo()
    except OtpAuthError as error:
        _log.error("the code of session %s was not withdrawn: %s", short(session.session_id), error)
