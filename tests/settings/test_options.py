"""Every option of the table: its default, its bounds, and what a wrong value says."""

from __future__ import annotations

import sys
import warnings
from types import MappingProxyType

import pytest
from flask import Flask
from support.world import SECRET_KEY

from flask_otp_auth import ConfigurationError, FlaskOtpAuth, OtpAuthError
from flask_otp_auth.settings import OPTIONS, read_settings
from flask_otp_auth.settings.keys import require_jwt_key

OLD_KEY = "an older key for tests, over 32 bytes long"
NEWEST, OLDER, OLDEST = (letter * 32 for letter in "abc")


def read(**options):
    """Read the options, given without their prefix, beside a good ``SECRET_KEY``."""
    return read_config({f"OTP_AUTH_{key}": value for key, value in options.items()})


def read_config(config):
    return read_settings({"SECRET_KEY": SECRET_KEY, **config})


def make_app(**config):
    app = Flask("app")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI="mongodb://127.0.0.1:9/otp", **config)
    return app


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("code_length", 6),
        ("code_ttl", 300),
        ("max_attempts", 3),
        ("keep_sessions", 86400),
        ("collection", "otp_sessions"),
        ("register_routes", True),
        ("url_prefix", "/otp"),
        ("methods", ("sms", "email")),
        ("default_region", None),
        ("refresh_token", False),
        ("keep_signed_in", True),
        ("refresh_lifetime", 2592000),
        ("refresh_idle", 1209600),
        ("lockout_threshold", 6),
        ("disable_after", 100),
        ("max_resends", 2),
        ("send_to_unknown", True),
        ("send_in_background", False),
        ("test_identifiers", {}),
        ("db_timeout", 3),
        ("secret_keys", (SECRET_KEY.encode(),)),
    ],
)
def test_an_app_without_options_gets_the_documented_default(name, default):
    assert getattr(read(), name) == default


def test_every_option_has_a_default_that_is_itself_allowed():
    assert read_config({option.key: option.default for option in OPTIONS}) == read()


@pytest.mark.parametrize(
    ("key", "value", "seen"),
    [
        ("CODE_LENGTH", 6, 6),
        ("CODE_LENGTH", 7, 7),
        ("CODE_LENGTH", 8, 8),
        ("CODE_TTL", 30, 30),
        ("CODE_TTL", 600, 600),
        ("MAX_ATTEMPTS", 1, 1),
        ("MAX_ATTEMPTS", 10, 10),
        ("KEEP_SESSIONS", 301, 301),
        ("KEEP_SESSIONS", 2**31 - 1, 2**31 - 1),
        ("COLLECTION", "login.sessions", "login.sessions"),
        ("COLLECTION", "å-1_x", "å-1_x"),
        ("COLLECTION", "c" * 200, "c" * 200),
        ("REGISTER_ROUTES", False, False),
        ("URL_PREFIX", "/api/v1/login", "/api/v1/login"),
        ("URL_PREFIX", "/otp/", "/otp"),
        ("URL_PREFIX", "/", ""),
        ("METHODS", ["email"], ("email",)),
        ("METHODS", ("sms",), ("sms",)),
        ("METHODS", {"email", "sms"}, ("sms", "email")),
        ("METHODS", ["email", "sms", "email"], ("sms", "email")),
        ("DEFAULT_REGION", "SE", "SE"),
        ("DEFAULT_REGION", "us", "US"),
        ("PHONE_REGIONS", ["se", "NO"], {"SE", "NO"}),
        ("ORIGIN", "https://Example.com/", "https://example.com"),
        ("APP_NAME", " Shop ", "Shop"),
        ("REFRESH_TOKEN", True, True),
        ("REFRESH_LIFETIME", 60, 60),
        ("REFRESH_LIFETIME", 31536000, 31536000),
        ("REFRESH_IDLE", 60, 60),
        ("REFRESH_IDLE", 31536000, 31536000),
        ("CLIENT_LIMITS", None, ()),
        ("IDENTIFIER_LIMITS", None, ()),
        ("LOCKOUT_THRESHOLD", 3, 3),
        ("LOCKOUT_THRESHOLD", 99, 99),
        ("LOCKOUT_THRESHOLD", None, None),
        ("DISABLE_AFTER", 7, 7),
        ("DISABLE_AFTER", None, None),
        ("MAX_RESENDS", 0, 0),
        ("MAX_RESENDS", 5, 5),
        ("SEND_TO_UNKNOWN", False, False),
        ("SEND_IN_BACKGROUND", True, True),
        ("DB_TIMEOUT", 1, 1.0),
        ("DB_TIMEOUT", 0.05, 0.05),
        ("DB_TIMEOUT", 2_147_483, 2_147_483.0),
    ],
)
def test_an_allowed_value_takes_effect(key, value, seen):
    assert getattr(read(**{key: value}), key.lower()) == seen


