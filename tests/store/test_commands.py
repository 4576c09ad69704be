"""What a sign-in costs the database: each operation more is one that an attacker can ask for."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from support.listeners import Heard, one_by_one
from support.world import NOW, MakeWorld, World


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
SETTLE = TRUST = ("update", "otp_sessions.accounts")
EXTEND = ("findAndModify", "otp_sessions")
TELL_OPEN_SESSIONS = ("update", "otp_sessions")


def test_each_step_of_a_sign_in_costs_its_operations_and_no_more(
    world: World, heard: Heard, clock: time_machine.Traveller
) -> None:
    first = world.initiate()
    assert heard.take() == [ADMIT, STORE]
    clock.shift(31)
    session_id = world.initiate()
    assert heard.take() == [ADMIT, STORE]

    for step, (code, status, expected) in {
        "the first failure while others are open": (
            world.wrong_code,
            401,
            [JUDGE, COUNT, TELL_OPEN_SESSIONS],
        ),
        "another failure": (world.wrong_code, 401, [JUDGE, COUNT]),
        "the right code after a failure": (world.code, 200, [JUDGE, SETTLE]),
        "a session that is over": (world.code, 400, [JUDGE]),
    }.items():
        assert world.verify(session_id, code).status_code == status
        assert heard.take() == expected, step
    assert world.verify("0" * 32, "000000").status_code == 404
    assert heard.take() == [JUDGE]
    assert world.verify("no session id", "000000").status_code == 404
    assert heard.take() == []

    clock.shift(31)
    assert world.client.post("/otp/resend", json={"sessionId": first}).status_code == 200
    assert heard.take() == [("find", "otp_sessions"), ADMIT, EXTEND]
    assert world.verify(world.initiate("user@example.com", "email"), world.code).status_code == 200
    assert heard.take() == [ADMIT, STORE, JUDGE]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"guarded": True}, [("findAndModify", "otp_sessions.clients")] * 2 + [ADMIT, STORE]),
        ({"guarded": True, "CLIENT_LIMITS": None, "IDENTIFIER_LIMITS": None}, [ADMIT, STORE]),
        ({}, [STORE]),
    ],
    ids=["an operation for each limit of clients", "locks alone", "neither limits nor locks"],
)
def test_an_initiate_costs_what_its_limits_and_locks_need(
    options: dict[str, Any],
    expected: list[tuple[str, str]],
    make_world: MakeWorld,
    heard: Heard,
    clock: time_machine.Traveller,
) -> None:
    world = make_world(listeners=[heard], **options)
    world.initiate("+46700000000")
    clock.shift(31)
    heard.take()

    session_id = world.initiate()

    assert heard.take() == expected
    assert world.verify(session_id, world.code).status_code == 200
    assert heard.take() == [JUDGE]


def test_a_trusted_device_costs_one_operation_a_login_and_two_to_become_one(
    make_world: MakeWorld, heard: Heard, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, TRUSTED_DEVICES=3600, listeners=[heard])
    session_id = world.initiate()
    heard.take()
    token = world.verify(session_id, world.code).json["data"]["deviceToken"]
    assert heard.take() == [JUDGE, TRUST, ("find", "otp_sessions.accounts")]
    clock.shift(31)

    session_id = world.initiate(deviceToken=token)
    assert heard.take() == [ADMIT, STORE]
    assert world.verify(session_id, world.code).status_code == 200
    assert heard.take() == [JUDGE, TRUST]

    world.accounts.update_many({}, {"$set": {"failures": 100}})
    body = {"identifier": "+46701234567", "method": "sms", "deviceToken": token}
    assert world.client.post("/otp/initiate", json=body).status_code == 429
    assert heard.take()[-2:] == [ADMIT, ADMIT]  # the device, and then the account


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


QUERIES = {"find", "findAndModify", "update", "delete", "aggregate", "count", "distinct"}


def stages(plan: Any) -> set[str]:
    """Every stage name of an explained plan."""
    if isinstance(plan, dict):
        found = {plan["stage"]} if isinstance(plan.get("stage"), str) else set()
        return found.union(*(stages(value) for value in plan.values()))
    if isinstance(plan, list):
        return set().union(*(stages(value) for value in plan))
    return set()


def test_no_query_of_the_package_scans_the_collection(make_world: MakeWorld, heard: Heard) -> None:
    world = make_world(
        guarded=True,
        listeners=[heard],
        IDENTIFIER_LIMITS="100 per minute",
        TRUSTED_DEVICES=3600,
    )
    world.sessions.insert_many(
        {
            "_id": f"{number:032x}",
            "identifier": f"{number}",
            "method": "sms",
            "status": "pending",
            "createdAt": NOW,
        }
        for number in range(500)
    )
    world.accounts.insert_many({"_id": f"{number:064x}", "failures": 1} for number in range(500))
    for identifier, method in (("+46701234567", "sms"), ("user@example.com", "email")):
        session_id = world.initiate(identifier, method)
        world.client.post("/otp/resend", json={"sessionId": session_id})
        world.verify(session_id, world.wrong_code)
        world.verify(session_id, world.code)
    with world.app.app_context():
        world.otp.get_session(session_id)
        world.otp.unlock("+46701234567", "sms")
        world.otp.forget_devices("+46701234567", "sms")
    world.otp.send_code_handler(lambda code, identifier, method, payload: False)
    world.client.post("/otp/initiate", json={"identifier": "user@example.com", "method": "email"})
    commands = zip(heard.names, heard.commands, strict=True)
    queries = [(name, command) for name, command in commands if name in QUERIES]
    queries = [(name, command) for name, command in queries if command.get("limit") != 20]
    assert {name for name, _ in queries} >= {"find", "findAndModify", "update"}
    assert "otp_sessions" in {command[name] for name, command in queries}
    for _, command in queries:
        meant = {
            key: value
            for key, value in command.items()
            if not key.startswith("$")
            and key not in ("lsid", "txnNumber", "writeConcern", "readConcern", "maxTimeMS")
        }
        for one in one_by_one(meant):
            explained = world.mongo.db.command("explain", one, verbosity="executionStats")
            assert "COLLSCAN" not in stages(explained)
            assert explained["executionStats"]["totalDocsExamined"] < 10


def shard_keys(command: dict[str, Any]) -> list[Any]:
    """Return the ids by which mongos finds the shards of a command."""
    match next(iter(command)):
        case "insert":
            return [document["_id"] for document in command["documents"]]
        case "update":
            return [part["q"]["_id"] for part in command["updates"]]
        case "findAndModify":
            return [command["query"]["_id"]]
    return [command["filter"]["_id"]]


def test_every_command_of_a_login_names_one_document_by_its_shard_key(
    make_world: MakeWorld, heard: Heard
) -> None:
    """As docs/deployment.rst says of a sharded cluster, of which a login asks one shard."""
    world = make_world(
        guarded=True, IDENTIFIER_LIMITS="9 per day", TRUSTED_DEVICES=3600, listeners=[heard]
    )
    token = world.verify(world.initiate(), world.code).json["data"]["deviceToken"]
    world.initiate("before@example.com", "email")
    heard.commands.clear()

    session_id = world.initiate(deviceToken=token)
    world.verify(session_id, world.wrong_code)
    world.client.post("/otp/resend", json={"sessionId": session_id})
    assert world.verify(session_id, world.code).status_code == 200
    with world.app.app_context():
        world.otp.get_session(session_id)

    names = {next(iter(command)) for command in heard.commands}
    assert names == {"insert", "update", "findAndModify", "find"}
    for command in heard.commands:
        for key in shard_keys(command):
            assert isinstance(key, str), command
