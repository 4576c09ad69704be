"""Resend, to the letter of the contract: one more code for the same session, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from support.listeners import Meanwhile
from support.world import NOW, MakeWorld, World

from flask_otp_auth.exceptions import (
    InvalidRequest,
    SendFailed,
    SessionExpired,
    SessionNotFound,
    TooManyRequests,
    TooManyResends,
)

NO_SESSION = {"data": {"status": "not_found", "message": "Session not found or expired"}}
EXPIRED = {"data": {"status": "expired", "message": "Verification code has expired"}}
ASK = {"identifier": "+46701234567", "method": "sms"}
UNKNOWN = "0123456789abcdef" * 2


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None)


@pytest.fixture
def unlimited(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world()


def resend(world: World, session_id: Any) -> Any:
    return world.client.post("/otp/resend", json={"sessionId": session_id})


def stored(world: World, session_id: str) -> dict[str, Any]:
    found = world.sessions.find_one({"_id": session_id})
    assert found is not None
    return found


def error_of(answer: Any) -> tuple[int, str]:
    assert answer.json["status"] == answer.status_code
    return answer.status_code, answer.json["error"]["code"]


@pytest.mark.parametrize(("after", "ttl"), [(31, 269), (31.5, 268), (298.999, 1), (299.999, 0)])
def test_the_answer_is_that_of_initiate_with_the_same_session_and_end(
    after: float, ttl: int, world: World, clock: time_machine.Traveller
) -> None:
    started = world.client.post("/otp/initiate", json=ASK).json["data"]
    clock.shift(timedelta(seconds=after))

    answer = resend(world, started["sessionId"])

    assert answer.json == {"data": {**started, "ttl": ttl}}


def test_it_sends_a_new_code_to_the_same_person_and_changes_nothing_else_of_the_session(
    world: World, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate("user@example.com", "email", payload={"lang": "sv"})
    before = stored(world, session_id)
    clock.shift(31)
    resend(world, session_id)
    after = stored(world, session_id)

    first, second = world.outbox
    assert replace(second, code=first.code) == first
    assert len(second.code) == 6
    assert {key for key in after if after[key] != before.get(key)} == {"digests", "resends"}
    assert (after["digests"][0], len(after["digests"])) == (before["digests"][0], 2)
    clock.shift(269)
    assert world.verify(session_id, second.code).json == EXPIRED


def test_it_waits_for_the_cooldown_of_the_first_message(
    world: World, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    clock.shift(12)
    refused = resend(world, session_id)

    assert error_of(refused) == (429, "tooManyRequests")
    assert refused.headers["Retry-After"] == "18"
    assert len(world.outbox) == 1
    clock.shift(17.999)
    for _ in range(10):  # which are not counted as resends
        assert resend(world, session_id).status_code == 429
    clock.shift(0.001)
    assert resend(world, session_id).status_code == 200
    clock.shift(30)
    assert resend(world, session_id).status_code == 200


def test_it_counts_as_a_send_to_the_identifier(world: World, clock: time_machine.Traveller) -> None:
    session_id = world.initiate()
    for _ in range(2):
        clock.shift(31)
        assert resend(world, session_id).status_code == 200
    clock.shift(5)
    spelled = {"identifier": "0046 70 123 45 67", "method": "sms"}
    cooldown = world.client.post("/otp/initiate", json=spelled)
    assert error_of(cooldown) == (429, "tooManyRequests")
    for _ in range(2):
        clock.shift(31)
        world.initiate()
    clock.shift(31)
    quarter = world.client.post("/otp/initiate", json=ASK)
    assert error_of(quarter) == (429, "tooManyRequests")
    assert len(world.outbox) == 5


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_more_than_the_allowed_number_is_refused_without_a_time_and_uses_up_no_send(
    allowed: int, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(MAX_RESENDS=allowed, IDENTIFIER_LIMITS=f"{allowed + 2} per hour")
    session_id = world.initiate()
    for _ in range(allowed):
        assert resend(world, session_id).status_code == 200

    for _ in range(5):
        refused = resend(world, session_id)
        assert error_of(refused) == (429, "tooManyResends")
        assert "Retry-After" not in refused.headers
    assert len(world.outbox) == 1 + allowed
    assert world.verify(session_id, world.code).status_code == 200
    world.initiate()


@pytest.mark.parametrize("session_id", [UNKNOWN, UNKNOWN.upper(), "no session", " " + UNKNOWN])
def test_a_session_that_never_was_is_not_found(session_id: str, world: World) -> None:
    assert resend(world, session_id).json == NO_SESSION


def test_a_code_that_did_not_go_out_is_taken_back_and_the_session_goes_on(unlimited: World) -> None:
    session_id = unlimited.initiate()
    unsent: list[str] = []
    unlimited.otp.send_code_handler(
        lambda code, identifier, method, payload: unsent.append(code)  # which is None
    )

    assert error_of(resend(unlimited, session_id)) == (500, "internalServerError")
    with unlimited.app.app_context(), pytest.raises(SendFailed):
        unlimited.otp.resend(session_id)
    found = stored(unlimited, session_id)
    assert (found["status"], found["attempts"], len(found["digests"])) == ("pending", 0, 1)
    assert unlimited.verify(session_id, unsent[0]).status_code == 401
    assert unlimited.verify(session_id, unlimited.code).status_code == 200


Racing = Callable[..., tuple[World, World, Meanwhile]]


@pytest.fixture
def racing(make_world: MakeWorld, clock: time_machine.Traveller) -> Racing:
    """Two processes, of which the first is overtaken by what the test lets the second do."""

    def make(**options: Any) -> tuple[World, World, Meanwhile]:
        meanwhile = Meanwhile()
        return make_world(listeners=[meanwhile], **options), make_world(**options), meanwhile

    return make


@pytest.mark.parametrize(
    ("later", "expected"), [(0, NO_SESSION), (300, EXPIRED)], ids=["used", "expired"]
)
def test_a_session_that_ends_while_a_resend_is_on_its_way_gets_no_code_and_costs_no_send(
    racing: Racing, clock: time_machine.Traveller, later: int, expected: Any
) -> None:
    slow, other, meanwhile = racing(IDENTIFIER_LIMITS="1 per 30 seconds")
    session_id = slow.initiate()
    clock.shift(30)

    def end() -> None:
        clock.shift(later)
        other.verify(session_id, slow.code)

    meanwhile.before("findAndModify", end)

    assert resend(slow, session_id).json == expected
    assert len(slow.outbox) == 1
    assert "digests" not in stored(slow, session_id)
    slow.initiate()


def test_the_last_resend_goes_to_one_of_two_and_the_other_is_told_why(racing: Racing) -> None:
    slow, other, meanwhile = racing()
    session_id = slow.initiate()
    assert resend(slow, session_id).status_code == 200
    meanwhile.before("findAndModify", lambda: resend(other, session_id))

    answer = resend(slow, session_id)

    assert (len(other.outbox), len(slow.outbox)) == (1, 2)
    assert error_of(answer) == (429, "tooManyResends")


def test_from_python_the_outcomes_are_typed_results_and_errors(
    world: World, clock: time_machine.Traveller
) -> None:
    otp = world.otp
    with world.app.app_context():
        started = otp.initiate("+46701234567", "sms")
        with pytest.raises(TooManyRequests) as cooldown:
            otp.resend(started.session_id)
        assert cooldown.value.retry_after == 30
        clock.shift(30)

        result = otp.resend(started.session_id)

        assert result.session_id == started.session_id
        assert result.expires_at == started.expires_at == NOW + timedelta(seconds=300)
        assert result.ttl == 270
        session = otp.get_session(started.session_id)
        assert session is not None
        assert session.resends == 1
        clock.shift(31)
        otp.resend(started.session_id)
        with pytest.raises(TooManyResends) as too_many:
            otp.resend(started.session_id)
        assert too_many.value.retry_after is None
        with pytest.raises(SessionNotFound):
            otp.resend(UNKNOWN)
        with pytest.raises(InvalidRequest):
            otp.resend(None)  # type: ignore[arg-type]
        clock.shift(300)
        with pytest.raises(SessionExpired):
            otp.resend(started.session_id)