NUMBERS_OF_WRONG_TYPE = ["6", "", None, True, 6.0, [6], b"6", {}]
FLAGS_OF_WRONG_TYPE = ["True", "false", "", 0, 1, None, []]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            (key, value)
            for key in (
                "CODE_LENGTH",
                "CODE_TTL",
                "MAX_ATTEMPTS",
                "KEEP_SESSIONS",
                "REFRESH_LIFETIME",
                "REFRESH_IDLE",
            )
            for value in NUMBERS_OF_WRONG_TYPE
        ),
        ("REFRESH_LIFETIME", 59),
        ("REFRESH_LIFETIME", 31536001),
        ("REFRESH_IDLE", 59),
        ("REFRESH_IDLE", 31536001),
        ("CODE_LENGTH", 3),
        ("CODE_LENGTH", 9),
        ("CODE_TTL", 0),
        ("CODE_TTL", -300),
        ("CODE_TTL", 3601),
        ("MAX_ATTEMPTS", 0),
        ("MAX_ATTEMPTS", 11),
        ("KEEP_SESSIONS", 0),
        ("KEEP_SESSIONS", 299),
        ("KEEP_SESSIONS", 300),
        ("KEEP_SESSIONS", 2**31),
        ("COLLECTION", ""),
        ("COLLECTION", "a$b"),
        ("COLLECTION", "a\0b"),
        ("COLLECTION", ".a"),
        ("COLLECTION", "a."),
        ("COLLECTION", "a..b"),
        ("COLLECTION", "system.otp"),
        ("COLLECTION", "c" * 201),
        ("COLLECTION", "å" * 101),
        ("COLLECTION", "\ud800"),
        ("COLLECTION", None),
        ("COLLECTION", 1),
        ("COLLECTION", b"otp_sessions"),
        *(("REGISTER_ROUTES", value) for value in FLAGS_OF_WRONG_TYPE),
        *(
            (key, value)
            for key in ("REFRESH_TOKEN", "KEEP_SIGNED_IN", "SEND_TO_UNKNOWN", "SEND_IN_BACKGROUND")
            for value in FLAGS_OF_WRONG_TYPE
        ),
        *(
            (key, value)
            for key in ("LOCKOUT_THRESHOLD", "DISABLE_AFTER", "MAX_RESENDS")
            for value in NUMBERS_OF_WRONG_TYPE
            if value is not None
        ),
        ("LOCKOUT_THRESHOLD", 0),
        ("LOCKOUT_THRESHOLD", 2),
        ("DISABLE_AFTER", 0),
        ("DISABLE_AFTER", 6),
        ("MAX_RESENDS", None),
        ("MAX_RESENDS", -1),
        *(
            (key, value)
            for key in ("CLIENT_LIMITS", "IDENTIFIER_LIMITS")
            for value in (
                "",
                "many",
                "10",
                "10 per fortnight",
                "0 per day",
                10,
                ["1 per day"],
                True,
            )
        ),
        ("IDENTIFIER_LIMITS", "1 per minute; 1001 per day"),
        *(("TRUSTED_DEVICES", value) for value in (0, -1, 1.5, "3600", True, 10 * 366 * 86400 + 1)),
        ("URL_PREFIX", "otp"),
        ("URL_PREFIX", "//evil.example"),
        ("URL_PREFIX", "/otp//x"),
        ("URL_PREFIX", "/otp\n"),
        ("URL_PREFIX", "/<int:x>"),
        ("URL_PREFIX", "/otp?x=1"),
        ("URL_PREFIX", "/o tp"),
        ("URL_PREFIX", None),
        ("URL_PREFIX", 5),
        ("METHODS", "sms"),
        ("METHODS", ""),
        ("METHODS", None),
        ("METHODS", []),
        ("METHODS", ()),
        ("METHODS", {"sms": True}),
        ("METHODS", ["sms", "voice"]),
        ("METHODS", ["SMS"]),
        ("METHODS", [["sms"]]),
        ("METHODS", [b"sms"]),
        ("METHODS", [None]),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "k" * 31),
        ("SECRET_KEY", b"k" * 31),
        ("SECRET_KEY", []),
        ("SECRET_KEY", ()),
        ("SECRET_KEY", ["k" * 32, "k" * 31]),
        ("SECRET_KEY", ["k" * 32, None]),
        ("SECRET_KEY", 10**40),
        ("SECRET_KEY", {"k" * 32: 1}),
        ("DEFAULT_REGION", "XX"),
        ("DEFAULT_REGION", "SWE"),
        ("DEFAULT_REGION", "46"),
        ("DEFAULT_REGION", "001"),
        ("DEFAULT_REGION", ""),
        ("DEFAULT_REGION", 46),
        ("DEFAULT_REGION", True),
        ("PHONE_REGIONS", [None]),
        ("PHONE_REGIONS", ["SE", None]),
        ("DB_TIMEOUT", 0),
        ("DB_TIMEOUT", -1),
        ("DB_TIMEOUT", float("nan")),
        ("DB_TIMEOUT", float("inf")),
        ("DB_TIMEOUT", 2_147_484),  # more milliseconds than MongoDB takes
        pytest.param("DB_TIMEOUT", 10**400, id="DB_TIMEOUT-10**400"),
        ("DB_TIMEOUT", True),
        ("DB_TIMEOUT", "3"),
        ("DB_TIMEOUT", None),
    ],
)
def test_a_value_that_is_not_allowed_stops_the_start_and_is_named(key, value):
    with pytest.raises(ConfigurationError, match=f"OTP_AUTH_{key} ") as caught:
        read(**{key: value})
    assert caught.value.key == f"OTP_AUTH_{key}"
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, OtpAuthError)


