"""What a sign-in costs the database: each operation more is one that an attacker can ask for."""

from __future__ import annotations

import pytest
import time_machine
from conftest import MakeWorld, World
from listeners import Heard, one_by_one


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def world(make_world: MakeWorld, heard: Heard, clock: time_machine.Traveller) -> World:
    world = make_world(guarded=True, listeners=[heard])
    world.verify(world.initiate("+46700000000"), "000000")  # makes the indexes
    heard.commands.clear()
    return world


ADMIT = ("update", "otp_sessions.limits")
LOOK = ("find", "otp_sessions.limits")
INITIATE = [ADMIT, ("insert", "otp_sessions")]
JUDGE = ("findAndModify", "otp_sessions")
COUNT = ("findAndModify", "otp_sessions.limits")
TELL_OPEN_SESSIONS = ("update", "otp_sessions")


def test_a_clean_login_costs_two_operations_and_one(world: World, heard: Heard) -> None:
    session_id = world.initiate()
    assert heard.take() == INITIATE

    assert world.verify(session_id, world.code).status_code == 200
    assert heard.take() == [JUDGE]


def test_a_failed_guess_costs_one_operation_more_and_the_first_of_a_run_two(
    world: World, heard: Heard
) -> None:
    session_id = world.initiate()
    heard.take()

    assert world.verify(session_id, world.wrong_code).status_code == 401
    assert heard.take() == [JUDGE, COUNT, TELL_OPEN_SESSIONS]
    for status in (401, 403):
        assert world.verify(session_id, world.wrong_code).status_code == status
        assert heard.take() == [JUDGE, COUNT]


def test_guessing_at_what_is_over_or_was_never_there_costs_one_operation_at_most(
    world: World, heard: Heard
) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.code)
    heard.take()

    assert world.verify(session_id, "000000").status_code == 400
    assert heard.take() == [JUDGE]
    assert world.verify("0" * 32, "000000").status_code == 404
    assert heard.take() == [JUDGE]
    assert world.verify("no session id", "000000").status_code == 404
    assert heard.take() == []


def test_the_right_code_after_a_wrong_one_costs_one_operation_more(
    world: World, heard: Heard
) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.wrong_code)
    heard.take()

    assert world.verify(session_id, world.code).status_code == 200
    assert heard.take() == [JUDGE, ("delete", "otp_sessions.limits")]


def test_a_resend_costs_three_operations(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    clock.shift(31)
    heard.take()

    assert world.client.post("/otp/resend", json={"sessionId": session_id}).status_code == 200
    assert heard.take() == [
        ("find", "otp_sessions"),
        ADMIT,
        ("findAndModify", "otp_sessions"),
    ]


def test_a_send_that_is_refused_stores_no_session(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    world.initiate()
    heard.take()
    refused = world.client.post(
        "/otp/initiate", json={"identifier": "+46701234567", "method": "sms"}
    )
    assert refused.status_code == 429
    assert heard.take() == [ADMIT, LOOK]

    for n in range(20):
        world.client.post("/otp/initiate", json={"identifier": f"+46701{n:06d}", "method": "sms"})
    heard.take()
    world.client.post("/otp/initiate", json={"identifier": "+46701999999", "method": "sms"})
    assert heard.take() == [ADMIT, LOOK]


def test_a_send_after_a_wrong_code_costs_two_operations_more(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    world.verify(world.initiate(), world.wrong_code)
    clock.shift(31)
    heard.take()

    world.initiate()

    assert heard.take() == [ADMIT, LOOK, ADMIT, ("aggregate", "otp_sessions"), INITIATE[1]]


def test_without_limits_an_initiate_looks_for_a_lockout_and_inserts(
    make_world: MakeWorld, heard: Heard, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, listeners=[heard], CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)
    world.initiate()
    heard.take()

    world.initiate()

    assert heard.take() == [LOOK, INITIATE[1]]


def test_no_operation_of_an_attack_scans_a_collection(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    for _ in range(2):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
        clock.shift(31)
    session_id = world.initiate()
    clock.shift(31)
    world.client.post("/otp/resend", json={"sessionId": session_id})
    world.verify(session_id, world.code)
    with world.app.app_context():
        world.otp.unlock("+46701234567", "sms")
    commands = [command for command in heard.commands if "insert" not in command]
    heard.commands.clear()

    planned = set()
    for command in commands:
        name, where = next(iter(command.items()))
        kept = {
            key: value
            for key, value in command.items()
            if key not in ("lsid", "txnNumber", "maxTimeMS", "writeConcern", "$db")
            and not key.startswith("$")
        }
        for explained in one_by_one(kept):
            plan = str(world.mongo.db.command("explain", explained, verbosity="queryPlanner"))
            assert "COLLSCAN" not in plan, explained
        planned.add((name, where))
    assert planned == {
        ("aggregate", "otp_sessions"),
        ("find", "otp_sessions"),
        ("update", "otp_sessions"),
        ("delete", "otp_sessions.limits"),
        ADMIT,
        LOOK,
        JUDGE,
        COUNT,
    }
