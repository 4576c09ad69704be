"""Start-up says which settings make guessing or misuse easier, in production and only there."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from flask import Flask
from support.world import SECRET_KEY

from flask_otp_auth import FlaskOtpAuth, SecurityWarning

COOKIES = {"JWT_TOKEN_LOCATION": ["headers", "cookies"], "JWT_COOKIE_SECURE": True}
WEAK: list[tuple[dict[str, Any], str]] = [
    ({"OTP_AUTH_CLIENT_LIMITS": None}, "OTP_AUTH_CLIENT_LIMITS is None"),
    ({"OTP_AUTH_IDENTIFIER_LIMITS": None}, "OTP_AUTH_IDENTIFIER_LIMITS is None"),
    ({"OTP_AUTH_LOCKOUT_THRESHOLD": None}, "OTP_AUTH_LOCKOUT_THRESHOLD is None"),
    ({"OTP_AUTH_DISABLE_AFTER": None}, "OTP_AUTH_DISABLE_AFTER is None"),
    ({"OTP_AUTH_SEND_TO_UNKNOWN": False}, "OTP_AUTH_SEND_TO_UNKNOWN is False"),
    ({"JWT_ACCESS_TOKEN_EXPIRES": False}, "JWT_ACCESS_TOKEN_EXPIRES is False"),
    ({**COOKIES, "JWT_COOKIE_CSRF_PROTECT": False}, "JWT_COOKIE_CSRF_PROTECT is False"),
    ({**COOKIES, "JWT_COOKIE_SECURE": False}, "JWT_COOKIE_SECURE is not True"),
    ({"JWT_TOKEN_LOCATION": "cookies"}, "JWT_COOKIE_SECURE is not True"),
]
SOUND: list[dict[str, Any]] = [
    {},
    COOKIES,
    {"JWT_TOKEN_LOCATION": ["headers"], "JWT_COOKIE_SECURE": False},
    {"OTP_AUTH_SEND_TO_UNKNOWN": False, "OTP_AUTH_SEND_IN_BACKGROUND": True},
    {"SECRET_KEY_FALLBACKS": ["k" * 32]},
]
URI = "mongodb://127.0.0.1/app"


def warnings_of(config: dict[str, Any], otp: FlaskOtpAuth | None = None) -> list[str]:
    app = Flask("app")
    app.config.update({"SECRET_KEY": SECRET_KEY, "MONGO_URI": URI, **config})
    otp = otp or FlaskOtpAuth()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        otp.init_app(app)
    otp.close(app)
    assert all(warning.category is SecurityWarning for warning in caught)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("config", "begins"), WEAK, ids=[begins for _, begins in WEAK])
def test_a_weak_setting_is_said_in_production_alone(config: dict[str, Any], begins: str) -> None:
    [message] = warnings_of(config)
    assert message.startswith(begins)
    assert ": " in message
    assert warnings_of({**config, "TESTING": True}) == []
    assert warnings_of({**config, "DEBUG": True}) == []


@pytest.mark.parametrize("config", SOUND, ids=str)
def test_a_sound_setting_is_not_complained_about(config: dict[str, Any]) -> None:
    assert warnings_of(config) == []


def test_a_weak_key_among_the_fallbacks_is_said() -> None:
    """The codes that it made are as easy to find as those of a weak first key."""
    [message] = warnings_of({"SECRET_KEY_FALLBACKS": ["k" * 32, "short"]})
    assert message.startswith("A key of SECRET_KEY_FALLBACKS has 5 bytes")
    assert "short" not in message


def test_a_host_that_signs_in_by_itself_hears_nothing_about_tokens() -> None:
    otp = FlaskOtpAuth()
    otp.verify_success_handler(lambda user, identifier, method, payload: {"token": "t"})
    assert warnings_of({"JWT_ACCESS_TOKEN_EXPIRES": False}, otp) == []
