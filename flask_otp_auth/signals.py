"""The signals of the extension; the sender of each one is the application.

Every signal passes ``method``, the masked ``identifier``, ``session_id`` and ``reason``, any of
which may be ``None``. It never passes a code. Some signals have more arguments, and others may be
added, so end the parameters of a receiver with ``**extra``. If a receiver raises an exception, the
exception is logged and does not change the answer.

For error trackers, ``send_failed`` and ``sign_in_failed`` also pass ``error``, the exception of
your handler or ``None``. Its message and its frames are not redacted.
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

#: A session has been stored, and its code is about to be sent.
session_initiated = _signals.signal("session-initiated")
#: The sender accepted a code. This signal is also sent for resends.
code_sent = _signals.signal("code-sent")
#: The sender did not accept a code. ``reason`` says whether it raised an exception or returned a
#: false value.
send_failed = _signals.signal("send-failed")
#: A session was verified with its correct code.
code_verified = _signals.signal("code-verified")
#: A handler failed after a correct code, so nobody was signed in.
sign_in_failed = _signals.signal("sign-in-failed")
#: A code was wrong, or its session does not accept codes any more. ``reason`` says which.
code_rejected = _signals.signal("code-rejected")
#: The last attempt of a session was wrong.
session_locked = _signals.signal("session-locked")
#: An account has to wait for new codes (``reason="waiting"``), or needs an unlock (``"disabled"``).
#: ``bound`` is the number of failures that caused it.
identifier_locked = _signals.signal("identifier-locked")
#: The failures of an account were cleared by an unlock.
identifier_unlocked = _signals.signal("identifier-unlocked")
#: A code was refused. ``reason`` is ``"client"`` or ``"identifier"`` for a limit on codes,
#: ``"lockout"`` after too many failures, and ``"tries"`` while open sessions have reserved all
#: remaining attempts. ``bound`` is the limit that was reached, such as ``"5 per 15 minute"``.
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
    """Send a signal about a session."""
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
    """Send a signal of the current app, with the identifier masked."""
    if not signal.receivers or signal.is_muted:
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    masked = None if identifier is None else identifiers.mask(identifier)
    extra: dict[str, object] = {"reason": reason}
    if bound is not None:
        extra["bound"] = bound
    if signal in (send_failed, sign_in_failed):
        extra["error"] = error
    # One by one, since signal.send() would let a failing receiver keep the signal from the rest.
    for receiver in signal.receivers_for(app):
        try:
            receiver(app, method=method, identifier=masked, session_id=session_id, **extra)
        except Exception as fault:
            # The error that it was given may hold the code, and so may what it says of it.
            known = None if error is None else ANY_CODE
            name = signal.name.replace("-", "_")
            _log.error("a receiver of %s failed: %s", name, describe(fault, known))
