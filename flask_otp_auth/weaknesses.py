"""Warnings at start-up about settings that work, but make guessing or misuse easier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask

from . import tokens
from .security_warnings import warn_in_production
from .settings import Settings


def announce(app: Flask, settings: Settings, *, makes_own_tokens: bool) -> None:
    """Issue a SecurityWarning for each weakness, unless *app* is in testing or debug mode.

    :param makes_own_tokens: whether a ``verify_success_handler`` completes sign-ins, so that the
        options of Flask-JWT-Extended do not matter.
    """
    for weakness in of_options(settings):
        warn_in_production(app, weakness)
    if not makes_own_tokens:
        for weakness in of_tokens(app.config):
            warn_in_production(app, weakness)


def of_options(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each weakness in the options of the extension itself."""
    if not settings.client_limits:
        yield (
            "OTP_AUTH_CLIENT_LIMITS is None: one client may ask for codes for any number of people"
        )
    if not settings.identifier_limits:
        yield (
            "OTP_AUTH_IDENTIFIER_LIMITS is None: anybody can have any number of messages sent to "
            "one account, at your expense"
        )
    if settings.lockout_threshold is None:
        yield "OTP_AUTH_LOCKOUT_THRESHOLD is None: wrong codes never delay the next code"
    if settings.disable_after is None:
        yield (
            "OTP_AUTH_DISABLE_AFTER is None: nothing ever stops the guessing at an account; "
            "NIST SP 800-63B allows at most 100 consecutive failures"
        )
    if not settings.send_to_unknown and not settings.send_in_background:
        yield (
            "OTP_AUTH_SEND_TO_UNKNOWN is False and OTP_AUTH_SEND_IN_BACKGROUND is not True: "
            "response times reveal who has an account; set both"
        )


def of_tokens(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each weakness in the options of Flask-JWT-Extended."""
    if config.get("JWT_ACCESS_TOKEN_EXPIRES") is False:
        yield "JWT_ACCESS_TOKEN_EXPIRES is False: a stolen token is valid for ever"
    if not tokens.has_cookies(config):
        return
    if not config.get("JWT_COOKIE_CSRF_PROTECT", True):
        yield (
            "JWT_COOKIE_CSRF_PROTECT is False: any web page can send requests on behalf of people "
            "who are signed in by cookie"
        )
    if not config.get("JWT_COOKIE_SECURE", False):
        yield "JWT_COOKIE_SECURE is not True: browsers send the token over plain HTTP as well"
