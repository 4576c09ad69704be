"""The testing kit, used as the author of an application would use it."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import freezegun
import pytest
import time_machine
from flask import Flask
from flask_pymongo import PyMongo
from support.world import NOW, MakeWorld, World

from flask_otp_auth.delivery import Delivery
from flask_otp_auth.testing import otp_outbox
from flask_otp_auth.testing.pytest_plugin import with_database

EMAIL = "user@example.com"


def initiate(world: World, identifier: str = EMAIL, method: str = "email", **body: Any) -> Any:
    return world.client.post(
        "/otp/initiate", json={"identifier": identifier, "method": method, **body}
    )


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("storage", [None, "memory://"])
@pytest.mark.filterwarnings("ignore::flask_otp_auth.SecurityWarning")
def test_one_person_may_sign_in_again_and_again(
    make_world: MakeWorld, background: bool, storage: str | None
) -> None:
    config = {"RATELIMIT_STORAGE_URI": storage} if storage else {}
    world = make_world(guarded=True, config=config, SEND_IN_BACKGROUND=background)

    with otp_outbox(world.app) as outbox:
        for _ in range(12):  # clients may ask ten times, identifiers once in 30 seconds
            answer = initiate(world)
            assert answer.status_code == 200, answer.text
            code = outbox.last_code(EMAIL)
            assert world.verify(answer.json["data"]["sessionId"], code).status_code == 200

    assert len(outbox.messages) == 12
    assert world.outbox == []


def test_limits_and_sender_are_back_after_the_outbox(make_world: MakeWorld) -> None:
    world = make_world(guarded=True)
    with otp_outbox(world.app) as outbox:
        initiate(world)

    statuses = [initiate(world).status_code for _ in range(2)]
    others = [initiate(world, f"user{number}@example.com").status_code for number in range(9)]

    assert statuses == [200, 429]
    assert others == [200] * 8 + [429]
    assert len(outbox.messages) == 1
    assert len(world.outbox) == 9


def test_outbox_that_is_only_called_keeps_codes_until_it_is_closed(make_world: MakeWorld) -> None:
    world = make_world(guarded=True)
    outbox = otp_outbox(world.app)

    for _ in range(2):
        session_id = initiate(world).json["data"]["sessionId"]
        assert world.verify(session_id, outbox.last_code(EMAIL)).status_code == 200
    assert world.outbox == []
    outbox.close()
    outbox.close()

    assert [initiate(world).status_code for _ in range(2)] == [200, 429]
    assert (len(outbox.messages), len(world.outbox)) == (2, 1)


def test_sender_is_not_needed_meanwhile(make_world: MakeWorld) -> None:
    world = make_world(handlers=False)

    @world.otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        return {"id": "1"}

    with otp_outbox(world.app):
        assert initiate(world).status_code == 200
    assert initiate(world).status_code == 500


def test_guess_limits_stay(make_world: MakeWorld) -> None:
    world = make_world(guarded=True)

    with otp_outbox(world.app) as outbox:
        for _ in range(2):
            session_id = initiate(world).json["data"]["sessionId"]
            wrong = f"{(int(outbox.last_code(EMAIL)) + 1) % 10**6:06d}"
            statuses = [world.verify(session_id, wrong).status_code for _ in range(3)]
            assert statuses == [401, 401, 403]
        assert initiate(world).json["error"]["code"] == "identifierLocked"


def test_other_app_of_the_same_extension_sends_as_before(
    make_world: MakeWorld, mongo_uri: str
) -> None:
    world = make_world()
    other = Flask("other")
    other.config.update(world.app.config)
    mongo = PyMongo(other)
    world.otp.init_app(other, mongo=mongo)

    with otp_outbox(world.app) as outbox:
        answer = other.test_client().post(
            "/otp/initiate", json={"identifier": EMAIL, "method": "email"}
        )
        assert answer.status_code == 200
        assert outbox.messages == []
    assert [sent.identifier for sent in world.outbox] == [EMAIL]
    mongo.cx.close()  # type: ignore[union-attr]


def test_python_api_goes_through_the_outbox_too(world: World) -> None:
    with otp_outbox(world.app) as outbox, world.app.app_context():
        started = world.otp.initiate("+46 70 123 45 67", "sms", {"order": 7})
        resent = world.otp.resend(started.session_id)
        result = world.otp.verify(resent.session_id, outbox.last_code("0046-70-1234567"))

    assert result.status == "success"
    first, second = outbox.messages
    assert first.payload == {"order": 7}
    assert first.session_id == second.session_id == started.session_id
    assert first.method == "sms"


def test_message_is_as_delivery_would_send_it(make_world: MakeWorld) -> None:
    world = make_world(APP_NAME="Shop", ORIGIN="https://example.com")

    with otp_outbox(world.app) as outbox:
        world.client.post(
            "/otp/initiate",
            json={"identifier": EMAIL, "method": "email"},
            headers={"Accept-Language": "sv"},
        )
        initiate(world, "+46701234567", "sms")

    email, sms = outbox.messages
    assert email.locale == "sv"
    assert email.subject == "Din inloggningskod för Shop"
    assert email.code in email.text
    assert email.code in email.html
    assert sms.text.endswith(f"\n@example.com #{sms.code}")


def test_code_that_was_not_sent_is_said_to_be_missing(world: World) -> None:
    with otp_outbox(world.app) as outbox:
        initiate(world, "someone@example.com")
        with pytest.raises(LookupError, match=r"user@example\.com; .* to someone@example.com"):
            outbox.last_code(EMAIL)
        outbox.clear()
        with pytest.raises(LookupError, match="to nobody"):
            outbox.last_code(EMAIL)


def test_app_without_the_extension_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="call init_app"), otp_outbox(Flask("bare")):
        pass


def sign_in_and_let_a_code_expire(world: World, clock: Any) -> None:
    with otp_outbox(world.app) as outbox:
        session_id = initiate(world).json["data"]["sessionId"]
        clock.tick(timedelta(seconds=299)) if hasattr(clock, "tick") else clock.shift(299)
        assert world.verify(session_id, outbox.last_code(EMAIL)).status_code == 200
        session_id = initiate(world).json["data"]["sessionId"]
        clock.tick(timedelta(seconds=300)) if hasattr(clock, "tick") else clock.shift(300)
        late = world.verify(session_id, outbox.last_code(EMAIL))
        assert late.json["data"]["status"] == "expired"


def test_time_machine_moves_the_clock(make_world: MakeWorld) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        sign_in_and_let_a_code_expire(make_world(guarded=True), clock)


def test_freezegun_moves_the_clock(make_world: MakeWorld) -> None:
    with freezegun.freeze_time(NOW) as clock:
        sign_in_and_let_a_code_expire(make_world(guarded=True), clock)


def test_delivery_of_the_host_is_not_called(make_world: MakeWorld) -> None:
    world = make_world()
    Delivery(world.otp, console=False)

    with otp_outbox(world.app) as outbox:
        assert initiate(world).status_code == 200
    assert outbox.last_code(EMAIL)


HOST_APP = """
import datetime as dt

