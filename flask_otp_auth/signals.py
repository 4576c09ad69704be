"""Signals that an application can connect to; it is also their sender.

Each receiver gets ``method``, ``identifier`` (masked), ``session_id`` and ``reason``, any of which
may be ``None``, and never a code. Some signals pass more arguments, and later versions may add
others, so a receiver should also accept ``**extra``. An exception in a receiver is logged and does
not change the answer.

For a code that is for something else than a login they also pass ``purpose``. ``send_failed`` and
``sign_in_failed`` also pass ``error``, the exception of the handler or ``None``, for an error
tracker. Its message and traceback are not redacted.
"""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

#: A session was stored, and its code is about to be sent.
session_initiated = _signals.signal("session-initiated")
#: The sender accepted a code, the first one of a session or that of a resend.
code_sent = _signals.signal("code-sent")
#: The sender did not accept a code. ``reason`` is ``"raised"`` if it raised an exception, and
#: ``"not sent"`` if it returned a false value.
send_failed = _signals.signal("send-failed")
#: A correct code was verified, which ended its session. ``seconds`` says how long after its start.
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
