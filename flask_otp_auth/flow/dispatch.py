"""Sending a code, now or in the background, and withdrawing it if it could not be sent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from .. import events
from ..background import Slot
from ..exceptions import OtpAuthError, SendFailed
from ..state import AppState
from ..types import Session
from .sending import sending


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
    handlers, to = state.handlers, (session.identifier, session.method, session.payload)
    try:
        if not state.settings.send_to_unknown and not handlers.has_user(*to):
            events.no_user_to_send_to(session)
            return False
        with sending(session):
            sent, error = handlers.send_code(code, *to), None
    except Exception as raised:
        sent, error = False, raised
    if sent:
        events.code_sent(session)
        return True
    failure = events.code_not_sent(session, code, error)
    if undo is not None:
        _undo(session, undo)
    raise failure


def _undo(session: Session, undo: Callable[[], None]) -> None:
    try:
        undo()
    except OtpAuthError as error:
        events.code_not_withdrawn(session, error)
