"""The audit trail keeps every event, tells nobody's code or address, and never stops a login."""

from __future__ import annotations

from typing import Any

import pytest
from blinker import NamedSignal
from pymongo.collection import Collection
from support.world import MakeWorld, World

from audit import EVENTS, add_audit
from flask_otp_auth import signals


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    world = make_world(guarded=True, IDENTIFIER_LIMITS=None, CLIENT_LIMITS="4 per hour")
    add_audit(world.app, world.mongo)
    return world


def trail(world: World) -> Collection[dict[str, Any]]:
    assert world.mongo.db is not None
    return world.mongo.db["otp_audit"]


def test_no_event_is_left_out() -> None:
    assert set(EVENTS) == {
        name for name, value in vars(signals).items() if isinstance(value, NamedSignal)
    }


def test_a_login_is_told_step_by_step(world: World) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.wrong_code)
    world.verify(session_id, world.code)

    kept = list(trail(world).find().sort("_id", 1))

    assert [(event["event"], event["reason"]) for event in kept] == [
        ("session_initiated", None),
        ("code_sent", None),
        ("code_rejected", "rejected"),
        ("code_verified", None),
    ]
    for event in kept:
        assert event["session"] == session_id[:8]
        assert event["identifier"] == "+467*****67"
        assert event["method"] == "sms"
        assert event["address"] == "127.0.0.1"
        assert event["at"] is not None


def test_locks_unlocks_and_refusals_are_kept(world: World) -> None:
    for _ in range(2):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    with world.app.app_context():
        world.otp.unlock("+46701234567", "sms")
    world.otp.send_code_handler(lambda code, identifier, method, payload: False)
    for _ in range(3):
        world.client.post("/otp/initiate", json={"identifier": "+46701234567", "method": "sms"})

    assert set(trail(world).distinct("event")) == set(EVENTS) - {
        "code_verified",
        "sign_in_failed",
        "trusted_device_used",
    }
    unlocked = trail(world).find_one({"event": "identifier_unlocked"})
    assert unlocked is not None
    assert unlocked["address"] is None


def test_a_handler_that_fails_is_kept_without_its_words(world: World) -> None:
    def explode(code: str, identifier: str, method: str, payload: Any) -> bool:
        raise ConnectionError(f"{code} for {identifier}")

    world.otp.send_code_handler(explode)
    world.client.post("/otp/initiate", json={"identifier": "+46701234567", "method": "sms"})

    kept = trail(world).find_one({"event": "send_failed"})
    assert kept is not None
    assert (kept["reason"], kept["error"]) == ("raised", "ConnectionError")
    assert "1234567" not in repr(kept)


def test_nothing_that_signs_in_is_in_the_trail(world: World) -> None:
    session_id = world.initiate()
    world.verify(session_id, world.code)

    text = repr(list(trail(world).find({}, {"_id": False, "at": False})))
    assert world.code not in text
    assert session_id not in text
    assert "1234567" not in text


def test_a_trail_that_cannot_be_written_stops_no_login(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    database = trail(world).database
    database.create_collection("otp_audit", validator={"never": {"$exists": True}})

    session_id = world.initiate()

    assert world.verify(session_id, world.code).status_code == 200
    assert "a receiver of code_verified failed" in caplog.text


def test_old_events_are_deleted(world: World) -> None:
    run = world.app.test_cli_runner().invoke(args=["create-audit-indexes"])

    assert run.exit_code == 0, run.output
    indexes = trail(world).index_information().values()
    assert 90 * 24 * 3600 in [index.get("expireAfterSeconds") for index in indexes]