@pytest.mark.parametrize(
    ("key", "value", "fault", "allowed"),
    [
        ("CODE_LENGTH", 9, "is 9", "4 to 8"),
        ("CODE_LENGTH", "6", "is a str", "an integer"),
        ("CODE_TTL", 3601, "is 3601", "1 to 3600"),
        ("MAX_ATTEMPTS", 11, "is 11", "1 to 10"),
        ("KEEP_SESSIONS", 300, "is 300", "above OTP_AUTH_CODE_TTL"),
        ("METHODS", "sms", "is a str", "'sms', 'email'"),
        ("METHODS", ["voice"], "voice", "'sms', 'email'"),
        ("SECRET_KEY", "k" * 31, "31 bytes", "32 bytes"),
        ("DEFAULT_REGION", "XX", "'XX'", "'SE'"),
        ("PHONE_REGIONS", ["SE", None], "has a NoneType in it", "'SE'"),
        ("REGISTER_ROUTES", "no", "is a str", "True or False"),
        ("DB_TIMEOUT", 0, "is 0", "above 0"),
    ],
)
def test_the_error_says_what_is_wrong_and_what_would_be_right(key, value, fault, allowed):
    with pytest.raises(ConfigurationError) as caught:
        read(**{key: value})
    assert fault in str(caught.value)
    assert allowed in str(caught.value)


