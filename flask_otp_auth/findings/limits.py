"""Findings about limits and locks, of accounts and of clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import Flask
from flask_limiter import Limiter
from limits.storage import MemoryStorage

from .. import compat
from ..state import AppState
from ..wording import limit
from .finding import Finding, When, failed, passed, warned

_MOST_FAILURES = 100
LIMITS_OF_CLIENTS = "limits of clients"
#: The mark of a view of the application that is under the limits on clients.
LIMITED = "_otp_auth_limited"


def account_limits(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that the rate of guesses is limited (OWASP ASVS 5.0, 6.6.3)."""
    if not state.settings.identifier_limits:
        yield failed(
            "limits of accounts",
            "OTP_AUTH_IDENTIFIER_LIMITS is None: anybody can have any number of messages sent to "
            "anybody, at your expense",
            "Remove the key to get the default limits, or set your own.",
            When.START,
        )
    else:
        rules = "; ".join(map(limit, state.settings.identifier_limits))
        yield passed("limits of accounts", rules)


def account_locks(_: Flask, state: AppState) -> Iterator[Finding]:
    """Check that at most 100 failures in a row are allowed (NIST SP 800-63B-4, section 3.2.2)."""
    bound, threshold = state.settings.disable_after, state.settings.lockout_threshold
    if bound is None or bound > _MOST_FAILURES:
        yield failed(
            "failures in a row",
            f"OTP_AUTH_DISABLE_AFTER is {bound}: NIST SP 800-63B-4 (3.2.2) allows at most "
            f"{_MOST_FAILURES} wrong codes in a row",
            f"Set OTP_AUTH_DISABLE_AFTER to {_MOST_FAILURES} or less.",
            When.START if bound is None else When.CHECK,
        )
    else:
        yield passed("failures in a row", f"an account is disabled after {bound}")
    if threshold is None:
        yield warned(
            "lockout",
            "OTP_AUTH_LOCKOUT_THRESHOLD is None: wrong codes never delay the next code",
            "Remove the key to get the default, which is 6.",
            When.START,
        )
    else:
        yield passed("lockout", f"new codes have to wait after {threshold} failures in a row")


def client_limits(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that the number of codes for one client is limited."""
    if not state.settings.client_limits:
        yield warned(
            LIMITS_OF_CLIENTS,
            "OTP_AUTH_CLIENT_LIMITS is None: one client can ask for codes for any number of people",
            "Remove the key to get the default limits, unless a proxy limits clients.",
            When.START,
        )
    elif not app.config.get("RATELIMIT_ENABLED", True):
        yield failed(
            LIMITS_OF_CLIENTS,
            "RATELIMIT_ENABLED is False: one client can ask for codes for any number of people",
            "Remove RATELIMIT_ENABLED.",
            When.START,
        )
    elif not state.settings.register_routes and not any(
        hasattr(view, LIMITED) for view in app.view_functions.values()
    ):
        yield warned(
            LIMITS_OF_CLIENTS,
            "OTP_AUTH_REGISTER_ROUTES is False and no view has @otp.limit_client, so one client "
            "can ask for codes for any number of people in views of your own",
            "Put @otp.limit_client on every view that calls otp.initiate or otp.resend.",
        )
    elif state.limiter is not None and state.limiter in app.extensions.get("limiter", ()):
        yield from _of_limiter(state.limiter)


def _of_limiter(limiter: Limiter) -> Iterator[Finding]:
    """Check that a Limiter counts across processes, and refuses what it cannot count."""
    if compat.swallows_errors(limiter):
        yield warned(
            LIMITS_OF_CLIENTS,
            "the Limiter's swallow_errors (RATELIMIT_SWALLOW_ERRORS) lets any client ask for any "
            "number of codes while its storage is unavailable",
            "Turn it off.",
            When.START,
        )
    if compat.falls_back_to_memory(limiter):
        yield warned(
            LIMITS_OF_CLIENTS,
            "the Limiter falls back to memory: while its storage is unavailable, a client gets the "
            "full limits in each worker process",
            "Remove RATELIMIT_IN_MEMORY_FALLBACK and RATELIMIT_IN_MEMORY_FALLBACK_ENABLED.",
            When.START,
        )
    if isinstance(limiter.storage, MemoryStorage):
        yield failed(
            LIMITS_OF_CLIENTS,
            "clients are counted in memory, so they get the full limits in each worker process",
            "Set RATELIMIT_STORAGE_URI to a shared storage (Redis, MongoDB), or leave out the "
            "Limiter to count in the database of the sessions.",
            When.START,
        )


POINTS: tuple[Callable[[Flask, AppState], Iterator[Finding]], ...] = (
    account_limits,
    account_locks,
    client_limits,
)
