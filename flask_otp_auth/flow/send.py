"""Initiate and resend: admitting a send, storing its code, and having it sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from .. import codes, events, identifiers
from ..clock import utc_now
from ..exceptions import (
    IdentifierLocked,
    SessionExpired,
    SessionNotFound,
    TooManyRequests,
    TooManyResends,
)
from ..settings.fixed_codes import fixed_code
from ..state import AppState
from ..store.account import Event
from ..store.accounts import Admission
from ..store.database import database_calls
from ..types import InitiateResult, Method, Payload, Session
from .accounts import account_of, look_up
from .dispatch import dispatch, reserved_slot

_REFUSALS = {
    Event.LIMITED: "identifier",
    Event.LOCKED: "lockout",
    Event.DISABLED: "lockout",
    Event.RESERVED: "tries",
}


def initiate(
    state: AppState,
    identifier: str,
    method: Method,
    payload: Payload | None,
    device_tokens: Sequence[object] = (),
    locale: str | None = None,
) -> InitiateResult:
    """Start a session and have its code sent.

    :param identifier: the identifier that the client sent.
    :param method: ``"sms"`` or ``"email"``.
    :param payload: the payload that the client sent, already checked, or ``None``.
    :param device_tokens: what the client sent to show that it is a trusted device, if anything.
    :param locale: the language of the session's messages as a BCP 47 tag, or ``None``.
    :raises InvalidIdentifier: *identifier* does not have an accepted form, or no SMS may be sent
        to it.
    :raises TooManyRequests: a limit on the sends of the account has been reached.
    :raises IdentifierLocked: there were too many consecutive wrong codes.
    :raises SendFailed: the sender failed, and the session has ended.
    :raises ServiceUnavailable: MongoDB did not answer in time, or too many codes are waiting to be
        sent in the background.
    :raises MissingHandlerError: a required handler is not registered.
    """
    state.handlers.require()
    settings = state.settings
    now = utc_now()
    identifier = identifiers.normalise(identifier, method, settings.default_region)
    fixed = fixed_code(settings.test_identifiers, identifier, now)
    if settings.phone_regions is not None and method == "sms" and fixed is None:
        identifiers.require_region(identifier, settings.phone_regions)
    account = _account_for(state, identifier, device_tokens)
    session = _new_session(state, identifier, method, payload, account, locale, now)
    code = fixed or codes.draw(settings.code_length)
    digest = state.digester.digest(session.session_id, code)
    with reserved_slot(state, needed=fixed is None) as slot:
        admit = state.accounts.admit if fixed is None else state.accounts.admit_unlimited
        session = _admit_and_store(state, session, digest, admit, now)
    is_trusted = state.accounts.account_and_device(account)[1] is not None
    events.session_started(session, by_trusted_device=is_trusted)
    if fixed is None:

        def undo() -> None:
            with database_calls(settings.db_timeout):
                state.sessions.discard(session.session_id)
                state.accounts.give_back(account, now, session.session_id)

        dispatch(state, session, code, slot, undo=undo, undo_later=None)
    return InitiateResult(session.session_id, session.expires_at, settings.code_ttl)


def _admit_and_store(
    state: AppState,
    session: Session,
    digest: bytes,
    admit: Callable[..., Admission],
    now: datetime,
) -> Session:
    """Have the account admit a session, store it, and return it with the attempts granted to it."""
    timeout = state.settings.db_timeout
    with database_calls(timeout):
        state.indexes.ensure(timeout)
        admission = admit(
            session.account,
            session.session_id,
            tries=session.max_attempts,
            expires_at=session.expires_at,
            now=now,
        )
        _refuse_unless_sent(state, admission, session, now, is_stored=False)
        session = replace(session, max_attempts=admission.tries)
        state.sessions.insert(session, digest, settle=admission.settle)
    return session


def _account_for(state: AppState, identifier: str, device_tokens: Sequence[object]) -> str:
    """Return the id of the account's document, or of that of the trusted device, if it is one."""
    name = identifiers.account_of(identifier)
    account = state.accounts.key_of(name)
    if state.devices is None:
        return account
    device = state.devices.read(account, device_tokens)
    return account if device is None else state.accounts.key_of(name, device)


def _new_session(
    state: AppState,
    identifier: str,
    method: Method,
    payload: Payload | None,
    account: str,
    locale: str | None,
    now: datetime,
) -> Session:
    return Session(
        session_id=codes.draw_session_id(),
        identifier=identifier,
        method=method,
        status="pending",
        attempts=0,
        max_attempts=state.settings.max_attempts,
        created_at=now,
        expires_at=now + timedelta(seconds=state.settings.code_ttl),
        verified_at=None,
        payload=payload,
        account=account,
        locale=locale,
    )


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
    settings = state.settings
    now = utc_now()
    with database_calls(settings.db_timeout):
        session = _resendable(state, session_id)
        account = account_of(state, session)
        fixed = fixed_code(settings.test_identifiers, session.identifier, now)
        code = fixed or codes.draw(settings.code_length)
        digest = state.digester.digest(session_id, code)
        accounts = state.accounts
        admit = accounts.admit_resend if fixed is None else accounts.admit_resend_unlimited
        with reserved_slot(state, needed=fixed is None) as slot:
            _refuse_unless_sent(state, admit(account, now), session, now, is_stored=True)
            extended = state.sessions.add_code(
                session_id, digest, max_resends=settings.max_resends, now=now
            )
            if extended is None:  # it has ended, or used its last resend, since it was looked up
                accounts.give_back(account, now)
                _resendable(state, session_id)
                raise SessionNotFound
    if fixed is None:

        def undo_later() -> None:
            with database_calls(settings.db_timeout):
                state.sessions.drop_code(session_id, digest)

        def undo() -> None:
            with database_calls(settings.db_timeout):
                state.sessions.take_back_resend(session_id, digest)
                accounts.give_back(account, now)

        dispatch(state, extended, code, slot, undo=undo, undo_later=undo_later)
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


def _refuse_unless_sent(
    state: AppState,
    admission: Admission,
    session: Session,
    now: datetime,
    *,
    is_stored: bool,
) -> None:
    """Raise the refusal of an account, unless it admitted the send.

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
        rule=str(state.settings.identifier_limits[admission.limit]) if is_limited else None,
    )
    if is_limited:
        raise TooManyRequests(retry_after=wait, scope="identifier")
    raise IdentifierLocked(retry_after=wait)
