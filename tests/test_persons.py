"""Logins and persons: listing and ending logins, exporting and erasing what is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask_jwt_extended import create_access_token, decode_token
from support.listeners import Heard
from support.world import NOW, MakeWorld, World

from flask_otp_auth import Login
from flask_otp_auth.exceptions import InvalidIdentifier, InvalidRequest

NUMBER = "+46701234567"
USER = f"user of {NUMBER}"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(REFRESH_TOKEN=True)


def sign_in(world: World, number: str = NUMBER) -> dict[str, Any]:
    data = world.verify(world.initiate(number), world.code).json["data"]
    with world.app.app_context():
        return dict(decode_token(data["token"]))


def test_logins_of_a_user_say_when_they_began_and_when_they_end(
    world: World, clock: time_machine.Traveller
) -> None:
    old = sign_in(world)
    clock.shift(timedelta(seconds=60))
    new = sign_in(world)
    sign_in(world, "+46707654321")
    with world.app.app_context():
        later = NOW + timedelta(seconds=60)
        assert world.otp.logins(USER) == [
            Login(new["otp_login"], "sms", later, later, later + timedelta(days=14)),
            Login(old["otp_login"], "sms", NOW, NOW, NOW + timedelta(days=14)),
        ]
    stored = str(list(world.sessions.database["otp_sessions.logins"].find()))
    assert USER not in stored
    assert NUMBER not in stored


def test_one_login_goes_on_when_the_others_end(world: World) -> None:
    kept, *others = [sign_in(world) for _ in range(3)]
    stranger = sign_in(world, "+46707654321")
    with world.app.app_context():
        assert world.otp.end_logins(USER, keep=kept) == 2
        assert [login.id for login in world.otp.logins(USER)] == [kept["otp_login"]]
        refused = [world.otp.is_logged_out(claims) for claims in (kept, *others, stranger)]
        assert refused == [False, True, True, False]
        # A token of somebody else keeps nothing.
        assert world.otp.end_logins(USER, keep=stranger) == 1
        assert world.otp.is_logged_out(kept)
        assert not world.otp.is_logged_out(stranger)


def test_tokens_without_a_login_end_too_and_one_of_them_can_go_on(make_world: MakeWorld) -> None:
    world = make_world()
    kept, other = sign_in(world), sign_in(world)
    with world.app.app_context():
        of_host = decode_token(create_access_token(USER))
        assert world.otp.end_logins(USER, keep=kept) == 0
        refused = [world.otp.is_logged_out(claims) for claims in (kept, other, of_host)]
        assert refused == [False, True, True]
        # What was refused once does not come back.
        world.otp.end_logins(USER, keep=other)
        assert world.otp.is_logged_out(other)
        assert world.otp.is_logged_out(kept)
    assert not_refused(world, sign_in(world))


def test_a_token_of_the_very_millisecond_in_which_all_logins_end_is_refused(world: World) -> None:
    claims = sign_in(world)
    logins = world.sessions.database["otp_sessions.logins"]
    with world.app.app_context():
        for by, is_refused in ((0, True), (-1, False)):
            ended = datetime.fromtimestamp(0, UTC) + timedelta(
                milliseconds=claims["otp_verified_at"] + by
            )
            store = world.app.extensions["otp_auth"].logins
            logins.replace_one(
                {"_id": store._user_ids(USER)[0]},
                {"endedBefore": ended, "spared": None},
                upsert=True,
            )
            assert world.otp.is_logged_out(claims) is is_refused
            logins.update_one({"_id": claims["otp_login"]}, {"$unset": {"endedAt": ""}})


def not_refused(world: World, claims: dict[str, Any]) -> bool:
    with world.app.app_context():
        return not world.otp.is_logged_out(claims)


def test_login_that_was_being_stored_while_the_others_ended_is_over_too(world: World) -> None:
    data = world.verify(world.initiate(NUMBER), world.code).json["data"]
    logins = world.sessions.database["otp_sessions.logins"]
    stored = logins.find_one_and_delete({})
    assert stored is not None
    with world.app.app_context():
        world.otp.end_logins(USER)
    logins.insert_one(stored)
    bearer = {"Authorization": f"Bearer {data['refreshToken']}"}
    answer = world.client.post("/otp/refresh", headers=bearer)
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "invalidRefreshToken")
    assert logins.find_one({"_id": stored["_id"]})["endReason"] == "all"

    logins.replace_one({"_id": stored["_id"]}, stored)  # as if nobody had refreshed it
    with world.app.app_context():
        assert world.otp.is_logged_out(decode_token(data["token"]))
        assert world.otp.logins(USER) == []


def test_protected_request_is_one_query_however_often_logins_were_ended(
    make_world: MakeWorld,
) -> None:
    heard = Heard()
    world = make_world(REFRESH_TOKEN=True, listeners=[heard])
    with world.app.app_context():
        world.otp.end_logins(USER)
    claims = sign_in(world)
    heard.take()
    assert not_refused(world, claims)
    assert heard.names == ["find"]


@pytest.mark.parametrize("user_id", ["", True, None, 1.5, b"7", "x" * 129])
def test_what_is_no_id_of_a_user_is_an_error(world: World, user_id: Any) -> None:
    with world.app.app_context():
        with pytest.raises(InvalidRequest):
            world.otp.logins(user_id)
        with pytest.raises(InvalidRequest):
            world.otp.end_logins(user_id)


def test_export_has_all_that_is_stored_of_an_identifier_and_no_digest(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    world.initiate(payload={"from": "newsletter"})
    world.initiate("+46707654321")
    clock.shift(31)
    with world.app.app_context():
        world.otp.initiate(NUMBER, "sms", purpose="pay", subject=7)
        exported = world.otp.export("+46 70-123 45 67", "sms")
    assert json.loads(json.dumps(exported)) == exported
    assert (exported["identifier"], exported["method"]) == (NUMBER, "sms")
    confirmation, session = exported["sessions"]
    assert confirmation["purpose"] == "pay"
    assert session["payload"] == {"from": "newsletter"}
    assert session["createdAt"] == "2050-01-02T12:30:00.000Z"
    [account] = exported["accounts"]
    assert account["sends"] == ["2050-01-02T12:30:31.000Z", "2050-01-02T12:30:00.000Z"]
    for exported_session in (confirmation, session):
        assert not {"digests", "account", "binding"} & exported_session.keys()
    [stored, _] = world.sessions.find({"identifier": NUMBER})
    assert stored["account"] not in json.dumps(exported)


def test_erasing_deletes_the_sessions_and_gives_no_further_guesses(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS=None, IDENTIFIER_LIMITS=None)
    sessions = [world.initiate() for _ in range(2)]
    world.initiate("+46707654321")
    for _ in range(3):
        world.verify(sessions[0], world.wrong_code)
    with world.app.app_context():
        assert world.otp.erase("+46 70-123 45 67", "sms") == 2
        assert world.otp.erase(NUMBER, "sms") == 0
        assert world.otp.export(NUMBER, "sms")["accounts"][0]["failures"] == 3
    assert world.verify(sessions[1], world.code).status_code == 404
    assert world.sessions.count_documents({}) == 1


@pytest.mark.parametrize("call", ["export", "erase"])
def test_nothing_is_exported_or_erased_for_what_is_no_identifier(world: World, call: str) -> None:
    with world.app.app_context():
        with pytest.raises(InvalidIdentifier):
            getattr(world.otp, call)("nobody", "email")
        with pytest.raises(InvalidRequest):
            getattr(world.otp, call)(NUMBER, "fax")
