"""Sending a code, now or in the background, each with what is done if it could not be sent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from .. import events
from ..background import Slot
from ..exceptions import OtpAuthError, SendFailed
from ..state import AppState
from ..store.database import database_calls
from ..types import Session


@dataclass(frozen=True, slots=True)
class OutgoingCode:
    """A code that has been stored, and is to be sent.

    :param session: the session that the code belongs to.
    :param code: the digits.
    :param digest: what is stored of the code.
    :param asked_at: when it was asked for, in UTC. An account counts the send at this time.
    :param client: the address that asked for it, or ``None`` if it is not known. It is stored
        nowhere.
    """

    session: Session
    code: str = field(repr=False)
    digest: bytes = field(repr=False)
    asked_at: datetime
    client: str | None = field(repr=False)


class NotSentError(Exception):
    """A code was not sent, or nobody knows whether it was.

    :param failure: the error for the client, which has been logged.
    :param is_certain: whether no message can have gone out, so that no send need be counted.
    """

    def __init__(self, failure: SendFailed, *, is_certain: bool) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.is_certain = is_certain


_outgoing: ContextVar[OutgoingCode | None] = ContextVar("flask_otp_auth_outgoing", default=None)


def current_outgoing() -> OutgoingCode | None:
    """Return the code that is being sent, or ``None`` outside of a sender."""
    return _outgoing.get()


def current_session() -> Session | None:
    """Return the session whose code is being sent, or ``None`` outside of a sender.

    :returns: the :class:`~flask_otp_auth.Session`, with the language of its messages.
    """
    outgoing = _outgoing.get()
    return None if outgoing is None else outgoing.session


@contextlib.contextmanager
def reserved_slot(
    state: AppState, *, needed: bool, is_trusted_device: bool
) -> Iterator[Slot | None]:
    """Reserve a slot in the background while a send is admitted; release it if that fails.

    :param needed: whether a code is going to be sent.
    :param is_trusted_device: whether a trusted device asks, which has slots of its own.
    :returns: the slot, or ``None`` if nothing is sent in the background.
    :raises ServiceUnavailable: all slots are taken.
    """
    if state.background is None or not needed:
        yield None
        return
    slot = state.background.reserve(for_device=is_trusted_device)
    try:
        yield slot
    except BaseException:
        slot.release()
        raise


def send_now(state: AppState, outgoing: OutgoingCode) -> bool:
    """Pass a code to the sender, if it has a recipient.

    :returns: whether there is a user to send it to.
    :raises NotSentError: it was not sent. What was stored for it is for the caller to withdraw.
    """
    session, code, handlers = outgoing.session, outgoing.code, state.handlers
    # Errors are raised outside of ``except``, so that none leads to one that may hold the code.
    failed: Exception | None = None
    try:
        asks_for_user = session.purpose is None and not state.settings.send_to_unknown
        if asks_for_user and not handlers.has_user(
            session.identifier, session.method, session.payload
        ):
            events.no_user_to_send_to(session)
            return False
    except Exception as error:
        failed = error
    if failed is not None:
        raise NotSentError(events.code_not_sent(session, code, failed), is_certain=True)
    is_sent = False
    try:
        is_sent = _call_sender(state, outgoing)
    except Exception as error:
        failed = error  # the message may have gone out before, and nobody heard of it
    if not is_sent:
        failure = events.code_not_sent(session, code, failed)
        raise NotSentError(failure, is_certain=failed is None)
    events.code_sent(session)
    return True


def send_later(state: AppState, outgoing: OutgoingCode, slot: Slot) -> None:
    """Pass a code to the sender in the background.

    A code that was not sent is no longer accepted. Nothing else is withdrawn, since a client could
    see it: only for a user who exists can the sender fail, so this would reveal who has an account.
    """
    slot.run(_send_in_background, state, outgoing, slot)


@contextlib.contextmanager
def withdrawing(state: AppState, session: Session) -> Iterator[None]:
    """Log it if what was stored for a code that was not sent cannot be withdrawn."""
    try:
        with database_calls(state.settings.db_timeout):
            yield
    except OtpAuthError as error:
        events.code_not_withdrawn(session, error)


def _send_in_background(state: AppState, outgoing: OutgoingCode, slot: Slot) -> None:
    session, began = outgoing.session, time.perf_counter()
    try:
        has_user = send_now(state, outgoing)
    except BaseException as error:  # in a thread of ours, SystemExit is one more failed send
        if not isinstance(error, NotSentError):
            events.code_not_sent(session, outgoing.code, error)
        has_user = True
        with withdrawing(state, session):
            state.sessions.drop_code(session.session_id, outgoing.digest)
    if has_user:
        slot.sent(session.method, time.perf_counter() - began)
    else:
        slot.imitate_send(session.method, began)


def _call_sender(state: AppState, outgoing: OutgoingCode) -> bool:
    session = outgoing.session
    token = _outgoing.set(outgoing)
    try:
        return state.handlers.send_code(
            outgoing.code, session.identifier, session.method, session.payload
        )
    finally:
        _outgoing.reset(token)
