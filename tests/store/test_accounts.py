"""Failures in a row of an identifier: counting, waiting, disabling, clearing."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from bson import Int64
from conftest import LOCKOUTS, NOW, MakeWorld, World
from listeners import Meanwhile
from pymongo import MongoClient, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from flask_otp_auth.exceptions import (
    IdentifierLocked,
    InvalidIdentifier,
    InvalidRequest,
    OtpAuthError,
    ServiceUnavailable,
)
from flask_otp_auth.lockouts import Lockout, LockoutStore
from local_mongod import free_port

NUMBER = "+46701234567"
COUNTS = "otp_sessions.accounts"


@pytest.fixture
def database(mongo_uri: str) -> Any:
    with MongoClient(mongo_uri, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def documents(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    return database[COUNTS]


def lockouts(database: Database[dict[str, Any]], **changes: Any) -> LockoutStore:
    options = {"key": b"k" * 32, "threshold": 6, "disable_after": 100, "step": 3, "timeout": 3.0}
    return LockoutStore(database, COUNTS, **{**options, **changes})


def fail(store: LockoutStore, times: int = 1, identifier: str = NUMBER) -> Lockout:
    """Count failures, each a millisecond after the last; return where that leads."""
    for n in range(times):
        found = store.record_failure(identifier, NOW + timedelta(milliseconds=n))
    assert found is not None
    return found


def waits_until(store: LockoutStore, failures: int) -> dict[int, float]:
    """Return the seconds of each wait by the failure that began it."""
    waits = {}
    for failure in range(1, failures + 1):
        now = NOW + timedelta(hours=failure)
        found = store.record_failure(NUMBER, now)
        assert found is not None
        assert found.failures == failure
        wait = found.wait(now)
        assert found.begins == (wait is not None or failure == 100)
        if wait is not None:
            waits[failure] = wait
    return waits


def test_the_waits_double_from_30_seconds_to_a_quarter_of_an_hour(
    database: Database[dict[str, Any]],
) -> None:
    waits = waits_until(lockouts(database), 40)

    doubling = {6: 30, 9: 60, 12: 120, 15: 240, 18: 480}
    assert waits == {**doubling, **dict.fromkeys(range(21, 41, 3), 900)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threshold": 1, "step": 1}, {1: 30, 2: 60, 3: 120, 4: 240, 5: 480, 6: 900, 7: 900}),
        ({"threshold": 3, "step": 3}, {3: 30, 6: 60}),
        ({"threshold": 4, "step": 2}, {4: 30, 6: 60}),
        ({"threshold": 7, "step": 10}, {7: 30}),
        ({"threshold": None, "disable_after": 8}, {}),
    ],
)
def test_the_waits_follow_the_threshold_and_the_tries_of_a_session(
    options: dict[str, Any], expected: dict[int, float], database: Database[dict[str, Any]]
) -> None:
    assert waits_until(lockouts(database, **options), 7) == expected


def test_a_count_far_beyond_all_bounds_still_waits_a_quarter_of_an_hour(
    database: Database[dict[str, Any]], documents: Collection[dict[str, Any]]
) -> None:
    store = lockouts(database, disable_after=None)
    fail(store)
    for count in (9_998, 2**31 - 5, 2**40 - 1):
        documents.update_one(LOCKOUTS, {"$set": {"failures": Int64(count // 3 * 3 - 1)}})
        now = NOW + timedelta(seconds=1)
        found = store.record_failure(NUMBER, now)
        assert found is not None
        assert found.wait(now) == 900


def test_a_wait_ends_at_its_millisecond(database: Database[dict[str, Any]]) -> None:
    store = lockouts(database)
    fail(store, 6)
    found = store.find(NUMBER)
    assert found is not None
    end = NOW + timedelta(seconds=30, milliseconds=5)

    assert found.locked_until == end
    assert found.wait(end - timedelta(milliseconds=1)) == pytest.approx(0.001)
    assert found.wait(end) is None
    assert found.disabled is False


def test_failures_between_the_steps_change_no_wait(database: Database[dict[str, Any]]) -> None:
    store = lockouts(database)
    sixth = fail(store, 6)
    for _ in range(2):
        later = store.record_failure(NUMBER, NOW + timedelta(seconds=29))
        assert later is not None
        assert later.locked_until == sixth.locked_until
        assert not later.begins


def test_the_hundredth_failure_disables_for_good(database: Database[dict[str, Any]]) -> None:
    store = lockouts(database)

    assert fail(store, 99).disabled is False
    found = store.record_failure(NUMBER, NOW + timedelta(days=1))
    assert found is not None
    assert found.disabled is True
    assert found.begins
    later = store.record_failure(NUMBER, NOW + timedelta(days=2))
    assert later is not None
    assert later.disabled is True
    assert not later.begins


def test_disabling_can_be_off_while_waiting_is_on(database: Database[dict[str, Any]]) -> None:
    found = fail(lockouts(database, disable_after=None), 120)

    assert found.failures == 120
    assert found.disabled is False


def test_what_is_off_altogether_is_neither_read_nor_written(
    database: Database[dict[str, Any]], documents: Collection[dict[str, Any]]
) -> None:
    store = lockouts(database, threshold=None, disable_after=None)

    assert store.enabled is False
    assert store.record_failure(NUMBER, NOW) is None
    assert store.find(NUMBER) is None
    assert documents.count_documents(LOCKOUTS) == 0


def test_clear_forgets_all_of_one_identifier_and_nothing_of_another(
    database: Database[dict[str, Any]],
) -> None:
    store = lockouts(database)
    fail(store, 100)
    fail(store, 7, "user@example.com")

    assert store.clear(NUMBER) is True
    assert store.clear(NUMBER) is False
    assert store.find(NUMBER) is None
    other = store.find("user@example.com")
    assert other is not None
    assert other.failures == 7


def test_an_identifier_cannot_be_read_in_the_collection(
    database: Database[dict[str, Any]], documents: Collection[dict[str, Any]]
) -> None:
    fail(lockouts(database), 6)

    [stored] = documents.find(LOCKOUTS)
    assert re.fullmatch("lockout:[0-9a-f]{64}", stored["_id"])
    assert "70123" not in str({**stored, "_id": ""})
    assert lockouts(database, key=b"x" * 32).find(NUMBER) is None


def test_no_failure_is_lost_when_many_come_at_once(database: Database[dict[str, Any]]) -> None:
    store = lockouts(database)
    barrier = threading.Barrier(32)

    def wrong() -> None:
        barrier.wait(30)
        store.record_failure(NUMBER, NOW)

    threads = [threading.Thread(target=wrong) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    found = store.find(NUMBER)
    assert found is not None
    assert found.failures == 32


def test_a_database_that_is_away_lets_nothing_through() -> None:
    with MongoClient(f"mongodb://127.0.0.1:{free_port()}/otp", connect=False) as client:
        store = lockouts(client.get_default_database(), timeout=0.2)
        for call in (
            lambda: store.find(NUMBER),
            lambda: store.record_failure(NUMBER, NOW),
            lambda: store.clear(NUMBER),
        ):
            with pytest.raises(ServiceUnavailable):
                call()


CORRUPT: list[dict[str, Any]] = [
    {"lockedUntil": "2026-01-01"},
    {"lockedUntil": 0},
    {"lockedUntil": False},
    {"lockedUntil": []},
    {"disabled": None},
    {"disabled": "no"},
    {"disabled": 0},
    {"disabled": []},
    {"failures": "6"},
    {"failures": None},
    {"failures": []},
    {"failures": float("nan")},
]


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)


def ask(world: World) -> Any:
    return world.client.post("/otp/initiate", json={"identifier": NUMBER, "method": "sms"})


def wrong(world: World, times: int) -> None:
    for _ in range(times):
        session_id = world.initiate()
        assert world.verify(session_id, world.wrong_code).status_code == 401


@pytest.mark.parametrize("damage", CORRUPT, ids=repr)
def test_a_damaged_record_gives_no_code_away_without_an_unlock(
    damage: dict[str, Any], world: World
) -> None:
    wrong(world, 5)
    documents = world.mongo.db[COUNTS]
    documents.update_one(LOCKOUTS, {"$set": damage})

    assert ask(world).status_code in (429, 500)
    with world.app.app_context():
        with pytest.raises(OtpAuthError):
            world.otp.initiate(NUMBER, "sms")
        assert world.otp.unlock(NUMBER, "sms") is True
    assert ask(world).status_code == 200


@pytest.mark.parametrize("missing", ["failures", "disabled"])
def test_a_record_with_a_part_missing_gives_no_code_away_without_an_unlock(
    missing: str, world: World
) -> None:
    wrong(world, 5)
    world.mongo.db[COUNTS].update_one({}, {"$unset": {missing: ""}})

    assert ask(world).status_code in (429, 500)
    with world.app.app_context():
        with pytest.raises(OtpAuthError):
            world.otp.initiate(NUMBER, "sms")
        assert world.otp.unlock(NUMBER, "sms") is True
    assert ask(world).status_code == 200


@pytest.mark.parametrize("damage", [{"failures": "6"}, {"failures": None}, {"failures": []}])
def test_a_damaged_count_gives_no_free_tries(damage: dict[str, Any], world: World) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.wrong_code)
    world.mongo.db[COUNTS].update_one({}, {"$set": damage})

    for _ in range(5):
        world.verify(session_id, world.wrong_code)

    stored = world.sessions.find_one({"_id": session_id})
    assert stored is not None
    assert (stored["attempts"], stored["status"]) == (3, "locked")


def test_a_wrong_code_that_cannot_be_counted_gets_no_verdict_and_costs_its_try(
    world: World,
) -> None:
    session_id, code = world.initiate(), world.code
    world.mongo.db.create_collection(COUNTS, viewOn="nothing", pipeline=[])

    for attempts in (1, 2):
        answer = world.verify(session_id, world.wrong_code)
        assert answer.status_code == 500
        assert "remainingAttempts" not in answer.text
        stored = world.sessions.find_one({"_id": session_id})
        assert stored is not None
        assert stored["attempts"] == attempts

    assert world.verify(session_id, code).status_code == 200


def test_an_owner_signs_in_though_the_failures_cannot_be_cleared(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    session_id, code = world.initiate(), world.code
    assert world.verify(session_id, world.wrong_code).status_code == 401
    world.mongo.db[COUNTS].drop()
    world.mongo.db.create_collection(COUNTS, viewOn="nothing", pipeline=[])

    assert world.verify(session_id, code).status_code == 200
    assert "not cleared" in caplog.text


def test_a_locked_owner_is_told_so_and_when_to_come_back(
    world: World, clock: time_machine.Traveller
) -> None:
    wrong(world, 6)
    clock.shift(11.5)

    refused = ask(world)

    error = refused.json["error"]
    assert refused.status_code == 429
    assert refused.json == {
        "status": 429,
        "error": {
            "id": error["id"],
            "title": "Too Many Requests",
            "detail": "Too many failed attempts",
            "code": "identifierLocked",
        },
    }
    assert refused.headers["Retry-After"] == "19"
    with world.app.app_context(), pytest.raises(IdentifierLocked) as locked:
        world.otp.initiate(NUMBER, "sms")
    assert locked.value.retry_after == 19


def test_a_right_code_clears_the_failures_of_the_same_session(world: World) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.wrong_code)

    assert world.verify(session_id, world.code).status_code == 200
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0


def test_a_right_code_clears_failures_of_other_sessions_before_and_after_it_was_opened(
    world: World,
) -> None:
    wrong(world, 1)
    opened_after, code_after = world.initiate(), world.code
    assert world.verify(opened_after, code_after).status_code == 200
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0

    opened_before, code_before = world.initiate(), world.code
    wrong(world, 2)
    assert world.verify(opened_before, code_before).status_code == 200
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0


def test_a_right_code_clears_failures_of_a_run_that_began_after_an_earlier_clearing(
    world: World,
) -> None:
    kept, code = world.initiate(), world.code
    wrong(world, 1)
    session_id = world.initiate()
    assert world.verify(session_id, world.code).status_code == 200
    wrong(world, 1)

    assert world.verify(kept, code).status_code == 200
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0


def test_a_right_code_without_a_user_clears_the_failures_too(
    world: World, clock: time_machine.Traveller
) -> None:
    @world.otp.get_user_handler
    def nobody(identifier: str, method: str, payload: Any) -> Any:
        return None

    wrong(world, 2)
    session_id = world.initiate()

    assert world.verify(session_id, world.code).status_code == 404
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0


def test_a_failure_that_came_while_a_session_was_being_stored_is_cleared_by_the_next_right_code(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    meanwhile = Meanwhile()
    options = {"guarded": True, "CLIENT_LIMITS": None, "IDENTIFIER_LIMITS": None}
    world = make_world(**options, listeners=[meanwhile])
    attacker = make_world(**options)
    others = attacker.initiate()
    wrong_code = attacker.wrong_code
    meanwhile.before("insert", lambda: attacker.verify(others, wrong_code))

    session_id = world.initiate()
    assert meanwhile.command is None
    assert attacker.mongo.db[COUNTS].count_documents(LOCKOUTS) == 1
    assert world.verify(session_id, world.code).status_code == 200
    # Looking and storing are two operations; what comes between them stays counted for now.
    assert attacker.mongo.db[COUNTS].count_documents(LOCKOUTS) == 1

    assert world.verify(world.initiate(), world.code).status_code == 200
    assert attacker.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0


def test_unlock_tells_whether_there_was_anything_to_forget(world: World) -> None:
    with world.app.app_context():
        assert world.otp.unlock(NUMBER, "sms") is False
        wrong(world, 1)
        assert world.otp.unlock("0046 70 123 45 67", "sms") is True
        assert world.otp.unlock(NUMBER, "sms") is False


def test_unlock_refuses_what_no_request_could_have_locked(world: World) -> None:
    with world.app.app_context():
        with pytest.raises(InvalidIdentifier):
            world.otp.unlock("nobody", "sms")
        with pytest.raises(InvalidRequest):
            world.otp.unlock(NUMBER, "fax")  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest):
            world.otp.unlock(None, "sms")  # type: ignore[arg-type]


def test_unlock_gives_no_send_back(make_world: MakeWorld, clock: time_machine.Traveller) -> None:
    world = make_world(guarded=True)
    session_id = world.initiate()
    world.verify(session_id, world.wrong_code)

    with world.app.app_context():
        assert world.otp.unlock(NUMBER, "sms") is True

    assert ask(world).json["error"]["code"] == "tooManyRequests"


def test_lockouts_that_are_off_lock_nobody(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world()
    for _ in range(40):
        world.verify(world.initiate(), world.wrong_code)

    assert ask(world).status_code == 200
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0
    with world.app.app_context():
        assert world.otp.unlock(NUMBER, "sms") is False


def test_a_sender_that_fails_counts_as_no_failure_of_the_owner(world: World) -> None:
    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        return False

    for _ in range(8):
        assert ask(world).status_code == 500
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0


def test_a_code_that_was_typed_with_a_slip_of_form_counts_as_a_failure_once(world: World) -> None:
    session_id = world.initiate()
    web = world.client
    for bad in (None, 123456, "", " ", "9" * 65):
        answer = web.post("/otp/verify", json={"sessionId": session_id, "code": bad})
        assert answer.status_code == 400
    assert world.mongo.db[COUNTS].count_documents(LOCKOUTS) == 0
    assert world.verify(session_id, "not a code").status_code == 401
    assert world.mongo.db[COUNTS].find_one()["failures"] == 1


def test_a_database_that_goes_past_a_lockout_in_silence_sends_nothing(
    make_world: MakeWorld, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(guarded=True)
    world.verify(world.initiate(), world.wrong_code)
    clock.shift(31)
    stop = LockoutStore.stop

    def passed(store: LockoutStore, identifier: str) -> UpdateOne:
        return UpdateOne(stop(store, identifier)._filter, {"$set": {"seen": True}})

    monkeypatch.setattr(LockoutStore, "stop", passed)

    assert ask(world).status_code == 500
    assert len(world.outbox) == 1
    assert world.sessions.count_documents({}) == 1
