"""Findings about handlers, keys and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from flask import Flask

from .. import tokens
from ..compat import own_loader
from ..exceptions import ConfigurationError
from ..settings.keys import JWT_KEY_BYTES, KEY_BYTES
from ..state import AppState
from ..wording import duration
from .finding import Finding, When, failed, passed, warned

_RANDOM = 'Set it to the output of: python -c "import secrets; print(secrets.token_hex())"'
# A key with fewer different bytes is a word or a pattern rather than 32 random bytes.
_FEWEST_BYTES = 8
_LONGEST_ACCESS = timedelta(days=1)
# The methods that change something (RFC 9110, section 9.2.1), which web pages can have sent.
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")
# NIST SP 800-63B-4, section 2.1.3: users have to sign in again after 30 days.
_LONGEST_LOGIN = timedelta(days=30)


def handlers(_: Flask, state: AppState) -> Iterator[Finding]:
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


def providers(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that a sender that needs providers has one for each method."""
    try:
        state.handlers.require_providers(app)
    except ConfigurationError as error:
        # A mail extension of the application may be initialised later.
        when = When.REQUEST if error.key == "OTP_AUTH_EMAIL_URLS" else When.START
        yield failed(
            "sender",
            str(error),
            f"Set {error.key}, or leave the method out of OTP_AUTH_METHODS.",
            when,
            is_logged=True,
        )


