"""Accounts and sessions: look-ups, admissions, unlocking, exporting and erasing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .. import events, identifiers
from ..clock import utc_now
from ..exceptions import IdentifierLocked, InternalError, TooManyRequests
from ..state import AppState
from ..store.account import Admission, Event
from ..store.database import database_calls
from ..types import AccountId, Method, Session

# What the signal says about the event of an account.
_REFUSALS = {
    Event.LIMITED: "identifier",
    Event.LOCKED: "lockout",
    Event.DISABLED: "lockout",
    Event.RESERVED: "tries",
}

_SESSION_ID = re.compile(r"[0-9a-f]{32}")


def is_session_id(text: str) -> bool:
    """Return whether *text* has the form of a session id."""
    return _SESSION_ID.fullmatch(text) is not None


def account_of(session: Session) -> AccountId:
    """Return the account, or the trusted device, that admitted a session.

    :raises InternalError: the stored session is damaged.
    """
    if session.account is None:
        raise events.failed(InternalError(), "a stored session lacks its account")
    return session.account


def identify(state: AppState, identifier: str, method: Method) -> tuple[str, AccountId]:
    """Return an identifier in its normalised form, and its account.

    :param identifier: the identifier in any accepted form.
    :param method: ``"sms"`` or ``"email"``.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    """
    normalised = identifiers.normalise(identifier, method, state.settings.default_region)
    return normalised, state.accounts.id_of(identifiers.account_of(normalised))


def trusted_device(
    state: AppState, identifier: str, method: Method, tokens: Sequence[object]
) -> AccountId | None:
    """Return a trusted device of the account of an identifier, or ``None``.

    Nothing is looked up: its document may be gone since its token was made.

    :param identifier: the identifier that the client sent.
    :param tokens: what the client sent to show that it is a trusted device.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    """
    if state.devices is None or not tokens:
        return None
    _, account = identify(state, identifier, method)
    return next(iter(state.devices.read(account, tokens)), None)


def device_of_session(state: AppState, session_id: str) -> AccountId | None:
    """Return the trusted device that started a session, or ``None``.

    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    session = find_session(state, session_id)
    account = None if session is None else session.account
    return account if account is not None and account.device is not None else None


def unlock(state: AppState, identifier: str, method: Method) -> bool:
    """Clear the failures, the lock and the send counts of an account and its trusted devices.

    Sessions that have ended stay so, and attempts that open sessions have reserved stay reserved.

    :param identifier: any identifier of the account.
    :param method: ``"sms"`` or ``"email"``.
    :returns: whether there was anything to clear.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    identifier, account = identify(state, identifier, method)
    with database_calls(state.settings.db_timeout):
        cleared = state.accounts.unlock(account, utc_now())
    if cleared:
        events.identifier_unlocked(identifier, method)
    return cleared


def forget_devices(state: AppState, identifier: str, method: Method) -> int:
    """Forget all trusted devices of an account; their tokens are then as none.

    :param identifier: any identifier of the account.
    :param method: ``"sms"`` or ``"email"``.
    :returns: how many devices there were.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    identifier, account = identify(state, identifier, method)
    with database_calls(state.settings.db_timeout):
        forgotten = state.accounts.forget_devices(account)
    if forgotten:
        events.devices_forgotten(identifier, forgotten)
    return forgotten


def export(state: AppState, identifier: str, method: Method) -> dict[str, Any]:
    """Return everything that is stored about an identifier, ready for JSON, without digests.

    :param identifier: a phone number or email address, in any accepted form.
    :param method: ``"sms"`` or ``"email"``.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    identifier, account = identify(state, identifier, method)
    with database_calls(state.settings.db_timeout):
        sessions = state.sessions.export(identifier)
        accounts = state.accounts.export(account)
    return {
        "identifier": identifier,
        "method": method,
        "sessions": sessions,
        "accounts": accounts,
    }


def erase(state: AppState, identifier: str, method: Method) -> int:
    """Delete the sessions of an identifier; the counts of its account stay until they lapse.

    :param identifier: a phone number or email address, in any accepted form.
    :param method: ``"sms"`` or ``"email"``.
    :returns: how many sessions were deleted.
    :raises InvalidIdentifier: *identifier* does not have an accepted form.
    :raises ServiceUnavailable: MongoDB did not answer in time.
    """
    identifier = identifiers.normalise(identifier, method, state.settings.default_region)
    with database_calls(state.settings.db_timeout):
        erased = state.sessions.erase(identifier)
    events.sessions_erased(identifier, erased)
    return erased


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
    return None if session is None else session.at(utc_now())


def require_admitted(
    state: AppState,
    admission: Admission,
    session: Session,
    now: datetime,
    *,
    is_stored: bool,
) -> None:
    """Raise the refusal of an account, unless it admitted the send.

    :param admission: what the account said.
    :param is_stored: whether the session is stored already.
    """
    if admission.event is Event.SENT:
        return
    retry_at = admission.retry_at
    wait = None if retry_at is None else (retry_at - now).total_seconds()
    is_limited = admission.event is Event.LIMITED
    events.send_refused(
        session,
        _REFUSALS[admission.event],
        is_stored=is_stored,
        rule=state.settings.identifier_limits[admission.limit] if is_limited else None,
    )
    if is_limited:
        raise TooManyRequests(retry_after=wait, scope="identifier")
    raise IdentifierLocked(retry_after=wait)
