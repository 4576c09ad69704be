"""Codes for something else than a login: where they are worth something, and where they are not."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import time_machine
from bson import ObjectId
from support.listeners import Heard
from support.world import MakeWorld, World

from flask_otp_auth import ConfirmResult, signals
from flask_otp_auth.exceptions import InvalidRequest, SessionAlreadyVerified

EMAIL = "new@example.com"
CHANGE: dict[str, Any] = {"purpose": "change-email", "subject": "7"}
NOT_FOUND = ConfirmResult("not_found", "Session not found or expired")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(guarded=True, IDENTIFIER_LIMITS=None, REFRESH_TOKEN=True)


def start(world: World, **bound: Any) -> str:
    with world.app.app_context():
        payload = {"list": [1]}
        return world.otp.initiate(EMAIL, "email", payload, **(bound or CHANGE)).session_id


def confirm(world: World, session_id: str, code: str, **bound: Any) -> ConfirmResult:
    with world.app.app_context():
        return world.otp.confirm(session_id, code, **(bound or CHANGE))


def test_right_code_confirms_once_and_signs_nobody_in(world: World) -> None:
    heard: list[dict[str, Any]] = []

    def receive(sender: Any, **carried: Any) -> None:
        heard.append(carried)

    with signals.code_verified.connected_to(receive, world.app):
        session_id = start(world)
        result = confirm(world, session_id, f" {world.code[:3]}\u00a0{world.code[3:]}")

    assert result == ConfirmResult(
        "success", identifier=EMAIL, method="email", payload={"list": [1]}
    )
    assert heard[0]["purpose"] == "change-email"
    with pytest.raises(SessionAlreadyVerified):
        confirm(world, session_id, world.code)
    assert world.lookups == []
    assert world.sessions.database["otp_sessions.logins"].count_documents({}) == 0


@pytest.mark.parametrize(
    "bound",
    [
        {"purpose": "change-phone", "subject": "7"},
        {"purpose": "change-email", "subject": "8"},
        {"purpose": "change-email", "subject": "77"},
        {"purpose": "change-email", "subject": " 7"},
        {"purpose": "change-email", "subject": "None"},
        {"purpose": "change-email"},
        {"purpose": "change-email7"},
        {"purpose": "change-emai", "subject": "l7"},
    ],
)
def test_code_for_anything_else_is_not_found_and_costs_no_try(
    world: World, bound: dict[str, Any]
) -> None:
    session_id = start(world)
    before = world.sessions.find_one()
    for code in (world.wrong_code, world.code, "no code"):
        assert confirm(world, session_id, code, **bound) == NOT_FOUND
    assert world.sessions.find_one() == before
    assert confirm(world, session_id, world.code).status == "success"


def test_code_of_a_purpose_is_no_login_and_that_of_a_login_confirms_nothing(world: World) -> None:
    session_id = start(world)
    before = world.sessions.find_one()
    for code in (world.wrong_code, world.code):
        answer = world.verify(session_id, code)
        assert (answer.status_code, answer.json["data"]["status"]) == (404, "not_found")
        assert answer.json["data"]["message"] == "Session not found or expired"
        with world.app.app_context():
            assert world.otp.verify(session_id, code).status == "not_found"
    assert world.sessions.find_one() == before

    login = world.initiate(EMAIL, "email")
    before = world.sessions.find_one({"_id": login})
    assert confirm(world, login, world.code) == NOT_FOUND
    assert world.sessions.find_one({"_id": login}) == before
    assert world.verify(login, world.code).status_code == 200


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (7, "7"),
        (None, None),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))),
        (ObjectId("0" * 24), "0" * 24),
        ("x" * 128, "x" * 128),
    ],
)
def test_subject_is_the_id_of_a_user_in_any_of_its_types(
    world: World, given: Any, same: str | None
) -> None:
    session_id = start(world, purpose="x", subject=given)
    assert confirm(world, session_id, world.code, purpose="x", subject=same).status == "success"


@pytest.mark.parametrize(
    "bound",
    [
        {"purpose": ""},
        {"purpose": "login"},
        {"purpose": "Change"},
        {"purpose": "1st"},
        {"purpose": "a_b"},
        {"purpose": "a" * 33},
        {"purpose": "a\n"},
        {"purpose": 7},
        {"subject": "7"},
        {"purpose": "x", "subject": ""},
        {"purpose": "x", "subject": True},
        {"purpose": "x", "subject": 1.0},
        {"purpose": "x", "subject": b"7"},
        {"purpose": "x", "subject": "y" * 129},
        {"purpose": "x", "subject": "\ud800"},
    ],
)
def test_argument_of_another_form_is_an_error_and_no_hole(
    world: World, bound: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        start(world, **bound)
    with pytest.raises(InvalidRequest):
        confirm(world, "0" * 32, "123456", **{"purpose": None, **bound})
    assert world.outbox == []


def test_forgotten_purpose_is_an_error(world: World) -> None:
    session_id = start(world)
    with world.app.app_context(), pytest.raises(TypeError):
        world.otp.confirm(session_id, world.code)  # type: ignore[call-arg]


@pytest.mark.parametrize("member", ["purpose", "subject"])
def test_only_python_sets_a_purpose(world: World, member: str) -> None:
    ask = {"identifier": EMAIL, "method": "email", member: "x"}
    for path, body in (
        ("initiate", ask),
        ("verify", {"sessionId": "0" * 32, "code": "123456", member: "x"}),
        ("resend", {"sessionId": "0" * 32, member: "x"}),
    ):
        answer = world.client.post(f"/otp/{path}", json=body)
        assert (answer.status_code, [*answer.json["error"]["fields"]]) == (400, [member])


def test_session_of_a_purpose_can_be_resent_and_looked_at(world: World) -> None:
    session_id = start(world)
    first = world.code
    assert world.client.post("/otp/resend", json={"sessionId": session_id}).status_code == 200
    with world.app.app_context():
        session = world.otp.get_session(session_id)
        assert session is not None
        assert (session.purpose, session.resends) == ("change-email", 1)
        login = world.otp.get_session(world.initiate("other@example.com", "email"))
        assert login is not None
        assert login.purpose is None
    assert confirm(world, session_id, first).status == "success"


def test_wrong_codes_are_counted_and_locked_as_for_a_login(
    world: World, clock: time_machine.Traveller
) -> None:
    session_id = start(world)
    results = [confirm(world, session_id, world.wrong_code) for _ in range(4)]
    assert [(r.status, r.remaining_attempts) for r in results] == [
        ("invalid_code", 2),
        ("invalid_code", 1),
        ("locked", 0),
        ("locked", 0),
    ]
    account = world.accounts.find_one()
    assert account is not None
    assert account["failures"] == 3
    session_id = start(world)
    clock.shift(300)
    assert confirm(world, session_id, world.code).status == "expired"


def test_code_of_a_purpose_goes_to_addresses_that_nobody_has_yet(make_world: MakeWorld) -> None:
    world = make_world(SEND_TO_UNKNOWN=False)
    world.users[EMAIL] = None
    session_id = start(world)
    assert confirm(world, session_id, world.code).status == "success"
    assert world.lookups == []


def test_code_is_confirmed_while_a_new_key_is_introduced(make_world: MakeWorld) -> None:
    keys = ["k" * 32, "n" * 32]
    before = make_world(SECRET_KEY=keys[0])
    after = make_world(SECRET_KEY=[keys[1], keys[0]])
    for resends in (False, True):
        session_id = start(before)
        code = before.code
        if resends:
            assert after.client.post("/otp/resend", json={"sessionId": session_id}).status_code
            code = after.code
        assert confirm(after, session_id, code).status == "success"


def test_confirmation_is_one_operation_and_stores_no_user(make_world: MakeWorld) -> None:
    heard = Heard()
    world = make_world(listeners=[heard])
    session_id = start(world, purpose="x", subject="user of whom nobody may read")
    heard.take()
    assert confirm(
        world, session_id, world.code, purpose="x", subject="user of whom nobody may read"
    )
    assert heard.names == ["findAndModify"]
    assert "nobody may read" not in str(list(world.sessions.find()))