def secret_key(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that somebody who can read the database cannot guess the key of the digests."""
    name = "OTP_AUTH_SECRET_KEY" if app.config.get("OTP_AUTH_SECRET_KEY") else "SECRET_KEY"
    point = f"secret ({name})"
    weak = False
    for place, key in enumerate(state.settings.secret_keys):
        if len(key) < KEY_BYTES:
            weak = True
            which = name if place == 0 else "A key of SECRET_KEY_FALLBACKS"
            yield failed(
                point,
                f"{which} has {len(key)} bytes: anybody who can read the database may guess it, "
                f"and with it the codes; {KEY_BYTES} are required",
                _RANDOM,
                When.START,
                in_development=True,
            )
    if weak:
        return
    if any(_is_pattern(key) for key in state.settings.secret_keys):
        yield failed(point, "a key repeats a few characters, so it can be guessed", _RANDOM)
    else:
        yield passed(point, f"{name} has at least {KEY_BYTES} bytes")


def token_key(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that somebody who has a token cannot guess the key that signs it."""
    if state.handlers.makes_own_tokens:
        yield passed("token key", "the verify_success_handler creates the tokens")
        return
    algorithm = app.config["JWT_ALGORITHM"]
    if not algorithm.startswith("HS"):
        yield passed("token key", f"tokens are signed with a private key ({algorithm})")
        return
    name = "JWT_SECRET_KEY" if app.config.get("JWT_SECRET_KEY") else "SECRET_KEY"
    point, key = f"token key ({name})", app.config[name]
    value = key.encode() if isinstance(key, str) else key
    least = JWT_KEY_BYTES.get(algorithm, KEY_BYTES)
    if len(value) < least:
        yield failed(
            point,
            f"{name} has {len(value)} bytes: anybody who has a token may find it by trying keys; "
            f"{algorithm} requires {least} (RFC 7518, section 3.2)",
            _RANDOM,
            When.START,
            in_development=True,
        )
    elif _is_pattern(value):
        yield failed(point, "the key repeats a few characters, so it can be guessed", _RANDOM)
    else:
        yield passed(point, f"{name} has at least {least} bytes")
    if key == app.config.get("SECRET_KEY"):
        yield warned(
            "two keys",
            "tokens are signed with SECRET_KEY, so you cannot change one key without the other, "
            "and a change of it ends all logins",
            "Set JWT_SECRET_KEY to another random value.",
        )


def _is_pattern(key: bytes) -> bool:
    return len(set(key)) < _FEWEST_BYTES


def token_lifetimes(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that a stolen token expires before long."""
    if state.handlers.makes_own_tokens:
        return
    key, value = "JWT_ACCESS_TOKEN_EXPIRES", app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    lifetime = timedelta(seconds=value) if type(value) in (int, float) else value
    if not isinstance(lifetime, timedelta):
        yield failed(
            "access tokens",
            f"{key} is {value!r}: a stolen token is valid for ever",
            f"Set {key} to a timedelta of minutes, or of a few hours at most.",
            When.START,
        )
    elif lifetime > _LONGEST_ACCESS:
        yield warned(
            "access tokens",
            f"{key} is {duration(lifetime)}, and a stolen token can be used for that long",
            f"Set {key} to {duration(_LONGEST_ACCESS)} or less.",
        )
    else:
        yield passed("access tokens", f"they expire after {duration(lifetime)}")


def logins(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that a login with refresh tokens lasts as long as it should, and no longer."""
    settings = state.settings
    if not settings.refresh_token or state.handlers.makes_own_tokens:
        return
    lifetime = timedelta(seconds=settings.refresh_lifetime)
    if lifetime > _LONGEST_LOGIN:
        yield warned(
            "refresh tokens",
            f"OTP_AUTH_REFRESH_LIFETIME is {settings.refresh_lifetime}: NIST SP 800-63B-4 "
            f"recommends a new login after at most {duration(_LONGEST_LOGIN)}",
            f"Set it to {int(_LONGEST_LOGIN.total_seconds())} or less.",
            When.START,
            in_development=True,
        )
    else:
        yield passed("refresh tokens", f"a login ends after {duration(lifetime)}")
    if tokens.has_cookies(app.config) and not settings.keep_signed_in:
        yield warned(
            "cookies of logins",
            "OTP_AUTH_KEEP_SIGNED_IN is False, so a login ends with the browser, although it could "
            f"be refreshed for {duration(lifetime)}",
            "Remove the key if people should stay signed in.",
        )
    if own_loader(tokens.manager_of(app), "user_lookup") is None:
        yield warned(
            "blocked users",
            "OTP_AUTH_REFRESH_TOKEN is True and there is no user_lookup_loader: people whom you "
            "have blocked or deleted stay signed in, since nobody is asked about them at a refresh",
            "Register one with @jwt.user_lookup_loader that returns None for them.",
            When.REQUEST,
            in_development=True,
        )


def own_tokens(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that nothing is asked for that a ``verify_success_handler`` switches off."""
    if not state.handlers.makes_own_tokens:
        return
    lost = {
        "OTP_AUTH_REFRESH_TOKEN": state.settings.refresh_token,
        "OTP_AUTH_LOGIN_PAGE": state.settings.login_page,
        "'cookies' in JWT_TOKEN_LOCATION": tokens.has_cookies(app.config),
    }
    keys = [key for key, is_on in lost.items() if is_on]
    if keys:
        yield warned(
            "own tokens",
            f"the verify_success_handler makes the tokens itself, beside {' and '.join(keys)}: "
            "its logins get no refresh token and no cookies, and its tokens say neither how "
            "somebody signed in (amr) nor that the login is fresh",
            "To put claims into the tokens, remove the handler and use @jwt."
            "additional_claims_loader.",
            When.REQUEST,
            in_development=True,
        )


def token_cookies(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that scripts, plain HTTP connections and other sites cannot get at the tokens."""
    if state.handlers.makes_own_tokens or not tokens.has_cookies(app.config):
        yield passed("token cookies", "the extension sets no cookies with tokens")
        return
    for key, what in (
        ("JWT_COOKIE_SECURE", "is not True: browsers send the tokens over plain HTTP as well"),
        (
            "JWT_COOKIE_CSRF_PROTECT",
            "is False: any web page can send requests on behalf of people who are signed in by "
            "cookie",
        ),
    ):
        if not app.config[key]:
            point = f"token cookies ({key})"
            yield failed(point, f"{key} {what}", f"Set {key} to True.", When.START)
    checked = app.config["JWT_CSRF_METHODS"]
    unchecked = ", ".join(each for each in _CHANGING if each not in checked)
    if unchecked:
        yield failed(
            "token cookies (JWT_CSRF_METHODS)",
            f"JWT_CSRF_METHODS lacks {unchecked}: any web page can send such requests on behalf of "
            "people who are signed in by cookie",
            "Remove the key, or add what is missing.",
            When.START,
        )
    same_site = app.config["JWT_COOKIE_SAMESITE"]
    if same_site not in ("Lax", "Strict"):
        yield warned(
            "token cookies (JWT_COOKIE_SAMESITE)",
            f"it is {same_site!r}, so browsers may send the cookies with requests from other sites",
            'Set JWT_COOKIE_SAMESITE to "Lax" or "Strict".',
        )
    elif (
        app.config["JWT_COOKIE_SECURE"] and app.config["JWT_COOKIE_CSRF_PROTECT"] and not unchecked
    ):
        yield passed("token cookies", "they are Secure, HttpOnly, SameSite and CSRF-protected")


POINTS: tuple[Callable[[Flask, AppState], Iterator[Finding]], ...] = (
    handlers,
    providers,
    secret_key,
    token_key,
    token_lifetimes,
    logins,
    own_tokens,
    token_cookies,
)
