"""What an owner sees of wrong codes in a row: waits, disabling, clearing, unlocking."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import time_machine
from bson.datetime_ms import DatetimeMS
from support.listeners import Meanwhile
from support.world import FAILED, MakeWorld, World

from flask_otp_auth.exceptions import (
    IdentifierLocked,
    InvalidIdentifier,
    InvalidRequest,
    OtpAuthError,
    TooManyRequests,
)

NUMBER = "+46701234567"
OPEN = {"guarded": True, "CLIENT_LIMITS": None, "IDENTIFIER_LIMITS": None}


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(**OPEN)


def ask(world: World, identifier: str = NUMBER, method: str = "sms") -> Any:
    return world.client.post("/otp/initiate", json={"identifier": identifier, "method": method})


def wrong(world: World, times: int) -> None:
    for _ in range(times):
        session_id = world.initiate()
        assert world.verify(session_id, world.wrong_code).status_code == 401


def failures(world: World) -> int:
    return sum(account["failures"] for account in world.accounts.find(FAILED))


def test_a_locked_owner_is_told_so_and_when_to_come_back(
    world: World, clock: time_machine.Traveller
) -> None:
    wrong(world, 6)
    clock.shift(11.5)

    refused = ask(world)

    error = refused.json["error"]
    assert (error["code"], error["retryAfter"]) == ("identifierLocked", 19)
    assert refused.headers["Retry-After"] == "19"
    assert len(world.outbox) == 6
    with world.app.app_context(), pytest.raises(IdentifierLocked) as locked:
        world.otp.initiate(NUMBER, "sms")
    assert locked.value.retry_after == 19


def test_a_disabled_owner_is_told_no_time_since_none_heals_it(
    world: World, clock: time_machine.Traveller
) -> None:
    wrong(world, 1)
    world.accounts.update_one({}, {"$set": {"failures": 100}})

    for _ in range(11):
        refused = ask(world)
        assert (refused.status_code, refused.json["error"]["code"]) == (429, "identifierLocked")
        assert "Retry-After" not in refused.headers
        assert "retryAfter" not in refused.json["error"]
        clock.shift(86_400 * 365)
    assert len(world.outbox) == 1


def test_who_may_open_no_more_sessions_is_told_how_many_tries_are_left_and_when_one_lapses(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(LOCKOUT_THRESHOLD=3, DISABLE_AFTER=5)
    world.initiate()
    session_id = world.initiate()
    refused = ask(world)

    assert refused.json["error"]["code"] == "identifierLocked"
    wait = refused.json["error"]["retryAfter"]
    first = world.verify(session_id, world.wrong_code)
    assert (first.status_code, first.json["data"]["remainingAttempts"]) == (401, 1)
    clock.shift(wait - 1)
    assert ask(world).status_code == 429
    clock.shift(1)
    assert ask(world).status_code == 200


def test_a_wrong_code_that_cannot_be_counted_gets_no_verdict_and_the_right_one_signs_in(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    session_id, code = world.initiate(), world.code
    assert world.verify(session_id, world.wrong_code).status_code == 401
    world.accounts.drop()
    world.mongo.db.create_collection(world.accounts.name, viewOn="nothing", pipeline=[])

    answer = world.verify(session_id, world.wrong_code)
    assert answer.status_code == 500
    assert "remainingAttempts" not in answer.text
    stored = world.sessions.find_one({"_id": session_id})
    assert stored is not None
    assert stored["attempts"] == 2
    assert world.verify(session_id, code).status_code == 200
    assert "not cleared" in caplog.text


@pytest.mark.parametrize(("user", "status"), [({"id": "7"}, 200), (None, 404)])
def test_a_right_code_clears_the_failures_of_its_session_and_of_those_before_and_after_it(
    world: World, user: Any, status: int
) -> None:
    world.users[NUMBER] = user
    wrong(world, 1)
    session_id, code = world.initiate(), world.code
    world.verify(session_id, world.wrong_code)
    wrong(world, 2)
    assert failures(world) == 4

    assert world.verify(session_id, code).status_code == status
    assert failures(world) == 0


def test_a_failure_that_came_while_a_session_was_being_stored_is_cleared_by_the_next_right_code(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    meanwhile = Meanwhile()
    world = make_world(**OPEN, listeners=[meanwhile])
    attacker = make_world(**OPEN)
    others = attacker.initiate()
    wrong_code = attacker.wrong_code
    meanwhile.before("insert", lambda: attacker.verify(others, wrong_code))

    session_id = world.initiate()
    assert meanwhile.command is None
    assert failures(world) == 1
    assert world.verify(session_id, world.code).status_code == 200
    # Admitting and storing are two operations; what comes between them stays counted for now.
    assert failures(world) <= 1

    assert world.verify(world.initiate(), world.code).status_code == 200
    assert failures(world) == 0


def test_unlock_tells_whether_there_was_anything_to_forget_and_refuses_who_cannot_be(
    world: World,
) -> None:
    with world.app.app_context():
        assert world.otp.unlock(NUMBER, "sms") is False
        wrong(world, 1)
        assert world.otp.unlock("0046 70 123 45 67", "sms") is True
        assert world.otp.unlock(NUMBER, "sms") is False
        with pytest.raises(InvalidIdentifier):
            world.otp.unlock("nobody", "sms")
        for identifier, method in ((NUMBER, "fax"), (None, "sms")):
            with pytest.raises(InvalidRequest):
                world.otp.unlock(identifier, method)  # type: ignore[arg-type]


def test_only_what_can_be_a_code_counts_as_a_failure(world: World) -> None:
    session_id = world.initiate()
    for typed in (123456, " ", "12", "not a code", "123456789"):
        world.verify(session_id, typed)  # type: ignore[arg-type]
    assert failures(world) == 0
    world.verify(session_id, world.wrong_code)
    assert failures(world) == 1


DISGUISES = [
    (
        "email",
        ["user@example.com", " USER@Example.Com", "user+1@example.com\t ", "user+a+b@example.com"],
    ),
    ("email", ["somebody@gmail.com", "some.body@gmail.com", "s.o.m.e.body+x@googlemail.com"]),
    ("sms", ["+46701234567", "46701234567", "0046701234567", "46 70-123 45 67", "(+46) 701234567"]),
    ("sms", ["+46701234567", "+46 (0)70 123 45 67", "0046(0)70-1234567"]),
]
OTHERS = [
    ("email", ["user@example.com", "us.er@example.com", "user@example.org", "+tag@example.com"]),
    ("email", ["+a@example.com", "+b@example.com"]),
    ("sms", ["+46701234567", "0701234567", "+4670123456"]),
]


@pytest.mark.parametrize(("method", "spellings"), DISGUISES)
def test_an_account_is_not_guessed_longer_by_spelling_its_name_in_many_ways(
    method: str, spellings: list[str], world: World
) -> None:
    for spelling in spellings[:2]:
        session_id = world.initiate(spelling, method)
        for _ in range(3):
            world.verify(session_id, world.wrong_code)

    refused = [ask(world, spelling, method) for spelling in spellings]

    assert {answer.json["error"]["code"] for answer in refused} == {"identifierLocked"}
    [account] = world.accounts.find()
    assert account["failures"] == 6  # its sends lie in the same document
    with world.app.app_context():
        assert world.otp.unlock(spellings[-1], method) is True
    assert ask(world, spellings[0], method).status_code == 200


@pytest.mark.parametrize(("method", "spellings"), OTHERS)
def test_people_who_only_look_alike_have_budgets_of_their_own(
    method: str, spellings: list[str], make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(IDENTIFIER_LIMITS="1 per hour")

    assert {ask(world, spelling, method).status_code for spelling in spellings} == {200}


def test_the_message_goes_to_the_address_as_given(world: World) -> None:
    world.initiate("Some.Body+news@googlemail.com", "email")

    assert world.outbox[-1].identifier == "some.body+news@googlemail.com"
    [session] = world.sessions.find()
    assert session["identifier"] == "some.body+news@googlemail.com"


def test_python_calls_pass_the_limits_of_the_account(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="1 per hour")
    with world.app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.1"}):
        for n in range(5):
            world.otp.initiate(f"user{n}@example.com", "email")
        with pytest.raises(TooManyRequests) as refused:
            world.otp.initiate("User0@example.com", "email")

    assert refused.value.scope == "identifier"
    assert refused.value.retry_after == 30
    assert len(world.outbox) == 5


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        ({"expiresAt": "soon"}, "expired"),
        ({"expiresAt": None}, "expired"),
        ({"resends": "none"}, "tooManyResends"),
        ({"locale": DatetimeMS(2**60)}, "internalServerError"),
    ],
    ids=repr,
)
def test_a_damaged_session_sends_no_code_and_tells_a_view_what_it_can_handle(
    damage: dict[str, Any], answer: str, world: World
) -> None:
    session_id = world.initiate()
    world.sessions.update_one({"_id": session_id}, {"$set": damage})

    with world.app.app_context():
        for call in (world.otp.get_session, world.otp.resend):
            with contextlib.suppress(OtpAuthError):
                call(session_id)
    told = world.client.post("/otp/resend", json={"sessionId": session_id}).json

    assert answer in (told.get("data", {}).get("status"), told.get("error", {}).get("code"))
    assert len(world.outbox) == 1