from flask import Flask
from flask_otp_auth import FlaskOtpAuth
import pytest


@pytest.fixture
def app(otp_mongo_uri):
    app = Flask("host")
    app.config.update(SECRET_KEY="k" * 32, MONGO_URI=otp_mongo_uri)
    otp = FlaskOtpAuth(app)

    @otp.get_user_handler
    def get_user(identifier, method, payload):
        return {"id": identifier}

    return app


before = []


@pytest.mark.parametrize("time", [1, 2])
def test_user_signs_in(app, otp_outbox, time):
    client = app.test_client()
    started = client.post("/otp/initiate", json={"identifier": "a@example.com", "method": "email"})
    answer = client.post("/otp/verify", json={
        "sessionId": started.json["data"]["sessionId"],
        "code": otp_outbox.last_code("a@example.com"),
    })
    assert answer.json["data"]["user"] == {"id": "a@example.com"}
    state = app.extensions["otp_auth"]
    assert state.database["otp_sessions"].count_documents({}) == 1
    databases = state.mongo.cx.list_database_names()
    assert state.database.name in databases
    assert not set(before) & set(databases)
    before.append(state.database.name)
    state.mongo.cx.close()
"""


def test_fixtures_are_there_without_a_conftest(
    tmp_path: Path, mongo_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_host.py").write_text(HOST_APP)
    monkeypatch.setenv("MONGO_URI", with_database(mongo_server, "given"))
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            str(tmp_path),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mongodb://127.0.0.1:27017/", "mongodb://127.0.0.1:27017/new"),
        ("mongodb://h1,h2/old?replicaSet=r", "mongodb://h1,h2/new?replicaSet=r"),
        ("mongodb://u:p%40@h/old", "mongodb://u:p%40@h/new?authSource=old"),
        ("mongodb://u:p@h/?tls=true", "mongodb://u:p@h/new?tls=true&authSource=admin"),
        ("mongodb://u:p@h/old?authSource=x", "mongodb://u:p@h/new?authSource=x"),
    ],
)
def test_other_database_keeps_the_login(given: str, expected: str) -> None:
    assert with_database(given, "new") == expected


def test_limits_of_the_app_stay_where_a_test_is_about_them(make_world: MakeWorld) -> None:
    world = make_world(guarded=True)

    with otp_outbox(world.app, limits=True) as outbox:
        assert [initiate(world).status_code for _ in range(2)] == [200, 429]
        others = [initiate(world, f"user{n}@example.com").status_code for n in range(9)]

    assert others == [200] * 8 + [429]
    assert len(outbox.messages) == 9
    assert world.outbox == []


def test_handler_that_is_registered_while_the_outbox_is_open_counts(world: World) -> None:
    with otp_outbox(world.app) as outbox:

        @world.otp.get_user_handler
        def get_user(identifier: str, method: str, payload: Any) -> Any:
            return {"id": "late"}

        @world.otp.send_code_handler
        def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
            return False

        session_id = initiate(world).json["data"]["sessionId"]
        answer = world.verify(session_id, outbox.last_code(EMAIL))

    assert answer.json["data"]["user"]["id"] == "late"
    assert initiate(world, "other@example.com").status_code == 500


PLUGIN = """
import sys

def test_nothing():
    heavy = {"flask", "pymongo", "flask_limiter", "limits", "flask_pymongo", "jinja2", "werkzeug"}
    assert heavy & set(sys.modules) == set()
    assert "flask_otp_auth.testing.pytest_plugin" in sys.modules
"""


def test_plugin_costs_a_test_run_that_does_not_use_it_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_host.py").write_text(PLUGIN)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr
