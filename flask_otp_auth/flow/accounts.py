"""Looking up a session, finding the account of a session, and unlocking an account."""

from __future__ import annotations

import re
from dataclasses import replace

from .. import events, identifiers
from ..clock import utc_now
from ..state import AppState
from ..store.database import database_calls
from ..types import Method, Session

_SESSION_ID = re.compile(r"[0-9a-f]{32}")


def is_session_id(text: str) -> bool:
    """Return whether *text* has the form of a session id."""
    return _SESSION_ID.fullmatch(text) is not None


def account_of(state: AppState, session: Session) -> str:
    """Return the id of the account document of a session."""
    return session.account or state.accounts.key_of(identifiers.account_of(session.identifier))


def unlock(state: AppState, identifier: str, method: Method) -> bool:
    """Clear the failures, the lock and the send counts of an account and its trusted devices.

    Sessions that have ended stay so, and attempts that open sessions have reserved stay reserved.

    :param identifier: any identifier of the account.
    :param method: ``"sms"`` or ``"email"``.
    :returns: whether there was anything to clear.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    identifier = identifiers.normalise(identifier, method, state.settings.default_region)
    account = state.accounts.key_of(identifiers.account_of(identifier))
    with database_calls(state.settings.db_timeout):
        cleared = state.accounts.unlock(account, utc_now())
    if cleared:
        events.identifier_unlocked(identifier, method)
    return cleared


def find_session(state: AppState, session_id: str) -> Session | None:
    """Return a session as it is now, or ``None`` if there is no such session.

    A pending session past its ``expires_at`` is returned as expired.

    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    with database_calls(state.settings.db_timeout):
        return look_up(state, session_id)


def look_up(state: AppState, session_id: str) -> Session | None:
    """Do the same as :func:`find_session`, within ``database_calls`` of the caller."""
    if not is_session_id(session_id):
        return None
    session = state.sessions.find(session_id)
    if session is not None and session.status == "pending" and utc_now() >= session.expires_at:
        return replace(session, status="expired")
    return session
