"""Resend: another code for a session that is still pending."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from .. import codes
from ..clock import utc_now
from ..exceptions import SessionExpired, SessionNotFound, TooManyResends
from ..settings.fixed_codes import fixed_code
from ..state import AppState
from ..store.database import database_calls
from ..types import InitiateResult, Session
from .accounts import account_of, look_up, require_admitted
from .dispatch import dispatch, reserved_slot


def resend(state: AppState, session_id: str) -> InitiateResult:
    """Send another code for a pending session; the earlier codes stay valid.

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
        digest = state.digester.digest(session_id, code)
        with reserved_slot(state, needed=fixed is None) as slot:
            session = _admit_and_extend(state, session, digest, now, counts=fixed is None)
    if fixed is None:
        added = _AddedCode(state, session, digest, now)
        dispatch(state, session, code, slot, undo=added.withdraw, undo_later=added.drop)
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


@dataclass(frozen=True, slots=True)
class _AddedCode:
    """A code that has been added to a session, and can be withdrawn if it was not sent."""

    state: AppState
    session: Session
    digest: bytes
    admitted_at: datetime

    def withdraw(self) -> None:
        """Remove the code, and give the resend and the send back."""
        with database_calls(self.state.settings.db_timeout):
            self.state.sessions.take_back_resend(self.session.session_id, self.digest)
            self.state.accounts.give_back(
                account_of(self.session), sent_at=self.admitted_at, session_id=None
            )

    def drop(self) -> None:
        """Remove the code alone, which no client can see."""
        with database_calls(self.state.settings.db_timeout):
            self.state.sessions.drop_code(self.session.session_id, self.digest)
