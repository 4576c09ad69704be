"""Signals that an application can connect to; it is also their sender.

Each receiver gets ``method``, ``identifier`` (masked), ``session_id`` and ``reason``, any of which
may be ``None``, and never a code. Some signals pass more arguments, and later versions may add
others, so a receiver should also accept ``**extra``. An exception in a receiver is logged and does
not change the answer.

``send_failed`` and ``sign_in_failed`` also pass ``error``, the exception of the handler or
``None``, for an error tracker. Its message and traceback are not redacted.
"""

from __future__ import annotations

import logging

from blinker import NamedSignal, Namespace
from flask import current_app

from . import identifiers
from .redaction import ANY_CODE, describe
from .types import Session

_log = logging.getLogger("flask_otp_auth")
_signals = Namespace()

#: A session was stored, and its code is about to be sent.
session_initiated = _signals.signal("session-initiated")
#: The sender accepted a code, the first one of a session or that of a resend.
code_sent = _signals.signal("code-sent")
#: The sender did not accept a code. ``reason`` is ``"raised"`` if it raised an exception, and
#: ``"not sent"`` if it returned a false value.
send_failed = _signals.signal("send-failed")
#: A correct code was verified, which ended its session.
code_verified = _signals.signal("code-verified")
#: A handler failed after a correct code, so nobody was signed in.
sign_in_failed = _signals.signal("sign-in-failed")
#: A wrong code used an attempt (``reason`` is ``"rejected"``, or ``"exhausted"`` for the last one),
#: or a code came for a session that had already ended (``"locked"``, ``"expired"`` or ``"used"``).
code_rejected = _signals.signal("code-rejected")
#: The last attempt of a session was wrong.
session_locked = _signals.signal("session-locked")
#: An account gets no new codes for a while (``reason`` is ``"waiting"``), or until it is unlocked
#: (``"disabled"``). ``bound`` says after how many failures.
identifier_locked = _signals.signal("identifier-locked")
#: The failures and send counts of an account were cleared by an unlock.
identifier_unlocked = _signals.signal("identifier-unlocked")
#: A request for a code was refused. ``reason`` is ``"client"`` or ``"identifier"`` if a limit was
#: reached, ``"lockout"`` after too many failures, and ``"tries"`` if open sessions have reserved
#: all remaining attempts. For ``"identifier"``, ``bound`` is the limit, such as
#: ``"5 per 15 minute"``.
rate_limited = _signals.signal("rate-limited")
#: A device that has signed in to the account before asked for a code.
trusted_device_used = _signals.signal("trusted-device-used")


def notify_of(
    signal: NamedSignal,
    session: Session,
    *,
    reason: str | None = None,
    bound: str | None = None,
    error: Exception | None = None,
) -> None:
    """Send *signal* with the method, the identifier and the id of *session*."""
    notify(
        signal,
        method=session.method,
        identifier=session.identifier,
        session_id=session.session_id,
        reason=reason,
        bound=bound,
        error=error,
    )


def notify(
    signal: NamedSignal,
    *,
    method: str | None = None,
    identifier: str | None = None,
    session_id: str | None = None,
    reason: str | None = None,
    bound: str | None = None,
    error: Exception | None = None,
) -> None:
    """Send *signal* from the current application, with the identifier masked.

    :param bound: passed on only if there is one.
    :param error: passed on only by ``send_failed`` and ``sign_in_failed``.
    """
    if not signal.receivers or signal.is_muted:
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    masked = None if identifier is None else identifiers.mask(identifier)
    extra: dict[str, object] = {"reason": reason}
    if bound is not None:
        extra["bound"] = bound
    if signal in (send_failed, sign_in_failed):
        extra["error"] = error
    # One by one, since with signal.send() a receiver that fails would prevent the others' calls.
    for receiver in signal.receivers_for(app):
        try:
            receiver(app, method=method, identifier=masked, session_id=session_id, **extra)
        except Exception as fault:
            # The receiver got an error that may contain the code, so its own may contain it too.
            known = None if error is None else ANY_CODE
            name = signal.name.replace("-", "_")
            _log.error("a receiver of %s failed: %s", name, describe(fault, known))
