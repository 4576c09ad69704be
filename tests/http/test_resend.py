"""Resend, to the letter of the contract: one more code for the same session, and nothing else."""

from __future__ import annotations

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


def test_the_answer_is_that_of_initiate_with_the_same_session_and_end(
    world: World, clock: time_machine.Traveller
) -> None:
    started = world.client.post(
        "/otp/initiate", json={"identifier": "+46701234567", "method": "sms"}
    )
    clock.shift(100)

    answer = resend(world, started.json["data"]["sessionId"])

    assert answer.status_code == 200
    assert answer.json == {
        "data": {
            "sessionId": started.json["data"]["sessionId"],
            "expiresAt": started.json["data"]["expiresAt"],
            "ttl": 200,
        }
    }
    assert answer.json["data"]["expiresAt"] == "2050-01-02T12:35:00.000Z"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("after", "ttl"), [(31, 269), (31.5, 268), (298.999, 1), (299.999, 0)])
def test_the_ttl_is_the_whole_seconds_left(
    after: float, ttl: int, world: World, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate()
    clock.shift(timedelta(seconds=after))

    assert resend(world, session_id).json["data"]["ttl"] == ttl


def test_it_sends_a_new_code_to_the_same_person_with_the_same_payload(
    world: World, clock: time_machine.Traveller
) -> None:
    session_id = world.initiate("user@example.com", "email", payload={"lang": "sv"})
    clock.shift(31)
    resend(world, session_id)

    first, second = world.outbox
    assert (second.identifier, second.method, second.payload) == (
        "user@example.com",
        "email",
        {"lang": "sv"},
    )
    assert len(second.code) == 6
    assert len(stored(world, session_id)["digests"]) == 2
    assert first.code not in str(stored(world, session_id))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_code_that_was_sent_is_right_until_one_is_used(which: int, unlimited: World) -> None:
    session_id = unlimited.initiate()
    for _ in range(2):
        assert resend(unlimited, session_id).status_code == 200

    assert unlimited.verify(session_id, unlimited.outbox[which].code).status_code == 200
    for sent in unlimited.outbox:
        again = unlimited.verify(session_id, sent.code)
        assert error_of(again) == (400, "alreadyVerified")


def test_it_changes_nothing_of_the_session_but_its_codes_and_their_count(
    unlimited: World, clock: time_machine.Traveller
) -> None:
    session_id = unlimited.initiate(payload={"a": 1})
    before = stored(unlimited, session_id)
    resend(unlimited, session_id)
    after = stored(unlimited, session_id)

    assert {key for key in after if after[key] != before.get(key)} == {"digests", "resends"}
    assert after["digests"][0] == before["digests"][0]
    clock.shift(300)
    assert unlimited.verify(session_id, unlimited.code).json == EXPIRED


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
    cooldown = world.client.post(
        "/otp/initiate", json={"identifier": "0046 70 123 45 67", "method": "sms"}
    )
    assert error_of(cooldown) == (429, "tooManyRequests")
    for _ in range(2):
        clock.shift(31)
        world.initiate()
    clock.shift(31)
    quarter = world.client.post(
        "/otp/initiate", json={"identifier": "+46701234567", "method": "sms"}
    )
    assert error_of(quarter) == (429, "tooManyRequests")
    assert len(world.outbox) == 5


def test_it_is_refused_while_the_identifier_is_locked(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(LOCKOUT_THRESHOLD=3, DISABLE_AFTER=6)
    session_id = world.initiate()
    other, wrong_code = world.initiate(), world.wrong_code
    for _ in range(3):
        world.verify(other, wrong_code)
    clock.shift(10)
    locked = resend(world, session_id)
    world.accounts.update_one({}, {"$set": {"failures": 6}})
    disabled = resend(world, session_id)

    assert error_of(locked) == error_of(disabled) == (429, "identifierLocked")
    assert locked.headers["Retry-After"] == "20"
    assert "Retry-After" not in disabled.headers
    assert len(world.outbox) == 2


@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_more_than_the_allowed_number_is_refused_without_a_time(
    allowed: int, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(MAX_RESENDS=allowed)
    session_id = world.initiate()
    for _ in range(allowed):
        assert resend(world, session_id).status_code == 200

    for _ in range(2):
        refused = resend(world, session_id)
        assert error_of(refused) == (429, "tooManyResends")
        assert refused.json["error"]["title"] == "Too Many Requests"
        assert "Retry-After" not in refused.headers
    assert len(world.outbox) == 1 + allowed
    assert world.verify(session_id, world.code).status_code == 200


def test_too_many_resends_use_up_no_send(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(
        guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS="3 per hour", MAX_RESENDS=0
    )
    session_id = world.initiate()
    for _ in range(5):
        assert error_of(resend(world, session_id)) == (429, "tooManyResends")

    world.initiate()
    world.initiate()


@pytest.mark.parametrize("session_id", [UNKNOWN, UNKNOWN.upper(), "no session", " " + UNKNOWN])
def test_a_session_that_never_was_is_not_found(session_id: str, world: World) -> None:
    answer = resend(world, session_id)

    assert answer.status_code == 404
    assert answer.json == NO_SESSION


@pytest.mark.parametrize("end", ["used", "locked"])
def test_a_session_that_is_over_is_not_found(end: str, unlimited: World) -> None:
    session_id = unlimited.initiate()
    for code in [unlimited.code] if end == "used" else ["0000"] * 3:
        unlimited.verify(session_id, code)
    answer = resend(unlimited, session_id)

    assert (answer.status_code, answer.json) == (404, NO_SESSION)
    assert len(unlimited.outbox) == 1


@pytest.mark.parametrize("judged", [False, True], ids=["not judged since", "judged"])
def test_an_expired_session_is_expired_whether_judged_or_not(
    judged: bool, unlimited: World, clock: time_machine.Traveller
) -> None:
    session_id = unlimited.initiate()
    clock.shift(300)
    if judged:
        unlimited.verify(session_id, unlimited.code)
    answer = resend(unlimited, session_id)

    assert (answer.status_code, answer.json) == (403, EXPIRED)
    assert len(unlimited.outbox) == 1
    assert stored(unlimited, session_id)["status"] == "expired"
    assert "digests" not in stored(unlimited, session_id)


@pytest.mark.parametrize("how", ["raises", "returns False"])
def test_a_code_that_did_not_go_out_is_taken_back_and_the_session_goes_on(
    how: str, unlimited: World
) -> None:
    session_id = unlimited.initiate()
    unsent: list[str] = []

    @unlimited.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        unsent.append(code)
        if how == "raises":
            raise OSError("away")
        return False

    answer = resend(unlimited, session_id)

    assert error_of(answer) == (500, "internalServerError")
    assert answer.json["error"]["detail"] == "Failed to send verification code"
    with unlimited.app.app_context(), pytest.raises(SendFailed):
        unlimited.otp.resend(session_id)
    found = stored(unlimited, session_id)
    assert (found["status"], found["attempts"], len(found["digests"])) == ("pending", 0, 1)
    assert unlimited.verify(session_id, unsent[0]).status_code == 401
    assert unlimited.verify(session_id, unlimited.code).status_code == 200


def test_a_resend_that_was_not_sent_is_given_back(unlimited: World) -> None:
    session_id = unlimited.initiate()
    works = [False, False, False, True, True, True]

    @unlimited.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        return works.pop(0)

    statuses = [resend(unlimited, session_id).status_code for _ in range(6)]

    assert statuses == [500, 500, 500, 200, 200, 429]
    found = stored(unlimited, session_id)
    assert (found["resends"], len(found["digests"]), works) == (2, 3, [True])


@pytest.fixture
def meanwhile() -> Meanwhile:
    return Meanwhile()


@pytest.fixture
def racing(
    make_world: MakeWorld, clock: time_machine.Traveller, meanwhile: Meanwhile
) -> tuple[World, World]:
    """Two processes, of which the first is overtaken by what the test lets the second do."""
    return make_world(listeners=[meanwhile]), make_world()


@pytest.mark.parametrize(
    ("later", "expected"),
    [(0, (404, NO_SESSION)), (300, (403, EXPIRED))],
    ids=["used", "expired"],
)
def test_a_session_that_ends_while_a_resend_is_on_its_way_gets_no_code_more(
    racing: tuple[World, World],
    meanwhile: Meanwhile,
    clock: time_machine.Traveller,
    later: int,
    expected: tuple[int, Any],
) -> None:
    slow, other = racing
    session_id = slow.initiate()

    def end() -> None:
        clock.shift(later)
        other.verify(session_id, slow.code)

    meanwhile.before("findAndModify", end)

    answer = resend(slow, session_id)

    assert (answer.status_code, answer.json) == expected
    assert len(slow.outbox) == 1
    assert "digests" not in stored(slow, session_id)


def test_a_resend_that_comes_too_late_costs_the_owner_no_send(
    make_world: MakeWorld, meanwhile: Meanwhile, clock: time_machine.Traveller
) -> None:
    options = {"guarded": True, "IDENTIFIER_LIMITS": "1 per 30 seconds"}
    slow, other = make_world(listeners=[meanwhile], **options), make_world(**options)
    session_id = slow.initiate()
    clock.shift(30)
    meanwhile.before("findAndModify", lambda: other.verify(session_id, slow.code))

    assert resend(slow, session_id).status_code == 404
    assert error_of(resend(slow, slow.initiate())) == (429, "tooManyRequests")


def test_the_last_resend_goes_to_one_of_two_and_the_other_is_told_why(
    racing: tuple[World, World], meanwhile: Meanwhile
) -> None:
    slow, other = racing
    session_id = slow.initiate()
    assert resend(slow, session_id).status_code == 200
    meanwhile.before("findAndModify", lambda: resend(other, session_id))

    answer = resend(slow, session_id)

    assert len(other.outbox) == 1
    assert len(slow.outbox) == 2
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
