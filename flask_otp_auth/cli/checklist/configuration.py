"""The points about handlers, the sender, keys and tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from flask import Flask

from ...exceptions import ConfigurationError
from ...settings.keys import JWT_KEY_BYTES, KEY_BYTES
from ...state import AppState
from .point import Point, failed, passed, warned

_RANDOM = 'Set it to the output of: python -c "import secrets; print(secrets.token_hex())"'
# A key with fewer different bytes is a word or a pattern rather than 32 random bytes.
_FEWEST_BYTES = 8
_CHECK_TIMEOUT = 15  # seconds
_LONGEST_ACCESS = timedelta(days=1)
# NIST SP 800-63B-4, section 2.1.3: users have to sign in again after 30 days.
_LONGEST_REFRESH = timedelta(days=30)


def handlers(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that both required handlers are registered."""
    missing = state.handlers.missing()
    for decorator in missing:
        yield failed(
            f"handler {decorator}",
            "no function is registered, so every request fails",
            f"Register one with @otp.{decorator} before the application serves its first request.",
        )
    if not missing:
        yield passed("handlers", "send_code_handler and get_user_handler are registered")


def secret_key(app: Flask, state: AppState) -> Iterator[Point]:
    """Check that somebody who can read the database cannot guess the key of the digests."""
    name = "OTP_AUTH_SECRET_KEY" if app.config.get("OTP_AUTH_SECRET_KEY") else "SECRET_KEY"
    yield _key(f"secret ({name})", name, state.settings.secret_keys, KEY_BYTES)


def jwt_secret(app: Flask, state: AppState) -> Iterator[Point]:
    """Check that somebody who has a token cannot guess the key that signs it."""
    if state.handlers.makes_own_tokens:
        yield passed("token key", "the verify_success_handler creates the tokens")
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
        return failed(point, f"a key has {shortest} bytes; {least} are required", _RANDOM)
    if min(len(set(key)) for key in keys) < _FEWEST_BYTES:
        return failed(point, "a key repeats a few characters, so it can be guessed", _RANDOM)
    return passed(point, f"{name} has at least {shortest} bytes")


def token_lifetimes(app: Flask, state: AppState) -> Iterator[Point]:
    """Check that a stolen token expires before long."""
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
            f"{key} is {value!r}, so a stolen token can be used forever",
            f"Set {key} to a timedelta of minutes, or of a few hours at most.",
        )
    if lifetime > longest:
        return warned(
            "access tokens",
            f"{key} is {lifetime}, and a stolen token can be used for that long",
            f"Set {key} to {longest} or less.",
        )
    return passed("access tokens", f"they expire after {lifetime}")


def _refresh_tokens(lifetime: timedelta) -> Point:
    if lifetime > _LONGEST_REFRESH:
        return warned(
            "refresh tokens",
            f"a login lasts {lifetime}; NIST SP 800-63B-4 recommends a new one after 30 days",
            f"Set OTP_AUTH_REFRESH_LIFETIME to {_LONGEST_REFRESH.days * 86_400} or less.",
        )
    return passed("refresh tokens", f"a login ends after {lifetime}")


def token_cookies(app: Flask, state: AppState) -> Iterator[Point]:
    """Check that scripts, plain HTTP connections and other sites cannot get at the tokens."""
    location = app.config["JWT_TOKEN_LOCATION"]
    locations = [location] if isinstance(location, str) else list(location)
    if state.handlers.makes_own_tokens or "cookies" not in locations:
        yield passed("token cookies", "the extension sets no cookies with tokens")
        return
    wrong = []
    if not app.config["JWT_COOKIE_SECURE"]:
        wrong.append(("JWT_COOKIE_SECURE", "True", "browsers also send the cookies over HTTP"))
    if not app.config["JWT_COOKIE_CSRF_PROTECT"]:
        wrong.append(("JWT_COOKIE_CSRF_PROTECT", "True", "other sites can make use of the cookies"))
    for key, value, why in wrong:
        yield failed(f"token cookies ({key})", f"it is off, so {why}", f"Set {key} to {value}.")
    if app.config["JWT_COOKIE_SAMESITE"] not in ("Lax", "Strict"):
        yield warned(
            "token cookies (JWT_COOKIE_SAMESITE)",
            f"it is {app.config['JWT_COOKIE_SAMESITE']!r}, so browsers may send the cookies with "
            "requests from other sites",
            'Set JWT_COOKIE_SAMESITE to "Lax" or "Strict".',
        )
    elif not wrong:
        yield passed("token cookies", "they are Secure, HttpOnly, SameSite and CSRF-protected")


def sender(app: Flask, state: AppState) -> Iterator[Point]:
    """Check that the sender works, as far as that is possible without sending a message."""
    check = state.handlers.sender_check
    if check is None:
        if "send_code_handler" not in state.handlers.missing():
            yield warned(
                "sender",
                "it has no check(), so it cannot be checked without sending a message",
                "Send one to yourself with 'flask otp send-test IDENTIFIER', or give the sender a "
                "method check(), which is called here.",
            )
        return
    fault = _fault_of(app, check)
    if fault is None:
        yield passed("sender", "its check() succeeded")
    else:
        yield failed("sender", *fault)


def _fault_of(app: Flask, check: Callable[[], object]) -> tuple[str, str] | None:
    """Run the check of a sender, which may hang, and return what is wrong and what to do."""
    what_to_do = "Make sure that its provider can be reached from here and accepts the credentials."
    faults = [(f"its check() did not end within {_CHECK_TIMEOUT} s", what_to_do)]

    def run() -> None:
        try:
            with app.app_context():
                is_open = check() is not False
        except ConfigurationError as error:
            faults[:] = [(str(error), f"Set {error.key}, or register another sender.")]
        except Exception as error:
            # The text of the error may contain the URL of a provider with its password.
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