def rules(text):
    return sorted((rule.amount, rule.get_expiry()) for rule in text)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("client_limits", [(10, 900), (100, 86400)]),
        ("identifier_limits", [(1, 30), (5, 900), (20, 86400)]),
    ],
)
def test_an_app_without_options_limits_its_sends_as_documented(name, counts):
    assert rules(getattr(read(), name)) == counts


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("3 per minute", [(3, 60)]),
        ("1000 per day", [(1000, 86400)]),
        ("3/minute;7/hour", [(3, 60), (7, 3600)]),
        ("100 per day; 10 per 15 minutes", [(10, 900), (100, 86400)]),
    ],
)
@pytest.mark.parametrize("name", ["CLIENT_LIMITS", "IDENTIFIER_LIMITS"])
def test_limits_are_written_as_for_flask_limiter(name, text, counts):
    assert rules(getattr(read(**{name: text}), name.lower())) == counts


@pytest.mark.parametrize("tries", [6, 7, 10])
def test_more_tries_a_session_alone_make_no_contradiction(tries):
    settings = read(MAX_ATTEMPTS=tries)
    assert settings.lockout_threshold >= tries
    assert settings.disable_after > settings.lockout_threshold


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"MAX_ATTEMPTS": 5, "LOCKOUT_THRESHOLD": 4}, "OTP_AUTH_LOCKOUT_THRESHOLD"),
        ({"LOCKOUT_THRESHOLD": 50, "DISABLE_AFTER": 50}, "OTP_AUTH_DISABLE_AFTER"),
        ({"LOCKOUT_THRESHOLD": 50, "DISABLE_AFTER": 49}, "OTP_AUTH_DISABLE_AFTER"),
    ],
)
def test_bounds_that_contradict_each_other_stop_the_start(options, key):
    with pytest.raises(ConfigurationError) as caught:
        read(**options)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "options",
    [
        {"MAX_ATTEMPTS": 5, "LOCKOUT_THRESHOLD": 5, "DISABLE_AFTER": 6},
        {"LOCKOUT_THRESHOLD": None, "DISABLE_AFTER": 1},
        {"TRUSTED_DEVICES": 1},
        {"TRUSTED_DEVICES": 10 * 366 * 86400},
        {"LOCKOUT_THRESHOLD": 500, "DISABLE_AFTER": None},
        {"LOCKOUT_THRESHOLD": None, "DISABLE_AFTER": None},
    ],
)
def test_bounds_that_just_agree_are_taken(options):
    settings = read(**options)
    assert {key: getattr(settings, key.lower()) for key in options} == options


def test_a_test_identifier_may_live_through_the_last_day_of_the_calendar():
    entry = {"code": "000042", "until": "9999-12-31"}
    found = read(TEST_IDENTIFIERS={"+46701234567": entry}).test_identifiers["+46701234567"]
    assert (found.code, found.until.year) == ("000042", 9999)


def test_no_fixed_code_is_in_what_settings_print_or_an_error_says():
    good = {"code": "837465", "until": "2026-02-01"}
    text = repr(read(TEST_IDENTIFIERS={"user@example.com": good}).test_identifiers)
    text += repr(read(TEST_IDENTIFIERS={"user@example.com": good}))
    for bad in ({**good, "until": "soon"}, {**good, "code": "8374650"}, {**good, "extra": 1}):
        with pytest.raises(ConfigurationError) as caught:
            read(TEST_IDENTIFIERS={"user@example.com": bad})
        text += str(caught.value)
    assert "837465" not in text


