"""The points about codes, limits, locks and test identifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pymongo
from flask import Flask
from flask_limiter import Limiter
from limits.storage import MemoryStorage

from ... import identifiers
from ...clock import utc_now
from ...settings.fixed_codes import LONG_LIFE, FixedCode, is_trivial
from ...state import AppState
from .point import Point, failed, passed, warned

_LEAST_DIGITS = 6
_LONGEST_TTL, _SHORTEST_TTL = 600, 30
_MOST_FAILURES = 100


def code_length(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that a code has 20 bits, which means six digits (OWASP ASVS 5.0, 6.5.4)."""
    length = state.settings.code_length
    if length < _LEAST_DIGITS:
        yield failed(
            "code length",
            f"codes have {length} digits; OWASP ASVS 5.0 (6.5.4) and NIST SP 800-63B require six",
            "Set OTP_AUTH_CODE_LENGTH to 6 or more.",
        )
    else:
        yield passed("code length", f"codes have {length} digits")


def code_lifetime(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that a code is valid for at most ten minutes (OWASP ASVS 5.0, 6.5.5)."""
    ttl = state.settings.code_ttl
    if ttl > _LONGEST_TTL:
        yield failed(
            "code lifetime",
            f"codes are valid for {ttl} s; OWASP ASVS 5.0 (6.5.5) and NIST SP 800-63B allow 600",
            "Set OTP_AUTH_CODE_TTL to 600 or less.",
        )
    elif ttl < _SHORTEST_TTL:
        yield warned(
            "code lifetime",
            f"codes are valid for {ttl} s, and many messages arrive later than that",
            "Set OTP_AUTH_CODE_TTL to 30 or more.",
        )
    else:
        yield passed("code lifetime", f"codes are valid for {ttl} s")


def account_limits(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that the rate of guesses is limited (OWASP ASVS 5.0, 6.6.3)."""
    if not state.settings.identifier_limits:
        yield failed(
            "limits of accounts",
            "OTP_AUTH_IDENTIFIER_LIMITS is None: anybody can have any number of messages sent to "
            "anybody, at your cost",
            "Remove the key to get the default limits, or set your own.",
        )
    else:
        rules = "; ".join(str(rule) for rule in state.settings.identifier_limits)
        yield passed("limits of accounts", rules)


def account_locks(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that at most 100 failures in a row are allowed (NIST SP 800-63B-4, section 3.2.2)."""
    bound = state.settings.disable_after
    if bound is None or bound > _MOST_FAILURES:
        yield failed(
            "failures in a row",
            f"OTP_AUTH_DISABLE_AFTER is {bound}; NIST SP 800-63B-4 (3.2.2) allows {_MOST_FAILURES}",
            f"Set OTP_AUTH_DISABLE_AFTER to {_MOST_FAILURES} or less.",
        )
    else:
        yield passed("failures in a row", f"an account is disabled after {bound}")
    if state.settings.lockout_threshold is None:
        yield warned(
            "lockout",
            "OTP_AUTH_LOCKOUT_THRESHOLD is None: attackers never have to wait after wrong codes",
            "Remove the key to get the default, which is 6.",
        )
    else:
        threshold = state.settings.lockout_threshold
        yield passed("lockout", f"new codes have to wait after {threshold} failures in a row")


def client_limits(app: Flask, state: AppState) -> Iterator[Point]:
    """Check that the number of codes for one client is limited, across all processes."""
    if not state.settings.client_limits:
        yield warned(
            "limits of clients",
            "OTP_AUTH_CLIENT_LIMITS is None: one client can ask for codes for any number of people",
            "Remove the key to get the default limits, unless a proxy limits clients.",
        )
        return
    if not state.settings.register_routes:
        yield passed("limits of clients", "there are no endpoints, so no clients")
        return
    if not app.config.get("RATELIMIT_ENABLED", True):
        yield failed("limits of clients", "RATELIMIT_ENABLED is False", "Remove RATELIMIT_ENABLED.")
        return
    limiters: set[Limiter] = app.extensions.get("limiter", set())
    if not limiters:
        yield failed(
            "limits of clients",
            "the Limiter that was given to init_app has not been initialised, so requests fail",
            "Call limiter.init_app(app).",
        )
    for limiter in limiters:
        yield _limiter(limiter, state.settings.db_timeout)


def _limiter(limiter: Limiter, timeout: float) -> Point:
    name = "limits of clients"
    storage = limiter.storage
    if isinstance(storage, MemoryStorage):
        return failed(
            name,
            "clients are counted in memory, so they get the full limits in each worker process",
            "Set RATELIMIT_STORAGE_URI to a shared storage (Redis, MongoDB), or leave out the "
            "Limiter to count in the database of the sessions.",
        )
    if limiter._swallow_errors or limiter._in_memory_fallback_enabled:
        return warned(
            name,
            "the Limiter lets requests through while its storage is unavailable",
            "Turn off RATELIMIT_SWALLOW_ERRORS and RATELIMIT_IN_MEMORY_FALLBACK_ENABLED.",
        )
    try:
        with pymongo.timeout(timeout):  # other storages have timeouts of their own
            is_there = storage.check()
    except Exception:
        is_there = False
    if not is_there:
        return failed(
            name,
            f"their storage ({type(storage).__name__}) does not answer, so no code is sent",
            "Make sure that the storage is up and can be reached (RATELIMIT_STORAGE_URI, or else "
            "MONGO_URI).",
        )
    return passed(name, f"clients are counted in a shared storage ({type(storage).__name__})")


def unknown_people(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that the time of a response does not reveal who has an account."""
    settings = state.settings
    if settings.send_to_unknown or settings.send_in_background:
        yield passed("unknown people", "responses to them take as long as those to others")
        return
    yield warned(
        "unknown people",
        "OTP_AUTH_SEND_TO_UNKNOWN is False, and a response is faster if nothing is sent, which "
        "reveals who has an account",
        "Set OTP_AUTH_SEND_IN_BACKGROUND to True.",
    )


def fixed_codes(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that nobody can sign in with a forgotten or guessable code."""
    entries = state.settings.test_identifiers
    if not entries:
        yield passed("test identifiers", "there are none")
    for identifier, entry in entries.items():
        yield _test_code(f"test identifier {identifiers.mask(identifier)}", entry, utc_now())


def _test_code(name: str, entry: FixedCode, now: datetime) -> Point:
    if now >= entry.until:
        return warned(
            name,
            f"it expired on {entry.until:%Y-%m-%d}",
            "Remove it from OTP_AUTH_TEST_IDENTIFIERS.",
        )
    if is_trivial(entry.code):
        return failed(
            name,
            "its code is valid, and is one that anybody would try first",
            "Give it a random code.",
        )
    if entry.until > now + LONG_LIFE:
        return failed(
            name,
            f"its code is valid until {entry.until:%Y-%m-%d}, more than a year from now",
            "Give it an earlier end date.",
        )
    return warned(
        name,
        f"its code is valid until {entry.until:%Y-%m-%d}",
        "Keep it only for as long as somebody tests with it, on an account without privileges.",
    )


POINTS: tuple[Callable[[Flask, AppState], Iterator[Point]], ...] = (
    code_length,
    code_lifetime,
    account_limits,
    account_locks,
    client_limits,
    unknown_people,
    fixed_codes,
)
