"""The session whose code is being sent, for senders that need more than the handler's arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..types import Session

_session: ContextVar[Session | None] = ContextVar("flask_otp_auth_session", default=None)


@contextmanager
def sending(session: Session) -> Iterator[None]:
    """Make :func:`current_session` return *session* inside the ``with`` block."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def current_session() -> Session | None:
    """Return the session whose code is being sent, or ``None`` outside of a sender.

    :returns: the :class:`~flask_otp_auth.Session`, with the language of its messages.
    """
    return _session.get()
