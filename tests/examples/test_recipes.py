"""The recipes of the docs do what they say: each one is built and asked as a client would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from support.servers import ROOT
from support.world import SECRET_KEY

from recipes import alarm, captcha, ipv6_step, node_sessions, total_cap

Build = Callable[..., Flask]
RECIPES = [total_cap, captcha, ipv6_step, alarm, node_sessions]
IPV6 = "2001:db8:7:{}::1"


@pytest.fixture
def build(mongo_uri: str) -> Iterator[Callable[[Any], Build]]:
    """Build the app of a recipe on a database of its own."""
    apps: list[Flask] = []

    def build_app(recipe: Any, **config: Any) -> Flask:
        keys = {"SECRET_KEY": SECRET_KEY, "MONGO_URI": mongo_uri, "TESTING": True, **config}
        app = recipe.create_app(config.get("config", keys))
        apps.append(app)
        return app

    yield build_app
    for app in apps:
        app.extensions["otp_auth"].mongo.cx.close()
        for limiter in app.extensions.get("limiter", ()):
            client = getattr(limiter.storage, "storage", None)
            if client is not None and hasattr(client, "close"):
                client.close()


def ask(app: Flask, number: int, address: str = "192.0.2.1", **headers: str) -> Any:
    """Ask for a code for the account of that number."""
    return app.test_client().post(
        "/otp/initiate",
        json={"identifier": f"reader{number}@example.com", "method": "email"},
        environ_overrides={"REMOTE_ADDR": address},
        headers=headers,
    )


def test_every_recipe_has_a_test_and_a_place_in_the_docs() -> None:
    recipes = {path.stem for path in (ROOT / "examples" / "recipes").glob("*.py")}
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.rst"))

    assert recipes == {recipe.__name__.partition(".")[2] for recipe in RECIPES}
    assert {recipe for recipe in recipes if f"recipes/{recipe}.py" not in pages} == set()


def test_all_addresses_together_get_no_more_codes_than_the_cap(build: Build) -> None:
    app = build(total_cap, ALL_CODES="3 per hour")

    answers = [ask(app, number, f"192.0.2.{number}") for number in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json["error"]["code"] == "tooManyRequests"
    assert 3500 < int(answers[-1].headers["Retry-After"]) <= 3601


def test_the_cap_leaves_the_limits_of_clients_on(build: Build) -> None:
    app = build(total_cap, ALL_CODES="100 per hour", OTP_AUTH_CLIENT_LIMITS="2 per hour")

    statuses = [ask(app, number).status_code for number in range(3)]

    assert statuses == [200, 200, 429]


def test_a_resend_counts_in_the_cap_and_a_verify_does_not(build: Build) -> None:
    app = build(total_cap, ALL_CODES="2 per hour", OTP_AUTH_IDENTIFIER_LIMITS=None)
    session = {"sessionId": ask(app, 1).json["data"]["sessionId"]}
    client = app.test_client()

    assert client.post("/otp/resend", json=session).status_code == 200
    assert client.post("/otp/resend", json=session).status_code == 429
    assert client.post("/otp/verify", json={**session, "code": "1234567"}).status_code == 401


def test_no_code_is_sent_without_the_proof_of_a_captcha(build: Build) -> None:
    app = build(captcha, CAPTCHA_SECRET="solved")

    without, wrong = ask(app, 1), ask(app, 1, **{"Captcha-Token": "guessed"})
    solved = ask(app, 1, **{"Captcha-Token": "solved"})

    assert [without.status_code, wrong.status_code, solved.status_code] == [403, 403, 200]
    assert without.json["error"]["code"] == "forbidden"
    session = {"sessionId": solved.json["data"]["sessionId"], "code": "1234567"}
    assert app.test_client().post("/otp/verify", json=session).status_code == 401


def test_a_refused_captcha_costs_neither_the_client_nor_the_account_a_send(build: Build) -> None:
    app = build(captcha, CAPTCHA_SECRET="solved", OTP_AUTH_CLIENT_LIMITS="1 per hour")

    for _ in range(5):
        ask(app, 1)

    assert ask(app, 1, **{"Captcha-Token": "solved"}).status_code == 200


def test_a_network_with_many_prefixes_is_stopped_where_each_prefix_is_not(build: Build) -> None:
    app = build(ipv6_step, CODES_OF_A_NETWORK="3 per hour")

    statuses = [ask(app, number, IPV6.format(number)).status_code for number in range(5)]

    assert statuses == [200, 200, 200, 429, 429]
    assert ask(app, 9, "2001:db8:8::1").status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("2001:db8:7:1::1", "2001:db8:7::/48"),
        ("2001:db8:7:2::1%eth0", "2001:db8:7::/48"),
        ("::ffff:192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.0/24"),
        ("unix:", "unix:"),
    ],
)
def test_every_client_belongs_to_one_network(address: str, network: str) -> None:
    with Flask("app").test_request_context(environ_overrides={"REMOTE_ADDR": address}):
        assert ipv6_step.network() == network


def test_a_spike_of_codes_to_one_country_raises_one_alarm(build: Build) -> None:
    heard: list[tuple[str, int]] = []
    app = build(alarm, OTP_AUTH_CLIENT_LIMITS=None)
    build_alarms(app, heard, {"sent": 3, "refused": 9, "locked": 9})
    client = app.test_client()

    for start, count in (("+4670123450", 5), ("+44770090012", 2)):
        for number in range(count):
            body = {"identifier": f"{start}{number}", "method": "sms"}
            assert client.post("/otp/initiate", json=body).status_code == 200

    assert heard == [("sent to +467", 3)]


def test_refusals_and_locks_raise_alarms_that_name_the_bound(build: Build) -> None:
    heard: list[tuple[str, int]] = []
    app = build(alarm, OTP_AUTH_LOCKOUT_THRESHOLD=3)
    build_alarms(app, heard, {"sent": 100, "refused": 2, "locked": 1})
    session = ask(app, 1).json["data"]["sessionId"]
    client = app.test_client()

    for _ in range(3):
        client.post("/otp/verify", json={"sessionId": session, "code": "1234567"})
    for _ in range(2):
        ask(app, 1)
    ask(app, 2)
    for _ in range(2):
        ask(app, 2)

    assert heard == [
        ("locked waiting", 1),
        ("refused by lockout", 2),
        ("refused by identifier 1 per 30 second", 2),
    ]


def test_the_alarm_of_the_recipe_is_in_the_log(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    app = build(alarm, BOUNDS={"sent": 9, "refused": 1, "locked": 9})
    ask(app, 1)

    ask(app, 1)

    assert "alarm: refused by identifier 1 per 30 second, 1 times" in caplog.text


def build_alarms(app: Flask, heard: list[tuple[str, int]], bounds: dict[str, int]) -> None:
    alarms = alarm.Alarms(lambda what, count: heard.append((what, count)), bounds, window=600)
    alarms.connect(app)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
def test_each_recipe_runs_from_the_environment_alone(
    recipe: Any, mongo_uri: str, monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    monkeypatch.setenv("FLASK_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("FLASK_MONGO_URI", mongo_uri)
    monkeypatch.setenv("FLASK_CAPTCHA_SECRET", "solved")

    app = build(recipe, config=None)

    assert ask(app, 1, **{"Captcha-Token": "solved"}).status_code == 200
