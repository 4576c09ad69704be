"""A database that the version before has written to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from support.world import NOW, MakeWorld, World

NUMBER = "+46701234567"
OPEN, HALF_USED, USED = ("a" * 32, "b" * 32, "c" * 32)
CODE = "123456"


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    world = make_world(guarded=True, CLIENT_LIMITS=None)
    digester = world.app.extensions["otp_auth"].digester
    for session_id, changes in (
        (OPEN, {}),
        (HALF_USED, {"attempts": 2, "contested": True}),
        (USED, {"status": "verified", "verifiedAt": NOW, "verdict": "accepted"}),
    ):
        session = {
            "_id": session_id,
            "identifier": NUMBER,
            "method": "sms",
            "payload": None,
            "status": "pending",
            "attempts": 0,
            "maxAttempts": 3,
            "createdAt": NOW,
            "expiresAt": NOW + timedelta(seconds=300),
            "verifiedAt": None,
            "digests": [digester.digest(session_id, CODE)],
            "resends": 0,
            "contested": False,
            **changes,
        }
        if session["status"] != "pending":
            del session["digests"]
        world.sessions.insert_one(session)
    world.sessions.create_index("createdAt", expireAfterSeconds=86400)
    limits = world.sessions.database["otp_sessions.limits"]
    limits.insert_many(
        [
            {"_id": f"lockout:{'a' * 64}", "failures": 4, "disabled": False, "at": NOW},
            {"_id": f"identifier:{'b' * 64}", "sent": [NOW], "expireAt": NOW + timedelta(days=1)},
            {"_id": f"client:{'c' * 64}", "sent": [NOW], "expireAt": NOW + timedelta(days=1)},
        ]
    )
    limits.create_index("expireAt", expireAfterSeconds=0)
    return world


def failures(world: World) -> int:
    return sum(account.get("failures", 0) for account in world.accounts.find())


def test_who_has_a_code_of_before_signs_in_with_it(world: World) -> None:
    assert world.verify(OPEN, CODE).status_code == 200
    assert world.verify(OPEN, CODE).json["error"]["code"] == "alreadyVerified"
    assert world.verify(USED, CODE).json["error"]["code"] == "alreadyVerified"


def test_the_tries_of_a_session_of_before_go_on_where_they_were(world: World) -> None:
    assert world.verify(HALF_USED, "no code").status_code == 403
    assert world.verify(HALF_USED, CODE).status_code == 403
    assert failures(world) == 1

    assert world.verify(OPEN, CODE).status_code == 200
    assert failures(world) == 0  # as a right code does


def test_a_session_of_before_is_sent_another_code(
    world: World, clock: time_machine.Traveller
) -> None:
    answer = world.client.post("/otp/resend", json={"sessionId": OPEN})
    assert answer.status_code == 200
    assert answer.json["data"]["ttl"] == 300
    again = world.client.post("/otp/resend", json={"sessionId": OPEN})
    assert again.headers["Retry-After"] == "30"

    [stored] = world.sessions.find({"_id": OPEN})
    assert (stored["status"], len(stored["digests"])) == ("pending", 2)
    assert world.verify(OPEN, world.code).status_code == 200


def test_the_code_of_before_still_signs_in_after_another_was_sent(world: World) -> None:
    assert world.client.post("/otp/resend", json={"sessionId": OPEN}).status_code == 200

    assert world.verify(OPEN, CODE).status_code == 200


def test_the_start_is_clean_and_what_lay_there_is_left_to_lapse(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.verify(world.initiate(), world.code).status_code == 200

    limits = world.sessions.database["otp_sessions.limits"]
    assert limits.count_documents({}) == 3
    assert "expireAt_1" in limits.index_information()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_session_of_before_can_be_looked_at(world: World) -> None:
    with world.app.app_context():
        session: Any = world.otp.get_session(HALF_USED)

    assert (session.attempts, session.max_attempts, session.resends) == (2, 3, 0)
    assert session.created_at == datetime(2050, 1, 2, 12, 30, tzinfo=UTC)
