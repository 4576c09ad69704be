"""flask otp sessions, unlock, send-test: what support does for one person, masked unless asked."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import time_machine
from command_line import data, run
from flask import Flask
from support.world import MakeWorld, World

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery
from flask_otp_auth.testing.mongod import free_port

NUMBER = "+46701234567"


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS="20 per day")


def fail(world: World, sessions: int) -> None:
    for _ in range(sessions):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)


def test_support_sees_why_a_person_gets_no_code(
    world: World, clock: time_machine.Traveller
) -> None:
    fail(world, 2)
    clock.shift(10)

    result = run(world, "sessions", NUMBER)

    assert result.exit_code == 0, result.output
    assert "waiting" in result.output
    assert "locked" in result.output
    [account] = data(run(world, "sessions", NUMBER, "--json"))["accounts"]
    assert account == {
        "device": None,
        "state": "waiting",
        "failures": 6,
        "lockedUntil": "2050-01-02T12:30:30.000Z",
        "sends": 2,
        "lastSend": "2050-01-02T12:30:00.000Z",
        "reservedTries": 0,
    }
    clock.shift(20)
    [account] = data(run(world, "sessions", NUMBER, "--json"))["accounts"]
    assert (account["state"], account["lockedUntil"]) == ("open", None)


def test_the_sessions_of_a_person_are_shown_newest_first(
    world: World, clock: time_machine.Traveller
) -> None:
    first = world.initiate()
    world.verify(first, world.code)
    clock.shift(1)
    second = world.initiate()
    world.verify(second, world.wrong_code)
    clock.shift(1)
    world.initiate("+46709999999")

    sessions = data(run(world, "sessions", NUMBER, "--json"))["sessions"]
    assert [session["session"] for session in sessions] == [f"{second[:8]}...", f"{first[:8]}..."]
    assert [session["status"] for session in sessions] == ["pending", "verified"]
    assert [session["attempts"] for session in sessions] == [1, 0]
    assert sessions[1]["verifiedAt"] == "2050-01-02T12:30:00.000Z"

    [newest] = data(run(world, "sessions", NUMBER, "--last", "1", "--json"))["sessions"]
    assert newest == sessions[0]
    clock.shift(300)
    assert data(run(world, "sessions", NUMBER, "--json"))["sessions"][0]["status"] == "expired"


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_terminal_shows_no_session_id_unless_asked(
    world: World, arguments: tuple[str, ...]
) -> None:
    session_id = world.initiate(payload={"secret": "of the client"})

    short = run(world, "sessions", "+46 (70) 123-4567", *arguments).output
    assert NUMBER in short  # as it is stored; who asked has typed it
    assert session_id not in short

    revealed = run(world, "sessions", NUMBER, "--reveal", *arguments).output
    assert session_id in revealed
    for output in (short, revealed):
        assert world.code not in output
        assert "secret" not in output


def test_headings_are_words(world: World) -> None:
    fail(world, 2)

    output = run(world, "sessions", NUMBER).output

    assert "locked until" in output
    assert "max attempts" in output
    assert "lockedUntil" not in output


def test_a_person_that_nothing_is_known_of_is_no_error(world: World) -> None:
    result = run(world, "sessions", "nobody@example.com")

    assert result.exit_code == 0
    assert "Nothing is known of this account." in result.output
    assert "There are no sessions of this identifier." in result.output


def test_a_disabled_or_damaged_account_says_so(world: World) -> None:
    world.initiate()
    assert world.mongo.db is not None
    accounts = world.mongo.db["otp_sessions.accounts"]

    accounts.update_one({}, {"$set": {"failures": 100}})
    [account] = data(run(world, "sessions", NUMBER, "--json"))["accounts"]
    assert account["state"] == "disabled"

    accounts.update_one({}, {"$set": {"failures": "many"}})
    [account] = data(run(world, "sessions", NUMBER, "--json"))["accounts"]
    assert account["state"] == "damaged, so disabled"
    assert account["failures"] is None


def test_devices_are_shown_beside_their_account(world: World) -> None:
    world.initiate()
    assert world.mongo.db is not None
    accounts = world.mongo.db["otp_sessions.accounts"]
    found = accounts.find_one()
    assert found is not None
    accounts.insert_one({**found, "_id": f"{found['_id']}:0123456789abcdef", "failures": 7})

    _, device = data(run(world, "sessions", NUMBER, "--json"))["accounts"]
    assert (device["device"], device["failures"]) == ("01234567...", 7)


def test_unlock_lets_a_person_in_again(world: World) -> None:
    fail(world, 2)
    ask = {"identifier": NUMBER, "method": "sms"}
    assert world.client.post("/otp/initiate", json=ask).status_code == 429

    result = run(world, "unlock", NUMBER)

    assert result.exit_code == 0
    assert "Unlocked" in result.output
    assert world.client.post("/otp/initiate", json=ask).status_code == 200


def test_unlock_of_nothing_says_so(world: World) -> None:
    assert data(run(world, "unlock", NUMBER, "--json")) == {"unlocked": False}
    assert "nothing to unlock" in run(world, "unlock", NUMBER).output
    world.initiate()
    assert data(run(world, "unlock", NUMBER, "--json")) == {"unlocked": True}


@pytest.mark.parametrize(
    ("arguments", "identifier", "method"),
    [
        (["+46 (70) 123-4567"], NUMBER, "sms"),
        (["Reader@Example.com"], "reader@example.com", "email"),
        (["reader@example.com", "--method", "email"], "reader@example.com", "email"),
    ],
)
def test_a_sender_is_tried_without_signing_anybody_in(
    world: World, arguments: list[str], identifier: str, method: str
) -> None:
    told = data(run(world, "send-test", *arguments, "--json"))

    assert told["sent"] is True
    [sent] = world.outbox
    assert (sent.identifier, sent.method, sent.payload) == (identifier, method, None)
    assert re.fullmatch(r"[0-9]{6}", sent.code)
    assert world.sessions.count_documents({}) == 0
    assert sent.code not in json.dumps(told)


def test_a_sender_that_fails_is_told_apart_by_the_exit_code(world: World) -> None:
    world.otp.send_code_handler(lambda code, identifier, method, payload: False)
    result = run(world, "send-test", NUMBER)
    assert result.exit_code == 1
    assert "did not return a true value" in result.output

    seen: list[str] = []

    def explode(code: str, identifier: str, method: str, payload: Any) -> bool:
        seen.append(code)
        raise ConnectionError(f"no way to {identifier} with {code}")

    world.otp.send_code_handler(explode)
    result = run(world, "send-test", NUMBER, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["sent"] is False
    assert "ConnectionError" in told["error"]
    assert seen[0] not in told["error"]
    assert NUMBER not in told["error"]


def test_support_sees_what_a_code_is_for(world: World) -> None:
    with world.app.app_context():
        world.otp.initiate(NUMBER, "sms", purpose="change-phone", subject=7)

    [session] = data(run(world, "sessions", NUMBER, "--json"))["sessions"]
    assert session["purpose"] == "change-phone"
    assert "change-phone" in run(world, "sessions", NUMBER).output


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_person_gets_all_that_is_stored_and_can_have_it_deleted(
    world: World, arguments: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    world.initiate(payload={"from": "the client"})

    exported = data(run(world, "export", "+46 70 123 45 67", *arguments))
    assert exported["identifier"] == NUMBER
    [session] = exported["sessions"]
    assert session["payload"] == {"from": "the client"}
    assert world.code not in json.dumps(exported)

    erased = run(world, "erase", NUMBER, *arguments)
    assert erased.exit_code == 0
    assert "1" in erased.output
    assert "erased: 1 sessions of +467*****67" in caplog.text
    assert data(run(world, "export", NUMBER))["sessions"] == []
    assert run(world, "erase", NUMBER).output == "Deleted: 0 sessions.\n"


def test_a_test_of_a_method_that_is_off_says_so(make_world: MakeWorld) -> None:
    world = make_world(METHODS=["email"])

    result = run(world, "send-test", NUMBER)

    assert result.exit_code == 1
    assert result.output.startswith("Error: OTP_AUTH_METHODS does not have 'sms'")
    assert world.outbox == []


def test_a_test_without_a_provider_is_a_sentence_and_no_traceback(make_world: MakeWorld) -> None:
    world = make_world(guarded=True)
    Delivery(world.otp)

    result = run(world, "send-test", NUMBER)

    assert result.exit_code == 1
    assert "OTP_AUTH_SMS_URLS is not set" in result.output
    assert "Traceback" not in result.output


def test_devices_are_forgotten_by_command(world: World) -> None:
    world.initiate()
    assert world.mongo.db is not None
    accounts = world.mongo.db["otp_sessions.accounts"]
    found = accounts.find_one()
    assert found is not None
    accounts.insert_one({**found, "_id": f"{found['_id']}:0123456789abcdef"})

    assert data(run(world, "forget-devices", NUMBER, "--json")) == {"forgotten": 1}
    assert run(world, "forget-devices", NUMBER).output == "Forgotten: 0 devices.\n"
    assert accounts.count_documents({}) == 1


def test_a_test_without_a_sender_says_what_to_register(make_world: MakeWorld) -> None:
    result = run(make_world(handlers=False), "send-test", NUMBER)

    assert result.exit_code == 1
    assert "@otp.send_code_handler" in result.output


@pytest.mark.parametrize("command", ["sessions", "unlock", "send-test"])
def test_a_typing_error_is_a_short_message(world: World, command: str) -> None:
    result = run(world, command, "12")
    assert (result.exit_code, result.output) == (1, "Error: Invalid phone number format\n")

    result = run(world, command, NUMBER, "--method", "email")
    assert (result.exit_code, result.output) == (1, "Error: Invalid email address format\n")

    assert run(world, command, NUMBER, "--method", "fax").exit_code == 2
    assert run(world, command).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [["sessions", NUMBER], ["unlock", NUMBER], ["purge"], ["stats"], ["create-indexes"]],
    ids=str,
)
def test_a_database_that_is_away_is_a_short_message(arguments: list[str]) -> None:
    app = Flask("host")
    uri = f"mongodb://127.0.0.1:{free_port()}/none"
    app.config.update(SECRET_KEY="k" * 40, MONGO_URI=uri, OTP_AUTH_DB_TIMEOUT=0.2)
    FlaskOtpAuth(app)

    result = app.test_cli_runner().invoke(args=["otp", *arguments])

    assert result.exit_code == 1
    assert "Error: MongoDB did not answer in time." in result.output
    assert "Traceback" not in result.output
    app.extensions["otp_auth"].mongo.cx.close()


def test_support_sees_and_ends_the_logins_of_a_user(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(REFRESH_TOKEN=True)
    answer = world.verify(world.initiate(), world.code)
    user = answer.json["data"]["user"]["id"]  # type: ignore[index]

    [login] = data(run(world, "logins", user, "--json"))["logins"]
    assert login["method"] == "sms"
    assert login["startedAt"] == login["refreshedAt"] == "2050-01-02T12:30:00.000Z"
    assert login["login"].endswith("...")
    assert "started at" in run(world, "logins", user).output
    [login] = data(run(world, "logins", user, "--reveal", "--json"))["logins"]
    assert len(login["login"]) == 32

    assert data(run(world, "end-logins", user, "--json")) == {"ended": 1}
    assert run(world, "end-logins", user).output.startswith("Ended: 0 logins")
    assert run(world, "logins", user).output.startswith("There are no logins of this user")


def test_a_user_of_whom_nothing_is_known_is_no_error(make_world: MakeWorld) -> None:
    assert data(run(make_world(), "logins", "nobody", "--json")) == {"logins": []}
