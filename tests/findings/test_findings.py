"""Start-up says which settings make guessing or misuse easier, in production and only there."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from flask import Flask
from support.world import SECRET_KEY

from flask_otp_auth import FlaskOtpAuth, SecurityWarning
from flask_otp_auth.delivery import Delivery

COOKIES = {"JWT_TOKEN_LOCATION": ["headers", "cookies"], "JWT_COOKIE_SECURE": True}
WEAK: list[tuple[dict[str, Any], str]] = [
    ({"OTP_AUTH_CLIENT_LIMITS": None}, "OTP_AUTH_CLIENT_LIMITS is None"),
    ({"OTP_AUTH_IDENTIFIER_LIMITS": None}, "OTP_AUTH_IDENTIFIER_LIMITS is None"),
    ({"OTP_AUTH_LOCKOUT_THRESHOLD": None}, "OTP_AUTH_LOCKOUT_THRESHOLD is None"),
    ({"OTP_AUTH_DISABLE_AFTER": None}, "OTP_AUTH_DISABLE_AFTER is None"),
    ({"OTP_AUTH_SEND_TO_UNKNOWN": False}, "OTP_AUTH_SEND_TO_UNKNOWN is False"),
    ({"JWT_ACCESS_TOKEN_EXPIRES": False}, "JWT_ACCESS_TOKEN_EXPIRES is False"),
    ({**COOKIES, "JWT_COOKIE_CSRF_PROTECT": False}, "JWT_COOKIE_CSRF_PROTECT is False"),
    ({**COOKIES, "JWT_CSRF_METHODS": ["PUT"]}, "JWT_CSRF_METHODS lacks POST, PATCH, DELETE"),
    ({**COOKIES, "JWT_CSRF_METHODS": []}, "JWT_CSRF_METHODS lacks POST, PUT, PATCH, DELETE"),
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
DANGEROUS: list[tuple[dict[str, Any], str]] = [
    ({"OTP_AUTH_CODE_LENGTH": 5}, "OTP_AUTH_CODE_LENGTH is 5: "),
    ({"OTP_AUTH_CODE_TTL": 29}, "OTP_AUTH_CODE_TTL is 29: "),
    ({"OTP_AUTH_CODE_TTL": 601}, "OTP_AUTH_CODE_TTL is 601: "),
    (
        {"OTP_AUTH_REFRESH_TOKEN": True, "OTP_AUTH_REFRESH_LIFETIME": 2592001},
        "OTP_AUTH_REFRESH_LIFETIME is 2592001: ",
    ),
    ({"SECRET_KEY": "k" * 31, "JWT_SECRET_KEY": SECRET_KEY}, "SECRET_KEY has 31 bytes: "),
    ({"JWT_SECRET_KEY": "k" * 31}, "JWT_SECRET_KEY has 31 bytes: "),
    (
        {"JWT_SECRET_KEY": "k" * 63, "JWT_ALGORITHM": "HS512"},
        "JWT_SECRET_KEY has 63 bytes: ",
    ),
]
URI = "mongodb://127.0.0.1/app"


def make_app(**config: Any) -> Flask:
    app = Flask("app")
    app.config.update({"SECRET_KEY": SECRET_KEY, "MONGO_URI": URI, **config})
    return app


def warnings_of(config: dict[str, Any], otp: FlaskOtpAuth | None = None) -> list[str]:
    app = make_app(**config)
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


@pytest.mark.parametrize(("config", "begins"), DANGEROUS, ids=[text for _, text in DANGEROUS])
def test_what_is_wrong_everywhere_is_said_while_developing_too(
    config: dict[str, Any], begins: str
) -> None:
    for mode in ({}, {"TESTING": True}, {"DEBUG": True}):
        [message] = warnings_of({**config, **mode})
        assert message.startswith(begins)
        assert message.endswith(".") or "secrets.token_hex" in message
        assert "kkk" not in message


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


def warnings_of_requests(app: Flask, count: int = 2) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(count):
            app.test_client().get("/anything")
    return [str(warning.message) for warning in caught]


def test_that_blocked_users_stay_signed_in_is_said_once_the_loaders_are_there() -> None:
    config = {"OTP_AUTH_REFRESH_TOKEN": True}
    app = make_app(**config)
    assert warnings_of(config) == []
    FlaskOtpAuth(app)
    [message] = warnings_of_requests(app)
    assert "there is no user_lookup_loader" in message

    app = make_app(**config)
    FlaskOtpAuth(app)
    manager = app.extensions["flask-jwt-extended"]
    manager.user_lookup_loader(lambda header, claims: None)
    assert warnings_of_requests(app) == []


def test_a_warning_that_is_an_error_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(OTP_AUTH_REFRESH_TOKEN=True)
    FlaskOtpAuth(app)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert app.test_client().get("/anything").status_code == 404
    [line] = caplog.messages
    assert "there is no user_lookup_loader" in line


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"OTP_AUTH_REFRESH_TOKEN": True}, "OTP_AUTH_REFRESH_TOKEN"),
        (COOKIES, "'cookies' in JWT_TOKEN_LOCATION"),
        ({**COOKIES, "OTP_AUTH_LOGIN_PAGE": True}, "OTP_AUTH_LOGIN_PAGE and 'cookies'"),
    ],
)
def test_what_a_handler_that_makes_tokens_switches_off_is_said(
    config: dict[str, Any], named: str
) -> None:
    app = make_app(**config)
    otp = FlaskOtpAuth(app)
    otp.verify_success_handler(lambda user, identifier, method, payload: {"token": "t"})
    [message] = warnings_of_requests(app)
    assert named in message
    assert "additional_claims_loader" in message


@pytest.mark.parametrize("testing", [True, False])
def test_an_option_that_comes_too_late_is_said_at_the_first_request(
    testing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(TESTING=testing)
    FlaskOtpAuth(app)
    app.config["OTP_AUTH_CODE_LENGTH"] = 8
    assert warnings_of_requests(app) == []
    [line] = caplog.messages
    assert line.startswith("configuration: OTP_AUTH_CODE_LENGTH was changed after init_app")


def test_a_sender_without_a_provider_is_said_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    otp = FlaskOtpAuth()
    Delivery(otp)
    assert warnings_of({"TESTING": True}, otp) == []
    assert caplog.messages == []
    assert warnings_of({}, otp) == []
    [line] = caplog.messages
    assert "OTP_AUTH_SMS_URLS is not set, so there is no provider" in line

    caplog.clear()
    app = make_app(OTP_AUTH_METHODS=["email"])
    Delivery(FlaskOtpAuth(app))
    assert caplog.messages == []  # Flask-Mail may be initialised later
    assert warnings_of_requests(app) == []
    [line] = caplog.messages
    assert "OTP_AUTH_EMAIL_URLS is not set" in line


def test_the_start_and_the_check_use_the_same_words() -> None:
    config = {"OTP_AUTH_CODE_LENGTH": 4, "OTP_AUTH_CLIENT_LIMITS": None}
    app = make_app(**config, OTP_AUTH_DB_TIMEOUT=0.2, MONGO_URI="mongodb://127.0.0.1:9/app")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FlaskOtpAuth(app)
        report = app.test_cli_runner().invoke(args=["otp", "check", "--json"])
    said = {
        f"{point['why']}. {point['what_to_do']}" for point in json.loads(report.stdout)["points"]
    }
    assert set(warnings_of(config)) <= said
