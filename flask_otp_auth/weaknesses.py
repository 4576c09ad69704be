"""What is said at start-up about settings that work and make guessing or misuse easier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask

from . import tokens
from .config import Settings
from .security_warnings import warn_in_production


def announce(app: Flask, settings: Settings, *, makes_own_tokens: bool) -> None:
    """Give a SecurityWarning for each weakness, unless *app* is being tested or debugged.

    :param makes_own_tokens: whether the host signs users in by itself.
    """
    for weakness in of_options(settings):
        warn_in_production(app, weakness)
    if not makes_own_tokens:
        for weakness in of_tokens(app.config):
            warn_in_production(app, weakness)


def of_options(settings: Settings) -> Iterator[str]:
    """Give the weaknesses among the options of the extension itself, each in one sentence."""
    if not settings.client_limits:
        yield (
            "OTP_AUTH_CLIENT_LIMITS is None: one client may ask for codes for any number of people"
        )
    if not settings.identifier_limits:
        yield (
            "OTP_AUTH_IDENTIFIER_LIMITS is None: anybody may have any number of messages sent to "
            "one account, at your cost"
        )
    if settings.lockout_threshold is None:
        yield "OTP_AUTH_LOCKOUT_THRESHOLD is None: wrong codes do not make new codes wait"
    if settings.disable_after is None:
        yield (
            "OTP_AUTH_DISABLE_AFTER is None: an account can be guessed at for ever; "
            "NIST SP 800-63B allows 100 failures in a row"
        )
    if not settings.send_to_unknown and not settings.send_in_background:
        yield (
            "OTP_AUTH_SEND_TO_UNKNOWN is False and OTP_AUTH_SEND_IN_BACKGROUND is not True: "
            "the time of the answer shows who has an account; set both"
        )


def of_tokens(config: Mapping[str, Any]) -> Iterator[str]:
    """Give the weaknesses among the options of Flask-JWT-Extended, each in one sentence."""
    if config.get("JWT_ACCESS_TOKEN_EXPIRES") is False:
        yield "JWT_ACCESS_TOKEN_EXPIRES is False: a stolen token is good for ever"
    if not tokens.has_cookies(config):
        return
    if not config.get("JWT_COOKIE_CSRF_PROTECT", True):
        yield ("JWT_COOKIE_CSRF_PROTECT is False: any page can act as who is signed in by cookie")
    if not config.get("JWT_COOKIE_SECURE", False):
        yield ("JWT_COOKIE_SECURE is not True: browsers send the token over plain HTTP as well")