@pytest.mark.parametrize("ttl", [30, 599])
def test_sessions_must_outlive_their_codes_by_whatever_ttl_is_set(ttl):
    with pytest.raises(ConfigurationError, match=rf"OTP_AUTH_KEEP_SESSIONS.*\({ttl}\)"):
        read(CODE_TTL=ttl, KEEP_SESSIONS=ttl)
    assert read(CODE_TTL=ttl, KEEP_SESSIONS=ttl + 1).keep_sessions == ttl + 1


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("OTP_AUTH_CODE_LENGHT", "OTP_AUTH_CODE_LENGTH"),
        ("OTP_AUTH_MAX_ATTEMPT", "OTP_AUTH_MAX_ATTEMPTS"),
        ("OTP_AUTH_METHOD", "OTP_AUTH_METHODS"),
    ],
)
def test_a_typo_in_an_option_is_not_silently_ignored(typo, meant):
    with pytest.raises(ConfigurationError, match=f"did you mean {meant}") as caught:
        read_config({typo: 4})
    assert caught.value.key == typo


def test_an_option_that_is_nothing_like_ours_is_refused_with_the_list():
    with pytest.raises(ConfigurationError, match="OTP_AUTH_QQQQQQQQQQQQQQQQQQQQQQ") as caught:
        read_config({"OTP_AUTH_QQQQQQQQQQQQQQQQQQQQQQ": 1})
    assert all(option.key in str(caught.value) for option in OPTIONS)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("OTP_CODE_LENGTH", "OTP_AUTH_CODE_LENGTH"), ("OTP_SMS_URLS", "OTP_AUTH_SMS_URLS")],
)
def test_an_option_without_its_auth_is_not_silently_ignored(key, meant):
    with pytest.raises(ConfigurationError, match=f"name of the option is {meant}") as caught:
        read_config({key: 4})
    assert caught.value.key == key


@pytest.mark.parametrize("value", ["cookie", ["headers", "cookie"], ["Headers"], [], None, 5])
def test_a_token_location_that_nobody_reads_is_refused(value):
    with pytest.raises(
        ConfigurationError, match=r"JWT_TOKEN_LOCATION.*'(headers|cookies)'"
    ) as caught:
        read_config({"JWT_TOKEN_LOCATION": value})
    assert caught.value.key == "JWT_TOKEN_LOCATION"


@pytest.mark.parametrize("value", ["cookies", ["headers", "cookies"], ("query_string", "json")])
def test_every_token_location_of_flask_jwt_extended_is_taken(value):
    assert read_config({"JWT_TOKEN_LOCATION": value}) == read()


@pytest.mark.parametrize("key", ["OTP_AUTHOR", "OTP_SECRET", "MY_OTP_AUTH_CODE_LENGTH", "DEBUG"])
def test_options_of_others_are_left_alone(key):
    assert read_config({key: "anything"}) == read()


def test_several_keys_are_used_newest_first():
    keys = read(SECRET_KEY=[NEWEST, OLDER.encode(), OLDEST]).secret_keys
    assert keys == (NEWEST.encode(), OLDER.encode(), OLDEST.encode())


@pytest.mark.parametrize("key", [NEWEST, NEWEST.encode(), [NEWEST], (NEWEST,)])
def test_one_key_may_be_given_in_any_form(key):
    assert read(SECRET_KEY=key).secret_keys == (NEWEST.encode(),)


def test_the_length_of_a_key_is_counted_in_bytes():
    assert read(SECRET_KEY="å" * 16).secret_keys == ("å".encode() * 16,)


def test_a_key_of_our_own_replaces_those_of_the_app():
    config = {
        "SECRET_KEY": "short",
        "SECRET_KEY_FALLBACKS": [OLD_KEY],
        "OTP_AUTH_SECRET_KEY": NEWEST,
    }
    assert read_settings(config).secret_keys == (NEWEST.encode(),)


def test_a_key_of_our_own_works_without_a_key_of_the_app():
    settings = read_settings({"SECRET_KEY": None, "OTP_AUTH_SECRET_KEY": NEWEST})
    assert settings.secret_keys == (NEWEST.encode(),)


