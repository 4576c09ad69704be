"""The stored logins: which refresh token works, when a login ends, and what is left of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.world import NOW

from flask_otp_auth.store.login_updates import Rotation
from flask_otp_auth.store.logins import LoginStore
from flask_otp_auth.types import Login

LOGIN = "0123456789abcdef" * 2
LIFETIME, IDLE = 1000, 100
IDLE_TIME = timedelta(seconds=IDLE)
OLD_KEY, NEW_KEY = b"o" * 32, b"n" * 32


@pytest.fixture
def logins(database):
    store = store_on(database)
    store.create_indexes()
    start(store, LOGIN)
    return store


def store_on(database, keys=(b"k" * 32,)):
    return LoginStore(database, "otp_sessions.logins", keys=keys, lifetime=LIFETIME, idle=IDLE)


def start(store, login_id, user="7", at=NOW):
    store.start(login_id, "first", user=user, method="sms", verified_at=at, now=at)


def rotate(store, token, parent=None, at=NOW):
    return store.rotate(LOGIN, token, parent, at)


def is_over(store, id_=LOGIN, at=NOW):
    return store.standing_of(id_, "7", at).is_over


def stored(database):
    return database["otp_sessions.logins"].find_one({"_id": LOGIN})


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_a_refresh_token_works_until_one_of_its_successors_is_used(logins):
    for _ in range(3):
        assert rotate(logins, "first") is Rotation.ROTATED
    assert rotate(logins, "second", "first") is Rotation.ROTATED
    assert rotate(logins, "second", "first") is Rotation.ROTATED
    assert rotate(logins, "third", "second") is Rotation.ROTATED
    assert not is_over(logins)
    assert logins.rotate("f" * 32, "first", None, NOW) is Rotation.ENDED  # there is no such login


@pytest.mark.parametrize(
    ("token", "parent"),
    [("first", None), ("other second", "first"), ("unknown", "unknown"), ("", "")],
)
def test_any_other_token_ends_the_login_and_the_newest_token_with_it(logins, token, parent):
    rotate(logins, "second", "first")
    rotate(logins, "third", "second")
    assert rotate(logins, token, parent) is Rotation.REUSED
    assert is_over(logins)
    assert rotate(logins, "third", "second") is Rotation.ENDED


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
    for seconds in uses:
        assert rotate(logins, "first", at=after(seconds)) is Rotation.ROTATED
    assert is_over(logins, at=after(last)) is (rotation is Rotation.EXPIRED)
    assert len(logins.of_user("7", after(last))) == (rotation is Rotation.ROTATED)
    assert rotate(logins, "first", at=after(last)) is rotation
    if rotation is Rotation.EXPIRED:
        # Ended for good, also when the clock or the options go back.
        assert rotate(logins, "first") is Rotation.ENDED


def test_a_login_that_was_logged_out_is_over_and_keeps_its_first_end(logins, database):
    logins.end(LOGIN, "logout", after(1))
    logins.end(LOGIN, "user refused", after(2))
    document = stored(database)
    assert (document["endedAt"], document["endReason"]) == (after(1), "logout")
    assert rotate(logins, "first", at=after(3)) is Rotation.ENDED
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
    assert rotate(logins, "first", at=after(1)) is not Rotation.ROTATED
    assert is_over(logins)


@pytest.mark.parametrize("token", ["$current", "$$ROOT", "", "first\0"])
def test_no_text_of_a_token_is_taken_for_an_expression(logins, token):
    assert rotate(logins, token, "$current") is Rotation.REUSED
    logins.end_all("7", token, NOW)
    assert logins.standing_of("x", "7", NOW).spared == token


def test_the_database_holds_ids_of_tokens_and_no_user(logins, database):
    rotate(logins, "second", "first", at=after(1))
    document = stored(database)
    assert len(document.pop("user")) == 64
    assert document == {
        "_id": LOGIN,
        "method": "sms",
        "current": "second",
        "verifiedAt": NOW,
        "createdAt": NOW,
        "usedAt": after(1),
        "expireAt": after(LIFETIME),
        "rotation": "rotated",
    }
    indexes = database["otp_sessions.logins"].index_information()
    assert indexes["expireAt_1"]["expireAfterSeconds"] == 0


def test_a_token_without_login_stays_revoked_until_it_ends_by_itself(logins, database):
    logins.revoke("token", after(60), NOW)
    logins.revoke("token", after(60), after(1))
    logins.revoke("endless", None, NOW)
    assert is_over(logins, "token")
    assert is_over(logins, "endless")
    notes = {n["_id"]: n for n in database["otp_sessions.logins"].find({"current": None})}
    assert notes["token"]["expireAt"] == after(60)
    assert "expireAt" not in notes["endless"]


OLD, OTHER, LATER = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def past():
    """A time before that of the database, which is the clock of all that ends together."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60)


def ids(store, user="7"):
    return [login.id for login in store.of_user(user, datetime.now(UTC))]


def test_logins_end_together_without_the_later_ones_and_those_of_others(database, past):
    store, used = store_on(database), past + timedelta(seconds=10)
    start(store, LOGIN, at=past)
    start(store, OLD, at=past - timedelta(seconds=1))
    start(store, LATER, at=past + timedelta(seconds=90))
    start(store, OTHER, user="8", at=past)
    assert store.rotate(LOGIN, "first", None, used) is Rotation.ROTATED
    assert ids(store) == [LATER, LOGIN, OLD]
    assert store.of_user("7", used)[1] == Login(LOGIN, "sms", past, used, used + IDLE_TIME)

    assert store.end_all("7", None, None) == 2

    assert (ids(store), ids(store, "8")) == ([LATER], [OTHER])
    assert store.rotate(OLD, "first", None, datetime.now(UTC)) is Rotation.ENDED
    assert store.end_all("7", None, None) == 0


@pytest.mark.parametrize("keys", [(OLD_KEY, NEW_KEY), (NEW_KEY, OLD_KEY)])
def test_token_that_was_refused_before_a_change_of_keys_is_not_spared_after_it(database, keys):
    before = datetime.now(UTC) - timedelta(seconds=10)
    store_on(database, (OLD_KEY,)).end_all("7", None, None)
    store_on(database, keys).end_all("7", "token", before)
    for known in (keys, (NEW_KEY,)):
        assert store_on(database, known).standing_of("token", "7", NOW).spared is None


def test_users_are_found_under_every_key_while_a_new_one_is_introduced(database, past):
    before = store_on(database, (OLD_KEY,))
    after_it = store_on(database, (NEW_KEY, OLD_KEY))
    start(before, OLD, at=past)
    start(after_it, LOGIN, at=past)
    assert set(ids(after_it)) == {LOGIN, OLD}
    assert after_it.end_all("7", None, None) == 2
    # A server that does not know the new key yet.
    assert before.standing_of("x", "7", past).ended_before is not None
    # One that has dropped the old one.
    assert store_on(database, (NEW_KEY,)).standing_of("x", "7", past).ended_before is not None
