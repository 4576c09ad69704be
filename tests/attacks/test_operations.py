"""What a sign-in costs the database: each operation more is one that an attacker can ask for."""

from __future__ import annotations

import pytest
import time_machine
from support.listeners import Heard, one_by_one
from support.world import MakeWorld, World


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def world(make_world: MakeWorld, heard: Heard, clock: time_machine.Traveller) -> World:
    world = make_world(guarded=True, CLIENT_LIMITS=None, listeners=[heard])
    world.verify(world.initiate("+46700000000"), "000000")  # makes the indexes
    heard.commands.clear()
    return world


ADMIT = ("findAndModify", "otp_sessions.accounts")
STORE = ("insert", "otp_sessions")
JUDGE = ("findAndModify", "otp_sessions")
COUNT = ("findAndModify", "otp_sessions.accounts")
SETTLE = ("update", "otp_sessions.accounts")
TELL_OPEN_SESSIONS = ("update", "otp_sessions")


def test_a_clean_login_costs_two_operations_and_one(world: World, heard: Heard) -> None:
    session_id = world.initiate()
    assert heard.take() == [ADMIT, STORE]

    assert world.verify(session_id, world.code).status_code == 200
    assert heard.take() == [JUDGE]


def test_the_limits_of_clients_cost_an_operation_for_each_rule(
    make_world: MakeWorld, heard: Heard, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, listeners=[heard])
    world.initiate("+46700000000")
    clock.shift(31)
    heard.take()

    world.initiate()

    # One to count and, since a no may be a race for the document, never more than two.
    assert heard.take() == [("update", "otp_sessions.clients")] * 2 + [ADMIT, STORE]


def test_a_failed_guess_costs_one_operation_more(world: World, heard: Heard) -> None:
    session_id = world.initiate()
    heard.take()

    for status in (401, 401, 403):
        assert world.verify(session_id, world.wrong_code).status_code == status
        assert heard.take() == [JUDGE, COUNT]


def test_the_first_failure_of_a_run_costs_one_more_while_other_sessions_are_open(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    world.initiate()
    clock.shift(30)
    session_id = world.initiate()
    heard.take()

    assert world.verify(session_id, world.wrong_code).status_code == 401
    assert heard.take() == [JUDGE, COUNT, TELL_OPEN_SESSIONS]
    assert world.verify(session_id, world.wrong_code).status_code == 401
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
    assert heard.take() == [JUDGE, SETTLE]


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


def test_a_send_that_is_refused_costs_one_operation_whatever_refuses_it(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    def refused() -> str:
        heard.take()
        body = {"identifier": "+46701234567", "method": "sms"}
        answer = world.client.post("/otp/initiate", json=body)
        assert answer.status_code == 429
        assert heard.take() == [ADMIT]
        return str(answer.json["error"]["code"])

    world.initiate()
    assert refused() == "tooManyRequests"
    for _ in range(2):
        clock.shift(30)
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    assert refused() == "identifierLocked"
    world.accounts.update_many({}, {"$set": {"failures": 100}})
    assert refused() == "identifierLocked"
    # With 98 failures the first session, which is open, holds all tries that are left.
    world.accounts.update_many({}, {"$set": {"failures": 98}, "$unset": {"lockedUntil": ""}})
    clock.shift(30)
    assert refused() == "identifierLocked"


def test_a_send_after_a_wrong_code_costs_no_operation_more(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    world.verify(world.initiate(), world.wrong_code)
    clock.shift(31)
    heard.take()

    session_id = world.initiate()
    assert heard.take() == [ADMIT, STORE]

    assert world.verify(session_id, world.code).status_code == 200
    assert heard.take() == [JUDGE, SETTLE]


def test_without_limits_an_initiate_looks_for_a_lock_and_inserts(
    make_world: MakeWorld, heard: Heard, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, listeners=[heard], CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)
    world.initiate()
    heard.take()

    world.initiate()

    assert heard.take() == [ADMIT, STORE]


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
        ("find", "otp_sessions"),
        ADMIT,
        SETTLE,
        JUDGE,
        COUNT,
    }
