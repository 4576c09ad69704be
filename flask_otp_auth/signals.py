"""Signals that a host can connect to; the sender is the app.

Each receiver gets ``method``, ``identifier`` (masked), ``session_id`` and ``reason``, any of which
may be ``None``; never a code. Some signals have more, and new ones may come, so a receiver ends its
parameters with ``**extra``. What a receiver raises is logged and changes no answer.
``send_failed`` and ``sign_in_failed`` also give ``error``, the exception of the host's function or
``None``, for an error tracker; its text and its frames are the host's own, and are not redacted.
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

#: A session was stored and its code is about to be sent.
session_initiated = _signals.signal("session-initiated")
#: The sender took a code; also after a resend.
code_sent = _signals.signal("code-sent")
#: The sender did not take a code; ``reason`` says whether it raised or returned no true value.
send_failed = _signals.signal("send-failed")
#: A right code used its session up.
code_verified = _signals.signal("code-verified")
#: A right code was shown and a handler failed, so that nobody was signed in.
sign_in_failed = _signals.signal("sign-in-failed")
#: A wrong code cost a try, or a code came for a session that takes none; ``reason`` is which.
code_rejected = _signals.signal("code-rejected")
#: The last try of a session was wrong.
session_locked = _signals.signal("session-locked")
#: An identifier gets no new codes for a while (``reason="waiting"``) or any more (``"disabled"``);
#: ``bound`` says after how many failures.
identifier_locked = _signals.signal("identifier-locked")
#: The failures of an identifier were forgotten on request.
identifier_unlocked = _signals.signal("identifier-unlocked")
#: A send was refused; ``reason`` is ``"client"`` or ``"identifier"`` for a send limit,
#: ``"lockout"`` after too many failures, ``"tries"`` while open sessions hold all that are left.
#: ``bound`` is the send limit that was reached, such as ``"5 per 15 minute"``.
rate_limited = _signals.signal("rate-limited")
#: A code was asked for from a device that has signed in to the account before.
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