@pytest.mark.parametrize(
    ("fallbacks", "older"),
    [
        (None, ()),
        ([], ()),
        ([OLD_KEY], (OLD_KEY.encode(),)),
        ((OLD_KEY, OLDEST.encode()), (OLD_KEY.encode(), OLDEST.encode())),
    ],
)
def test_rotating_the_key_of_the_app_keeps_the_old_ones_verifying(fallbacks, older):
    keys = read_config({"SECRET_KEY_FALLBACKS": fallbacks}).secret_keys
    assert keys == (SECRET_KEY.encode(), *older)


@pytest.mark.parametrize("missing", [{}, {"SECRET_KEY": None}, {"SECRET_KEY": ""}])
def test_an_app_without_any_key_does_not_start(missing):
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY is not set.*OTP_AUTH_SECRET_KEY"):
        read_settings(missing)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"SECRET_KEY": 12345678901234567890123456789012}, "SECRET_KEY"),
        ({"SECRET_KEY": ["k" * 32]}, "SECRET_KEY"),
        ({"SECRET_KEY_FALLBACKS": [None]}, "SECRET_KEY_FALLBACKS"),
        ({"SECRET_KEY_FALLBACKS": [1]}, "SECRET_KEY_FALLBACKS"),
        ({"SECRET_KEY_FALLBACKS": 1}, "SECRET_KEY_FALLBACKS"),
        ({"SECRET_KEY_FALLBACKS": OLD_KEY}, "SECRET_KEY_FALLBACKS"),
    ],
)
def test_a_key_of_the_app_that_is_no_key_is_named(config, key):
    with pytest.raises(ConfigurationError) as caught:
        read_config(config)
    assert caught.value.key == key


def test_an_empty_fallback_is_not_taken_for_a_key_that_everybody_knows():
    with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS"):
        read_config({"SECRET_KEY_FALLBACKS": [""]})


@pytest.mark.parametrize("form", [repr, str, "{!r}".format])
def test_no_key_is_in_what_settings_print(form):
    text = form(read_config({"OTP_AUTH_SECRET_KEY": [NEWEST, OLDER]}))
    assert "code_length=6" in text
    assert NEWEST not in text
    assert OLDER not in text


@pytest.mark.parametrize("value", ["too short a key", ["k" * 32, "too short a key"]])
def test_no_key_is_in_the_error_about_it(value):
    with pytest.raises(ConfigurationError) as caught:
        read(SECRET_KEY=value)
    assert "too short a key" not in str(caught.value)
    assert "too short a key" not in repr(caught.value)


def test_settings_cannot_be_changed_behind_our_back():
    with pytest.raises(AttributeError):
        read().max_attempts = 1000


@pytest.mark.parametrize(
    ("name", "text", "seen"),
    [
        ("CODE_LENGTH", "8", 8),
        ("DB_TIMEOUT", "1.5", 1.5),
        ("REGISTER_ROUTES", "false", False),
        ("METHODS", '["email"]', ("email",)),
        ("URL_PREFIX", "/login", "/login"),
        ("DEFAULT_REGION", "SE", "SE"),
        ("DEFAULT_REGION", "null", None),
        ("COLLECTION", "codes", "codes"),
    ],
)
def test_options_can_come_from_the_environment(monkeypatch, name, text, seen):
    monkeypatch.setenv(f"FLASK_OTP_AUTH_{name}", text)
    app = Flask("app")
    app.config["SECRET_KEY"] = SECRET_KEY
    app.config.from_prefixed_env()
    assert getattr(read_settings(app.config), name.lower()) == seen


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REGISTER_ROUTES", "False"),
        ("REFRESH_TOKEN", "no"),
        ("METHODS", "sms"),
        ("CODE_LENGTH", "six"),
    ],
)
def test_a_text_from_the_environment_is_not_guessed_at(monkeypatch, name, text):
    monkeypatch.setenv(f"FLASK_OTP_AUTH_{name}", text)
    app = Flask("app")
    app.config.from_prefixed_env()
    with pytest.raises(ConfigurationError, match=f"OTP_AUTH_{name} is a str"):
        read_settings(app.config)


