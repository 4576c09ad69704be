"""Resend: another code for a session that is still pending."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from .. import codes
from ..clock import utc_now
from ..exceptions import SessionExpired, SessionNotFound, TooManyResends
from ..settings.fixed_codes import fixed_code
from ..state import AppState
from ..store.database import database_calls
from ..types import InitiateResult, Session
from .accounts import account_of, look_up, require_admitted
from .sending import (
    NotSentError,
    OutgoingCode,
    reserved_slot,
    send_later,
    send_now,
    withdrawing,
)


def resend(state: AppState, session_id: str, client: str | None = None) -> InitiateResult:
    """Send another code for a pending session; the earlier codes stay valid.

    :param client: the address that asked, for the message; it is stored nowhere.
    :raises SessionNotFound: there is no such session, or it is no longer pending.
    :raises SessionExpired: the session has expired.
    :raises TooManyResends: the session has used all of its resends.
    :raises TooManyRequests: a limit on the sends of the account has been reached.
    :raises IdentifierLocked: there were too many consecutive wrong codes.
    :raises SendFailed: the sender failed; the earlier codes of the session stay valid.
    :raises ServiceUnavailable: MongoDB did not answer in time, or too many codes are waiting to be
        sent in the background.
    :raises MissingHandlerError: a required handler is not registered.
    """
    state.handlers.require()
    now = utc_now()
    with database_calls(state.settings.db_timeout):
        session = _resendable(state, session_id)
        fixed = fixed_code(state.settings.test_identifiers, session.identifier, now)
        code = fixed or codes.draw(state.settings.code_length)
        digest = state.digester.digest(session_id, code, session.binding)
        is_trusted = account_of(session).device is not None
        with reserved_slot(state, needed=fixed is None, is_trusted_device=is_trusted) as slot:
            session = _admit_and_extend(state, session, digest, now, counts=fixed is None)
    if fixed is None:
        outgoing = OutgoingCode(session, code, digest, now, client)
        if slot is not None:
            send_later(state, outgoing, slot)
        else:
            _send_or_withdraw(state, outgoing)
    left = int((session.expires_at - now).total_seconds())
    return InitiateResult(session_id, session.expires_at, left)


def _resendable(state: AppState, session_id: str) -> Session:
    """Return the session if another code may be sent for it, and raise the reason if not."""
    session = look_up(state, session_id)
    if session is None or session.status in ("verified", "locked"):
        raise SessionNotFound
    if session.status == "expired":
        state.sessions.discard(session_id)  # nobody may have tried a code since
        raise SessionExpired
    if session.resends >= state.settings.max_resends:
        raise TooManyResends
    return session


def _admit_and_extend(
    state: AppState, session: Session, digest: bytes, now: datetime, *, counts: bool
) -> Session:
    """Have the account admit another send, and store its code beside the earlier ones."""
    admission = state.accounts.admit([account_of(session)], now=now, counts=counts)
    require_admitted(state, admission, session, now, is_stored=True)
    extended = state.sessions.add_code(
        session.session_id, digest, max_resends=state.settings.max_resends, now=now
    )
    if extended is None:  # it has ended, or used its last resend, since it was looked up
        state.accounts.give_back(admission.account, sent_at=now, session_id=None)
        _resendable(state, session.session_id)
        raise SessionNotFound
    return replace(extended, account=admission.account)


def _send_or_withdraw(state: AppState, outgoing: OutgoingCode) -> None:
    """Send the code now. If that fails, remove it from its session.

    The resend and the send are given back only if the code certainly was not sent.

    :raises SendFailed: it was not sent.
    """
    session_id = outgoing.session.session_id
    try:
        send_now(state, outgoing)
    except NotSentError as error:
        with withdrawing(state, outgoing.session):
            if error.is_certain:
                state.sessions.take_back_resend(session_id, outgoing.digest)
                state.accounts.give_back(
                    account_of(outgoing.session), sent_at=outgoing.asked_at, session_id=None
                )
            else:
                state.sessions.drop_code(session_id, outgoing.digest)
        raise error.failure from None
