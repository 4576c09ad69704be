"""flask otp check: each point of the checklist passes where all is well, and says so where not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from flask_limiter import Limiter
from support.servers import PATIENCE
from support.world import MakeWorld, World
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery
from flask_otp_auth.testing.mongod import free_port

pytestmark = pytest.mark.filterwarnings("ignore::flask_otp_auth.SecurityWarning")
READY = {
    "PREFERRED_URL_SCHEME": "https",
    "JWT_SECRET_KEY": "another secret key for tests, over 64 bytes long, and not of one piece",
}
OPTIONS = {"TRUSTED_DEVICES": 86_400, "DEFAULT_REGION": "SE"}
COOKIES = {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_COOKIE_SECURE": True}
SAME_SITE = {**COOKIES, "JWT_COOKIE_SAMESITE": "Lax"}


def run(app: Flask, *arguments: str) -> Result:
    """Run the check as ``flask otp check`` does."""
    return app.test_cli_runner().invoke(args=["otp", "check", *arguments])


def statuses(app: Flask) -> dict[str, str]:
    """Return what became of each point."""
    result = run(app, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    report = json.loads(result.stdout)
    for point in report["points"]:
        assert point["why"]
        assert bool(point["what_to_do"]) == (point["status"] != "pass"), point
    found = {point["name"]: point["status"] for point in report["points"]}
    assert report["passed"] == ("fail" not in found.values()) == (result.exit_code == 0)
    return found


@pytest.fixture
def make_ready(make_world: MakeWorld) -> Callable[..., World]:
    """Make an app that is ready for production, but for the given options."""

    def make(*, handlers: bool = True, **options: Any) -> World:
        config = {**READY, **options.pop("config", {})}
        options = {**OPTIONS, **options}
        world = make_world(guarded=True, handlers=handlers, config=config, **options)
        world.app.wsgi_app = ProxyFix(world.app.wsgi_app)  # type: ignore[method-assign]
        if handlers:
            world.otp.send_code_handler(Sender().send)
        world.app.extensions["otp_auth"].sessions.create_indexes()
        world.app.extensions["otp_auth"].accounts.create_indexes()
        world.app.extensions["otp_auth"].logins.create_indexes()
        return world

    return make


class Sender:
    """A sender that can say whether its way is open."""

    def __init__(self, check: Callable[[], Any] = lambda: None) -> None:
        self.check = check
        self.sent = 0

    def send(self, code: str, identifier: str, method: str, payload: Any) -> bool:
        self.sent += 1
        return True


def test_a_site_that_is_ready_passes_every_point(make_ready: Callable[..., World]) -> None:
    app = make_ready().app

    assert set(statuses(app).values()) == {"pass"}
    assert run(app).exit_code == 0


def test_a_person_reads_what_is_wrong_why_and_what_to_do(make_ready: Callable[..., World]) -> None:
    result = run(make_ready(CODE_LENGTH=4).app)

    assert result.exit_code == 1
    assert "FAIL  code length: OTP_AUTH_CODE_LENGTH is 4: codes of 4" in result.output
    assert "      Set OTP_AUTH_CODE_LENGTH to 6 or more." in result.output
    assert "PASS  code lifetime" in result.output
    assert result.output.endswith("0 warnings, 1 failed\n")


def test_a_warning_alone_does_not_stop_a_deployment(make_ready: Callable[..., World]) -> None:
    result = run(make_ready(LOCKOUT_THRESHOLD=None).app)

    assert "1 warning, 0 failed" in result.output
    assert result.exit_code == 0


FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("code length", "fail", {"CODE_LENGTH": 5}),
    ("code lifetime", "fail", {"CODE_TTL": 601}),
    ("code lifetime", "warn", {"CODE_TTL": 29}),
    ("limits of accounts", "fail", {"IDENTIFIER_LIMITS": None}),
    ("limits of clients", "warn", {"CLIENT_LIMITS": None}),
    ("limits of clients", "fail", {"config": {"RATELIMIT_ENABLED": False}}),
    ("limits of clients", "fail", {"config": {"RATELIMIT_STORAGE_URI": "memory://"}}),
    ("failures in a row", "fail", {"DISABLE_AFTER": None}),
    ("failures in a row", "fail", {"DISABLE_AFTER": 101}),
    ("lockout", "warn", {"LOCKOUT_THRESHOLD": None}),
    ("secret (SECRET_KEY)", "fail", {"config": {"SECRET_KEY": "s3cret"}}),
    ("secret (SECRET_KEY)", "fail", {"config": {"SECRET_KEY": "ab" * 20}}),
    ("secret (OTP_AUTH_SECRET_KEY)", "fail", {"SECRET_KEY": "x" * 32}),
    ("token key (JWT_SECRET_KEY)", "fail", {"config": {"JWT_SECRET_KEY": "jwt key of 19 bytes"}}),
    (
        "token key (SECRET_KEY)",
        "fail",  # enough for HS256
        {"config": {"JWT_ALGORITHM": "HS512", "JWT_SECRET_KEY": None}},
    ),
    ("access tokens", "fail", {"config": {"JWT_ACCESS_TOKEN_EXPIRES": False}}),
    ("access tokens", "warn", {"config": {"JWT_ACCESS_TOKEN_EXPIRES": timedelta(days=2)}}),
    ("access tokens", "warn", {"config": {"JWT_ACCESS_TOKEN_EXPIRES": 100_000}}),
    (
        "refresh tokens",
        "warn",
        {"REFRESH_TOKEN": True, "REFRESH_LIFETIME": 90 * 86_400},
    ),
    (
        "token cookies (JWT_COOKIE_SECURE)",
        "fail",
        {"config": {**SAME_SITE, "JWT_COOKIE_SECURE": False}},
    ),
    (
        "token cookies (JWT_COOKIE_CSRF_PROTECT)",
        "fail",
        {"config": {**SAME_SITE, "JWT_COOKIE_CSRF_PROTECT": False}},
    ),
    (
        "token cookies (JWT_CSRF_METHODS)",
        "fail",
        {"config": {**SAME_SITE, "JWT_CSRF_METHODS": ["PUT", "PATCH", "DELETE"]}},
    ),
    ("token cookies (JWT_COOKIE_SAMESITE)", "warn", {"config": COOKIES}),
    ("two keys", "warn", {"config": {"JWT_SECRET_KEY": None}}),
    ("trusted devices", "warn", {"TRUSTED_DEVICES": None}),
    ("phone numbers", "warn", {"DEFAULT_REGION": None}),
    ("sign-up", "warn", {"SEND_TO_UNKNOWN": False, "SEND_IN_BACKGROUND": True}),
    ("limits of clients", "warn", {"REGISTER_ROUTES": False}),
    ("HTTPS", "warn", {"config": {"PREFERRED_URL_SCHEME": "http"}}),
    ("debug mode", "fail", {"config": {"DEBUG": True}}),
    ("testing mode", "fail", {"config": {"TESTING": True}}),
]


@pytest.mark.parametrize(("name", "status", "options"), FAULTS)
def test_a_fault_of_the_configuration_is_found_and_no_other(
    make_ready: Callable[..., World], name: str, status: str, options: dict[str, Any]
) -> None:
    found = statuses(make_ready(**options).app)

    assert found[name] == status
    related = {"two keys", "blocked users"}
    others = {
        other: judged for other, judged in found.items() if other != name and other not in related
    }
    assert set(others.values()) == {"pass"}, others


@pytest.mark.parametrize(
    "options",
    [
        {"config": SAME_SITE},
        {"config": {**SAME_SITE, "JWT_COOKIE_SAMESITE": "Strict"}},
        {"config": {"JWT_ALGORITHM": "RS256", "JWT_PRIVATE_KEY": "key", "JWT_PUBLIC_KEY": "key"}},
        {"CODE_LENGTH": 8, "CODE_TTL": 600},
        {"DEFAULT_REGION": None, "METHODS": ["email"]},
    ],
    ids=str,
)
def test_what_is_as_good_as_the_defaults_passes(
    make_ready: Callable[..., World], options: dict[str, Any]
) -> None:
    assert set(statuses(make_ready(**options).app).values()) == {"pass"}


def test_logins_that_end_with_the_browser_or_outlive_their_user_are_found(
    make_ready: Callable[..., World],
) -> None:
    world = make_ready(REFRESH_TOKEN=True, KEEP_SIGNED_IN=False, config=SAME_SITE)
    world.app.extensions["flask-jwt-extended"]._user_lookup_callback = None
    found = statuses(world.app)
    assert found["cookies of logins"] == "warn"
    assert found["blocked users"] == "warn"
    assert "although it could be refreshed for 30 days" in run(world.app).output

    world = make_ready(REFRESH_TOKEN=True, config=SAME_SITE)
    world.app.extensions["flask-jwt-extended"].user_lookup_loader(lambda header, claims: None)
    assert set(statuses(world.app).values()) == {"pass"}


def test_an_sms_without_phonenumbers_is_found(
    make_ready: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_otp_auth.identifiers.knows_numbering_plans", lambda: False)

    assert statuses(make_ready(METHODS=["email"]).app).get("phone numbers") is None
    world = make_ready()
    assert statuses(world.app)["phone numbers"] == "warn"
    assert "+46 070 123 45 67 and +46 70 123 45 67 are two accounts" in run(world.app).output


def test_a_view_of_the_host_under_the_limits_is_recognised(
    make_ready: Callable[..., World],
) -> None:
    world = make_ready(REGISTER_ROUTES=False)
    assert statuses(world.app)["limits of clients"] == "warn"

    world.app.add_url_rule("/code", view_func=world.otp.limit_client(lambda: "sent"))
    assert statuses(world.app)["limits of clients"] == "pass"


def test_a_login_page_beside_tokens_of_the_host_is_found(make_ready: Callable[..., World]) -> None:
    world = make_ready(LOGIN_PAGE=True, config=SAME_SITE)
    world.otp.verify_success_handler(lambda user, identifier, method, payload: {"token": "t"})

    assert statuses(world.app)["own tokens"] == "warn"


def test_an_option_that_came_too_late_is_found(make_ready: Callable[..., World]) -> None:
    world = make_ready()
    world.app.config["OTP_AUTH_MAX_ATTEMPTS"] = 5

    assert statuses(world.app)["late options"] == "fail"


def test_missing_handlers_are_found_before_the_first_request(
    make_ready: Callable[..., World],
) -> None:
    world = make_ready(handlers=False)
    world.otp.get_user_handler(lambda identifier, method, payload: None)
    found = statuses(world.app)
    assert found["handler send_code_handler"] == "fail"
    assert "handler get_user_handler" not in found

    world.otp.send_code_handler(Sender().send)
    assert statuses(world.app)["handlers"] == "pass"


def test_tokens_of_the_host_are_the_hosts_own_business(make_ready: Callable[..., World]) -> None:
    world = make_ready(config={"JWT_ACCESS_TOKEN_EXPIRES": False})
    world.otp.verify_success_handler(lambda user, identifier, method, payload: {"token": "t"})

    assert set(statuses(world.app).values()) == {"pass"}


def refuse() -> None:
    raise ConnectionRefusedError("smtp://user:password@mail.example.com")


@pytest.mark.parametrize(("check", "status"), [(refuse, "fail"), (lambda: False, "fail")])
def test_a_sender_that_reaches_nobody_is_found_without_a_message(
    make_ready: Callable[..., World], check: Callable[[], Any], status: str
) -> None:
    world, sender = make_ready(), Sender(check)
    world.otp.send_code_handler(sender.send)

    assert statuses(world.app)["sender"] == status
    assert "password" not in run(world.app).output
    assert sender.sent == 0


def test_a_newcomer_reads_which_option_the_sender_lacks(make_ready: Callable[..., World]) -> None:
    world = make_ready()
    Delivery(world.otp)

    output = run(world.app).output

    assert "FAIL  sender: OTP_AUTH_SMS_URLS is not set" in output
    assert "      Set OTP_AUTH_SMS_URLS" in output


def test_a_sender_that_hangs_does_not_hang_the_check(
    make_ready: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_otp_auth.cli.check._CHECK_TIMEOUT", 0.1)
    world, at_the_end = make_ready(), threading.Event()
    world.otp.send_code_handler(Sender(lambda: at_the_end.wait(PATIENCE)).send)

    assert statuses(world.app)["sender"] == "fail"
    at_the_end.set()


def test_a_sender_that_cannot_be_asked_is_one_to_try(make_ready: Callable[..., World]) -> None:
    world = make_ready()
    world.otp.send_code_handler(lambda code, identifier, method, payload: True)

    assert statuses(world.app)["sender"] == "warn"


@pytest.mark.parametrize(
    ("code", "until", "status"),
    [
        ("123456", 30, "fail"),
        ("777777", 30, "fail"),
        ("193847", 400, "fail"),
        ("193847", 30, "warn"),
        ("123456", -1, "warn"),
    ],
)
def test_a_test_identifier_is_no_back_door(
    make_ready: Callable[..., World], code: str, until: int, status: str
) -> None:
    end = datetime.now(UTC) + timedelta(days=until)
    world = make_ready(TEST_IDENTIFIERS={"+15555550100": {"code": code, "until": end}})

    assert statuses(world.app)["test identifier +155*****00"] == status
    assert code not in run(world.app).output


def test_a_proxy_that_hides_the_clients_is_found(
    make_ready: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_ready()
    world.app.wsgi_app = world.app.wsgi_app.app  # type: ignore[attr-defined, method-assign]
    assert statuses(world.app)["proxy"] == "warn"  # HTTPS, and nobody who takes the address

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert statuses(world.app)["proxy"] == "fail"

    world.app.wsgi_app = ProxyFix(world.app.wsgi_app, x_for=0)  # type: ignore[method-assign]
    assert statuses(world.app)["proxy"] == "fail"

    world.app.wsgi_app = Outer(ProxyFix(world.app.wsgi_app.app))  # type: ignore[attr-defined, method-assign]
    assert statuses(world.app)["proxy"] == "pass"


class Outer:
    """Another middleware of the host."""

    def __init__(self, app: Any) -> None:
        self.app = app


def test_an_app_on_a_desk_has_no_proxy(make_ready: Callable[..., World]) -> None:
    world = make_ready(config={"PREFERRED_URL_SCHEME": "http"})
    world.app.wsgi_app = world.app.wsgi_app.app  # type: ignore[attr-defined, method-assign]

    assert statuses(world.app)["proxy"] == "pass"


def test_a_limiter_of_the_host_is_looked_at(mongo_uri: str) -> None:
    app = Flask("host")
    app.config.update(SECRET_KEY="k" * 40, MONGO_URI=mongo_uri, RATELIMIT_SWALLOW_ERRORS=True)
    limiter = Limiter(lambda: "all", app=app, storage_uri=mongo_uri)
    FlaskOtpAuth(app, limiter=limiter)

    assert statuses(app)["limits of clients"] == "warn"
    app.extensions["otp_auth"].mongo.cx.close()
    limiter.storage.storage.close()


def test_a_limiter_that_was_never_initialised_is_found(mongo_uri: str) -> None:
    app = Flask("host")
    app.config.update(SECRET_KEY="k" * 40, MONGO_URI=mongo_uri)
    FlaskOtpAuth(app, limiter=Limiter(lambda: "all"))

    assert statuses(app)["limits of clients"] == "fail"
    app.extensions["otp_auth"].mongo.cx.close()


def test_a_store_of_limits_that_is_away_is_found(mongo_uri: str) -> None:
    app = Flask("host")
    app.config.update(
        SECRET_KEY="k" * 40,
        MONGO_URI=mongo_uri,
        RATELIMIT_STORAGE_URI=f"redis://127.0.0.1:{free_port()}",
    )
    FlaskOtpAuth(app)

    assert statuses(app)["limits of clients"] == "fail"
    app.extensions["otp_auth"].mongo.cx.close()


def test_a_database_that_is_away_is_one_failure_and_no_traceback() -> None:
    app = Flask("host")
    uri = f"mongodb://127.0.0.1:{free_port()}/none"
    app.config.update(SECRET_KEY="k" * 40, MONGO_URI=uri, OTP_AUTH_DB_TIMEOUT=0.3)
    otp = FlaskOtpAuth(app)
    otp.send_code_handler(lambda code, identifier, method, payload: True)
    otp.get_user_handler(lambda identifier, method, payload: None)

    begin = time.monotonic()
    found = statuses(app)

    assert time.monotonic() - begin < 5
    assert found["database"] == "fail"
    assert found["limits of clients"] == "fail"
    assert "retention" not in found
    app.extensions["otp_auth"].mongo.cx.close()


@pytest.mark.new_database
def test_indexes_that_are_missing_or_of_another_retention_are_found(
    make_world: MakeWorld, mongo_uri: str
) -> None:
    world = make_world(guarded=True)
    indexes = {"retention", "index of identifiers", "index of accounts", "index of logins"}
    assert {statuses(world.app)[name] for name in indexes} == {"fail"}

    assert world.app.test_cli_runner().invoke(args=["otp", "create-indexes"]).exit_code == 0
    assert {statuses(world.app)[name] for name in indexes} == {"pass"}

    other = make_world(guarded=True, KEEP_SESSIONS=7200)
    assert statuses(other.app)["retention"] == "fail"
    assert other.app.test_cli_runner().invoke(args=["otp", "create-indexes"]).exit_code == 0
    assert statuses(other.app)["retention"] == "pass"
    assert statuses(world.app)["retention"] == "fail"


@pytest.mark.parametrize(("seconds", "status"), [(0, "pass"), (5, "warn"), (60, "fail")])
def test_a_clock_that_is_wrong_is_found(
    make_ready: Callable[..., World], seconds: int, status: str
) -> None:
    world = make_ready()
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds)):
        assert statuses(world.app)["clock"] == status
