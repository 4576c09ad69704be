"""Look up a session, find the account of one, and unlock an account."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

from .. import identifiers, signals
from ..clock import utc_now
from ..state import AppState
from ..store.database import database_calls
from ..types import Method, Session

_log = logging.getLogger("flask_otp_auth")
_SESSION_ID = re.compile(r"[0-9a-f]{32}")


def is_session_id(text: str) -> bool:
    """Return whether *text* has the form of a session id."""
    return _SESSION_ID.fullmatch(text) is not None


def account_of(state: AppState, session: Session) -> str:
    """Return the key of a session's account."""
    return session.account or state.accounts.key_of(identifiers.account_of(session.identifier))


def unlock(state: AppState, identifier: str, method: Method) -> bool:
    """Forget the failures and the sends of an account, so that it gets new codes again.

    No session is revived by it, and what open sessions have reserved stays reserved.

    :returns: whether there was anything to forget.
    :raises InvalidIdentifier: the identifier has no accepted form.
    """
    identifier = identifiers.normalise(identifier, method, state.settings.default_region)
    account = state.accounts.key_of(identifiers.account_of(identifier))
    with database_calls(state.settings.db_timeout):
        cleared = state.accounts.unlock(account, utc_now())
    if cleared:
        _log.warning("identifier unlocked: %s", identifiers.mask(identifier))
        signals.notify(
            signals.identifier_unlocked, method=method, identifier=identifier, reason="unlock"
        )
    return cleared


def find_session(state: AppState, session_id: str) -> Session | None:
    """Return a session as it stands now: one past its time is expired, judged or not."""
    with database_calls(state.settings.db_timeout):
        return look_up(state, session_id)


def look_up(state: AppState, session_id: str) -> Session | None:
    """Return a session as it stands now, inside the database calls of the caller."""
    if not is_session_id(session_id):
        return None
    session = state.sessions.find(session_id)
    if session is not None and session.status == "pending" and utc_now() >= session.expires_at:
        return replace(session, status="expired")
    return session
