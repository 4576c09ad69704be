"""What is stored about a person: showing it, and erasing it."""

from __future__ import annotations

from typing import Any

from .. import events, identifiers
from ..state import AppState
from ..store.database import database_calls
from ..types import Method
from .accounts import identify


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
