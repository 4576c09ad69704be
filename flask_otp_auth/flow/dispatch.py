"""Sending a code: now or in the background, and taking it back when it did not go out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from .. import identifiers, signals
from ..exceptions import OtpAuthError, SendFailed
from ..redaction import describe, short
from ..sending.background import Place
from ..sending.current import sending
from ..state import AppState
from ..types import Session

_log = logging.getLogger("flask_otp_auth")


@contextlib.contextmanager
def place_to_send(state: AppState, *, needed: bool) -> Iterator[Place | None]:
    """Keep a place in the background while a send is admitted; give it back if it is refused.

    :param needed: whether a code is going to be sent.
    :raises ServiceUnavailable: there is none.
    """
    place = state.background.reserve() if needed and state.background is not None else None
    try:
        yield place
    except BaseException:
        if place is not None:
            place.release()
        raise


def dispatch(
    state: AppState,
    session: Session,
    code: str,
    place: Place | None,
    *,
    undo: Callable[[], None],
    undo_later: Callable[[], None] | None,
) -> None:
    """Send now, or hand the sending to the background.

    :param place: where in the background; ``None`` to send now.
    :param undo: takes the code back when it did not go out.
    :param undo_later: the same in the background, where it must not change anything that a client
        could see: only an account that exists can have a sender that fails, and its session must
        go on as that of an unknown one does.
    """
    if state.background is None or place is None:
        _deliver(state, session, code, undo)
        return
    pace = state.background.pace

    def job() -> None:
        began, is_sent = time.perf_counter(), True
        with contextlib.suppress(SendFailed):  # logged and signalled where it happened
            is_sent = _deliver(state, session, code, undo_later)
        if is_sent:
            pace.record(session.method, time.perf_counter() - began)
        else:
            pace.imitate(session.method, began)

    place.run(job)


def _deliver(state: AppState, session: Session, code: str, undo: Callable[[], None] | None) -> bool:
    """Hand the code to the sender; take it back if it did not go out.

    :returns: whether there was anybody to send it to.
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
        _log.error(
            "the code of session %s was not taken back: %s", short(session.session_id), error
        )
