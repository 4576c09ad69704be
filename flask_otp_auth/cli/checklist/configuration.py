"""The points about handlers, secrets and tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from flask import Flask

from ...exceptions import ConfigurationError
from ...keys import JWT_KEY_BYTES, KEY_BYTES
from ...state import AppState
from .point import Point, failed, passed, warned

_RANDOM = 'Set it to the output of: python -c "import secrets; print(secrets.token_hex())"'
# Fewer different bytes than this are a word or a pattern, and no random key of 32 bytes.
_FEWEST_BYTES = 8
_CHECK_TIMEOUT = 15  # seconds
_LONGEST_ACCESS = timedelta(days=1)
# NIST SP 800-63B-4, section 2.1.3: whoever is signed in signs in again after 30 days.
_LONGEST_REFRESH = timedelta(days=30)


def handlers(_: Flask, state: AppState) -> Iterator[Point]:
    """See that both required functions are registered."""
    missing = state.handlers.missing()
    for decorator in missing:
        yield failed(
            f"handler {decorator}",
            "no function is registered, so every request fails",
            f"Register one with @otp.{decorator} before the app serves its first request.",
        )
    if not missing:
        yield passed("handlers", "send_code_handler and get_user_handler are registered")


def secret_key(app: Flask, state: AppState) -> Iterator[Point]:
    """See that the key of the digests cannot be found by who reads the database."""
    name = "OTP_AUTH_SECRET_KEY" if app.config.get("OTP_AUTH_SECRET_KEY") else "SECRET_KEY"
    yield _key(f"secret ({name})", name, state.settings.secret_keys, KEY_BYTES)


def jwt_secret(app: Flask, state: AppState) -> Iterator[Point]:
    """See that the key of the tokens cannot be found by who holds one."""
    if state.handlers.makes_own_tokens:
        yield passed("token key", "tokens are made by the verify_success_handler")
        return
    algorithm = app.config["JWT_ALGORITHM"]
    if not algorithm.startswith("HS"):
        yield passed("token key", f"tokens are signed with a private key ({algorithm})")
        return
    name = "JWT_SECRET_KEY" if app.config.get("JWT_SECRET_KEY") else "SECRET_KEY"
    key = app.config[name]
    value = key.encode() if isinstance(key, str) else key
    yield _key(f"token key ({name})", name, [value], JWT_KEY_BYTES.get(algorithm, KEY_BYTES))


def _key(point: str, name: str, keys: Iterable[bytes], least: int) -> Point:
    keys = list(keys)
    shortest = min(map(len, keys))
    if shortest < least:
        return failed(point, f"a key has {shortest} bytes; {least} are needed", _RANDOM)
    if min(len(set(key)) for key in keys) < _FEWEST_BYTES:
        return failed(point, "a key repeats a few characters, so it can be guessed", _RANDOM)
    return passed(point, f"{name} has {shortest} bytes or more")


def token_lifetimes(app: Flask, state: AppState) -> Iterator[Point]:
    """See that a stolen token ends by itself."""
    if state.handlers.makes_own_tokens:
        return
    yield _access_tokens(app.config["JWT_ACCESS_TOKEN_EXPIRES"])
    if state.settings.refresh_token:
        yield _refresh_tokens(timedelta(seconds=state.settings.refresh_lifetime))


def _access_tokens(value: object) -> Point:
    lifetime = timedelta(seconds=value) if type(value) in (int, float) else value  # type: ignore[arg-type]
    key, longest = "JWT_ACCESS_TOKEN_EXPIRES", _LONGEST_ACCESS
    if not isinstance(lifetime, timedelta):
        return failed(
            "access tokens",
            f"{key} is {value!r}, so a stolen token works for ever",
            f"Set {key} to a timedelta of minutes, or of hours at most.",
        )
    if lifetime > longest:
        return warned(
            "access tokens",
            f"{key} is {lifetime}, and a stolen token works for so long",
            f"Set {key} to {longest} or less.",
        )
    return passed("access tokens", f"they end after {lifetime}")


def _refresh_tokens(lifetime: timedelta) -> Point:
    if lifetime > _LONGEST_REFRESH:
        return warned(
            "refresh tokens",
            f"a login goes on for {lifetime}; NIST SP 800-63B-4 asks for a new one after 30 days",
            f"Set OTP_AUTH_REFRESH_LIFETIME to {_LONGEST_REFRESH.days * 86_400} or less.",
        )
    return passed("refresh tokens", f"a login ends after {lifetime}")


def token_cookies(app: Flask, state: AppState) -> Iterator[Point]:
    """See that no script, no plain connection and no other site gets at a token."""
    location = app.config["JWT_TOKEN_LOCATION"]
    locations = [location] if isinstance(location, str) else list(location)
    if state.handlers.makes_own_tokens or "cookies" not in locations:
        yield passed("token cookies", "tokens are in no cookies of ours")
        return
    wrong = []
    if not app.config["JWT_COOKIE_SECURE"]:
        wrong.append(("JWT_COOKIE_SECURE", "True", "the cookies go over plain HTTP too"))
    if not app.config["JWT_COOKIE_CSRF_PROTECT"]:
        wrong.append(("JWT_COOKIE_CSRF_PROTECT", "True", "any site can use them"))
    for key, value, why in wrong:
        yield failed(f"token cookies ({key})", f"it is off, so {why}", f"Set {key} to {value}.")
    if app.config["JWT_COOKIE_SAMESITE"] not in ("Lax", "Strict"):
        yield warned(
            "token cookies (JWT_COOKIE_SAMESITE)",
            f"it is {app.config['JWT_COOKIE_SAMESITE']!r}, so other sites have them sent along",
            'Set JWT_COOKIE_SAMESITE to "Lax" or "Strict".',
        )
    elif not wrong:
        yield passed("token cookies", "they are Secure, HttpOnly, SameSite and CSRF-protected")


def sender(app: Flask, state: AppState) -> Iterator[Point]:
    """See that the way to the person is open, as far as no message shows it."""
    check = state.handlers.sender_check
    if check is None:
        if "send_code_handler" not in state.handlers.missing():
            yield warned(
                "sender",
                "whether messages arrive cannot be seen without sending one",
                "Send one to yourself: flask otp send-test IDENTIFIER. A sender with a check() of "
                "its own is asked here.",
            )
        return
    fault = _fault_of(app, check)
    if fault is None:
        yield passed("sender", "its check() found the way open")
    else:
        yield failed("sender", *fault)


def _fault_of(app: Flask, check: Callable[[], object]) -> tuple[str, str] | None:
    """Return what is wrong with a check of the host's, which may hang, and what to do about it."""
    what_to_do = "See that its provider is reachable from here and takes the credentials."
    faults = [(f"its check() did not end within {_CHECK_TIMEOUT} s", what_to_do)]

    def run() -> None:
        try:
            with app.app_context():
                is_open = check() is not False
        except ConfigurationError as error:
            faults[:] = [(str(error), f"Set {error.key}, or register another sender.")]
        except Exception as error:
            # Its text may hold the address of a provider with its password.
            faults[:] = [(f"its check() failed with {type(error).__name__}", what_to_do)]
        else:
            faults[:] = [] if is_open else [("its check() returned False", what_to_do)]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_CHECK_TIMEOUT)
    return next(iter(faults), None)


POINTS: tuple[Callable[[Flask, AppState], Iterator[Point]], ...] = (
    handlers,
    sender,
    secret_key,
    jwt_secret,
    token_lifetimes,
    token_cookies,
)
