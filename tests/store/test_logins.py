"""The stored logins: which refresh token works, when a login ends, and what is left of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pymongo import MongoClient
from support.world import NOW

from flask_otp_auth.store.logins import Login, LoginStore, Rotation

LOGIN = "0123456789abcdef" * 2
LIFETIME, IDLE = 1000, 100


@pytest.fixture
def database(mongo_uri):
    with MongoClient(mongo_uri, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def logins(database):
    store = LoginStore(database, "otp_sessions.logins", lifetime=LIFETIME, idle=IDLE)
    store.create_indexes()
    store.start(LOGIN, "first", NOW)
    return store


def stored(database):
    return database["otp_sessions.logins"].find_one({"_id": LOGIN})


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_a_refresh_token_works_once_and_the_next_one_after_it(logins):
    assert logins.rotate(LOGIN, "first", "second", after(1)) is Rotation.ROTATED
    assert logins.find(LOGIN) == Login(LOGIN, "second", ended=False)
    assert logins.rotate(LOGIN, "second", "third", after(2)) is Rotation.ROTATED


def test_a_token_that_was_used_before_ends_its_login_and_the_living_token_with_it(logins):
    logins.rotate(LOGIN, "first", "second", after(1))
    assert logins.rotate(LOGIN, "first", "thief's", after(2)) is Rotation.REUSED
    assert logins.find(LOGIN) == Login(LOGIN, "second", ended=True)
    assert logins.rotate(LOGIN, "second", "third", after(3)) is Rotation.ENDED


def test_a_token_that_was_never_given_out_ends_the_login_too(logins):
    assert logins.rotate(LOGIN, "unknown", "next", after(1)) is Rotation.REUSED


def test_nothing_of_a_login_that_is_not_there_works(logins):
    assert logins.rotate("f" * 32, "first", "second", NOW) is Rotation.ENDED
    assert logins.find("f" * 32) is None


@pytest.mark.parametrize(
    ("uses", "last", "rotation"),
    [
        ([], IDLE - 0.001, Rotation.ROTATED),
        ([], IDLE, Rotation.EXPIRED),
        ([60, 120], 120 + IDLE - 0.001, Rotation.ROTATED),
        ([60, 120], 120 + IDLE, Rotation.EXPIRED),
        (range(90, LIFETIME, 90), LIFETIME - 0.001, Rotation.ROTATED),
        (range(90, LIFETIME, 90), LIFETIME, Rotation.EXPIRED),
    ],
)
def test_a_login_ends_when_it_is_not_used_or_at_the_end_of_its_life(logins, uses, last, rotation):
    token = "first"
    for number, seconds in enumerate(uses):
        assert logins.rotate(LOGIN, token, f"{number}", after(seconds)) is Rotation.ROTATED
        token = f"{number}"
    assert logins.rotate(LOGIN, token, "last", after(last)) is rotation
    if rotation is Rotation.EXPIRED:
        # Ended for good, also when the clock or the options go back.
        assert logins.rotate(LOGIN, token, "last", NOW) is Rotation.ENDED


def test_a_login_that_was_logged_out_is_over_and_keeps_its_first_end(logins, database):
    logins.end(LOGIN, after(1))
    logins.end(LOGIN, after(2))
    document = stored(database)
    assert (document["endedAt"], document["endReason"]) == (after(1), "logout")
    assert logins.rotate(LOGIN, "first", "second", after(3)) is Rotation.ENDED
    assert stored(database)["endReason"] == "logout"


DAMAGES = {
    "no current": {"$unset": {"current": ""}},
    "current null": {"$set": {"current": None}},
    "no creation": {"$unset": {"createdAt": ""}},
    "creation no date": {"$set": {"createdAt": 99999999999}},
    "no last use": {"$unset": {"usedAt": ""}},
    "last use no date": {"$set": {"usedAt": "tomorrow"}},
    "ended at null": {"$set": {"endedAt": None}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_document_lets_nobody_in(logins, database, damage):
    database["otp_sessions.logins"].update_one({"_id": LOGIN}, DAMAGES[damage])
    assert logins.rotate(LOGIN, "first", "second", after(1)) is not Rotation.ROTATED
    assert logins.find(LOGIN).ended


@pytest.mark.parametrize("token", ["$current", "$$ROOT", "", "first\0"])
def test_no_text_of_a_token_is_taken_for_an_expression(logins, token):
    assert logins.rotate(LOGIN, token, "$current", after(1)) is Rotation.REUSED


def test_the_database_holds_ids_of_tokens_and_nothing_of_the_judgement(logins, database):
    logins.rotate(LOGIN, "first", "second", after(1))
    assert stored(database) == {
        "_id": LOGIN,
        "current": "second",
        "createdAt": NOW,
        "usedAt": after(1),
        "expireAt": after(LIFETIME),
        "rotation": "rotated",
    }


def test_logins_are_deleted_by_the_database_when_they_are_past_their_time(logins, database):
    indexes = database["otp_sessions.logins"].index_information()
    assert indexes["expireAt_1"]["expireAfterSeconds"] == 0


def test_a_token_without_login_stays_revoked_until_it_ends_by_itself(logins, database):
    logins.revoke("token", after(60), NOW)
    logins.revoke("token", after(60), after(1))
    logins.revoke("endless", None, NOW)
    assert logins.find("token").ended
    assert logins.find("endless").ended
    notes = {n["_id"]: n for n in database["otp_sessions.logins"].find({"current": None})}
    assert notes["token"]["expireAt"] == after(60)
    assert "expireAt" not in notes["endless"]