def test_reading_the_options_writes_nothing():
    config = MappingProxyType({"SECRET_KEY": SECRET_KEY, "OTP_AUTH_METHODS": ["email"]})
    read_settings(config)
    app = make_app(OTP_AUTH_METHODS=["email"])
    FlaskOtpAuth(app)
    assert app.config["SECRET_KEY"] == SECRET_KEY
    assert app.config.get_namespace("OTP_AUTH_") == {"methods": ["email"]}


def test_a_bad_option_leaves_the_app_as_it_was():
    app = make_app(OTP_AUTH_CODE_LENGTH=3)
    with pytest.raises(ConfigurationError, match="OTP_AUTH_CODE_LENGTH"):
        FlaskOtpAuth(app)
    assert "otp_auth" not in app.extensions
    app.config["OTP_AUTH_CODE_LENGTH"] = 6
    assert FlaskOtpAuth(app)


def test_a_region_without_phonenumbers_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(ConfigurationError, match=r"DEFAULT_REGION.*flask-otp-auth\[phone\]"):
        read(DEFAULT_REGION="SE")
    assert read(DEFAULT_REGION=None).default_region is None


@pytest.mark.parametrize(
    "config",
    [
        {"SECRET_KEY": "k" * 32},
        {"SECRET_KEY": b"k" * 32},
        {"JWT_SECRET_KEY": "k" * 32},
        {"SECRET_KEY": "short", "JWT_SECRET_KEY": "k" * 32},
        {"JWT_SECRET_KEY": "k" * 64, "JWT_ALGORITHM": "HS512"},
        {"JWT_PRIVATE_KEY": "a PEM", "JWT_ALGORITHM": "RS256"},
        {"JWT_PRIVATE_KEY": b"a PEM", "JWT_ALGORITHM": "ES256"},
    ],
)
def test_a_key_that_can_sign_tokens_passes_in_silence(config):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_jwt_key(config)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "JWT_SECRET_KEY"),
        ({"SECRET_KEY": None, "JWT_SECRET_KEY": None}, "JWT_SECRET_KEY"),
        ({"SECRET_KEY": "", "JWT_SECRET_KEY": ""}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": 10**40}, "JWT_SECRET_KEY"),
        ({"JWT_SECRET_KEY": ["k" * 32]}, "JWT_SECRET_KEY"),
        ({"SECRET_KEY": 10**40}, "SECRET_KEY"),
        ({"SECRET_KEY": "k" * 32, "JWT_ALGORITHM": "RS256"}, "JWT_PRIVATE_KEY"),
        ({"SECRET_KEY": "k" * 32, "JWT_ALGORITHM": "none"}, "JWT_PRIVATE_KEY"),
    ],
)
def test_a_token_key_that_cannot_sign_stops_the_start_not_the_first_login(config, key):
    with pytest.raises(ConfigurationError) as caught:
        require_jwt_key(config)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"SECRET_KEY": None, "OTP_AUTH_SECRET_KEY": NEWEST}, "JWT_SECRET_KEY"),
        ({"JWT_ALGORITHM": "RS256"}, "JWT_PRIVATE_KEY"),
    ],
)
def test_an_app_that_could_not_sign_its_tokens_does_not_start(config, key):
    app = make_app()
    app.config.update(config)
    with pytest.raises(ConfigurationError) as caught:
        FlaskOtpAuth(app)
    assert caught.value.key == key


def test_an_app_with_tokens_of_its_own_needs_no_token_key():
    app = make_app(OTP_AUTH_SECRET_KEY=NEWEST)
    app.config["SECRET_KEY"] = None
    otp = FlaskOtpAuth()
    otp.verify_success_handler(lambda user, identifier, method, payload: {"token": "t"})
    otp.init_app(app)
    assert "otp_auth" in app.extensions
