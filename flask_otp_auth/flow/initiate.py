"""Initiate: admitting a send, storing a session with its code, and having the code sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from .. import codes, events, identifiers
from ..clock import utc_now
from ..settings.fixed_codes import fixed_code
from ..state import AppState
from ..store.account import Reservation
from ..store.database import database_calls
from ..subjects import Purpose
from ..types import AccountId, InitiateResult, Method, Payload, Session
from .accounts import account_of, identify, require_admitted
from .sending import (
    NotSentError,
    OutgoingCode,
    reserved_slot,
    send_later,
    send_now,
    withdrawing,
)


def initiate(
    state: AppState,
    identifier: str,
    method: Method,
    payload: Payload | None,
    device_tokens: Sequence[object] = (),
    locale: str | None = None,
    client: str | None = None,
    purpose: Purpose | None = None,
) -> InitiateResult:
    """Start a session and have its code sent.

    :param identifier: the identifier that the client sent.
    :param method: ``"sms"`` or ``"email"``.
    :param payload: the payload that the client sent, already checked, or ``None``.
    :param device_tokens: what the client sent to show that it is a trusted device, if anything.
    :param locale: the language of the session's messages as a BCP 47 tag, or ``None``.
    :param client: the address that asked, for the message; it is stored nowhere.
    :param purpose: what the code is for, and whose action that is, or ``None`` for a login.
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
    identifier, account = identify(state, identifier, method)
    fixed = fixed_code(settings.test_identifiers, identifier, utc_now())
    if settings.phone_regions is not None and method == "sms" and fixed is None:
        identifiers.require_region(identifier, settings.phone_regions)
    devices = [] if state.devices is None else state.devices.read(account, device_tokens)
    session = _bound(state, _new_session(state, identifier, method, payload, locale), purpose)
    code = fixed or codes.draw(settings.code_length)
    digest = state.digester.digest(session.session_id, code, session.binding)
    slots = reserved_slot(state, needed=fixed is None, is_trusted_device=bool(devices))
    with slots as slot:
        session = _admit_and_store(
            state, session, [account, *devices], digest, counts=fixed is None
        )
    is_trusted = account_of(session).device is not None
    events.session_started(session, by_trusted_device=is_trusted)
    if fixed is None:
        outgoing = OutgoingCode(session, code, digest, session.created_at, client)
        if slot is not None:
            send_later(state, outgoing, slot)
        else:
            _send_or_withdraw(state, outgoing)
    return InitiateResult(session.session_id, session.expires_at, settings.code_ttl)


def _new_session(
    state: AppState,
    identifier: str,
    method: Method,
    payload: Payload | None,
    locale: str | None,
) -> Session:
    now = utc_now()
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
        locale=locale,
    )


def _bound(state: AppState, session: Session, purpose: Purpose | None) -> Session:
    """Return *session*, whose codes are for a purpose if there is one."""
    if purpose is None:
        return session
    binding = state.digester.bindings(session.session_id, purpose)[0]
    return replace(session, purpose=purpose.name, binding=binding)


def _admit_and_store(
    state: AppState,
    session: Session,
    asking: Sequence[AccountId],
    digest: bytes,
    *,
    counts: bool,
) -> Session:
    """Have the account admit a session, store it, and return it with the attempts granted to it.

    :param asking: the account, and the trusted devices that the request may come from.
    :param counts: whether it counts for the limits on sends.
    """
    now = session.created_at
    reserve = Reservation(session.session_id, session.max_attempts, session.expires_at)
    timeout = state.settings.db_timeout
    with database_calls(timeout):
        state.indexes.ensure(timeout)
        admission = state.accounts.admit(asking, now=now, reserve=reserve, counts=counts)
        require_admitted(state, admission, session, now, is_stored=False)
        session = replace(session, account=admission.account, max_attempts=admission.tries)
        state.sessions.insert(session, digest, settle=admission.settle)
    return session


def _send_or_withdraw(state: AppState, outgoing: OutgoingCode) -> None:
    """Send the code now. If that fails, end its session.

    The send is given back to the account only if it certainly did not happen; its tries always.

    :raises SendFailed: it was not sent.
    """
    session = outgoing.session
    try:
        send_now(state, outgoing)
    except NotSentError as error:
        with withdrawing(state, session):
            state.sessions.discard(session.session_id)
            sent_at = outgoing.asked_at if error.is_certain else None
            state.accounts.give_back(
                account_of(session), sent_at=sent_at, session_id=session.session_id
            )
        raise error.failure from None
