"""The verdict on a guess, and the life of a session."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, Timestamp
from pymongo import MongoClient
from stored import EXPIRES, ID, OTHER_ID, PHONE, RIGHT, RIGHT_OF_OLD_KEY, WRONG, new_session
from support.listeners import Heard
from support.world import NOW

from flask_otp_auth.exceptions import InternalError, InvalidRequest
from flask_otp_auth.store.database import database_calls
from flask_otp_auth.store.sessions import Outcome, SessionStore

TICK = timedelta(milliseconds=1)
ENDS = ["verified", "locked", "expired"]


@pytest.fixture
def heard():
    return Heard()


def by_name(heard):
    """Return the last command of each name."""
    return dict(zip(heard.names, heard.commands, strict=True))


@pytest.fixture
def database(mongo_uri, heard):
    with MongoClient(mongo_uri, event_listeners=[heard], tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
def store(database):
    return SessionStore(database, "otp_sessions", keep=86400)


@pytest.fixture
def sessions(database):
    return database["otp_sessions"]


ABSENT = object()


def stored(sessions, **changes):
    """Put a document of a pending session into the database, changed as given."""
    document = {
        "_id": ID,
        "identifier": PHONE,
        "method": "sms",
        "payload": None,
        "status": "pending",
        "attempts": 0,
        "maxAttempts": 3,
        "createdAt": NOW,
        "expiresAt": EXPIRES,
        "verifiedAt": None,
        "digests": [RIGHT],
        **changes,
    }
    sessions.insert_one({key: value for key, value in document.items() if value is not ABSENT})


def test_a_stored_session_has_the_fields_that_a_host_may_read(store, sessions):
    session = new_session(payload={"returnUrl": "/dashboard", "a": [1, {"b": None}]})
    store.insert(session, RIGHT, settle=False)
    documented = {
        "_id": ID,
        "identifier": PHONE,
        "method": "sms",
        "attempts": 0,
        "maxAttempts": 3,
        "status": "pending",
        "createdAt": NOW,
        "expiresAt": EXPIRES,
        "verifiedAt": None,
        "payload": {"returnUrl": "/dashboard", "a": [1, {"b": None}]},
    }
    document = sessions.find_one()
    assert {name: document[name] for name in documented} == documented
    assert store.find(ID) == session


def test_a_session_id_is_never_given_to_two_sessions(store, sessions):
    store.insert(new_session(), RIGHT, settle=False)
    with pytest.raises(InternalError), database_calls(3):
        store.insert(new_session(identifier="+46707654321"), WRONG, settle=False)
    assert sessions.find_one()["identifier"] == PHONE


def test_a_guess_touches_only_its_own_session(store, sessions):
    store.insert(new_session(session_id=OTHER_ID), RIGHT, settle=False)
    before = sessions.find_one({"_id": OTHER_ID})
    store.insert(new_session(), RIGHT, settle=False)
    store.judge(ID, [RIGHT], NOW)
    assert store.judge("f" * 32, [RIGHT], NOW) is None
    assert sessions.find_one({"_id": OTHER_ID}) == before
    assert sessions.count_documents({}) == 2  # the guess at an unknown session creates none


@pytest.mark.parametrize(
    ("status", "attempts", "late", "guess", "outcome", "status_after", "attempts_after"),
    [
        ("pending", 0, False, RIGHT, Outcome.ACCEPTED, "verified", 0),
        ("pending", 2, False, RIGHT, Outcome.ACCEPTED, "verified", 2),
        ("pending", 0, False, WRONG, Outcome.REJECTED, "pending", 1),
        ("pending", 1, False, WRONG, Outcome.REJECTED, "pending", 2),
        ("pending", 2, False, WRONG, Outcome.EXHAUSTED, "locked", 3),
        ("pending", Int64(2), False, WRONG, Outcome.EXHAUSTED, "locked", 3),
        ("pending", 3, False, RIGHT, Outcome.LOCKED, "locked", 3),
        ("pending", 3, False, WRONG, Outcome.LOCKED, "locked", 3),
        ("pending", 4, False, RIGHT, Outcome.LOCKED, "locked", 4),
        ("pending", 0, True, RIGHT, Outcome.EXPIRED, "expired", 0),
        ("pending", 2, True, WRONG, Outcome.EXPIRED, "expired", 2),
        ("pending", 3, True, RIGHT, Outcome.EXPIRED, "expired", 3),
        *(
            (status, 1, late, guess, outcome, status, 1)
            for status, outcome in [
                ("verified", Outcome.USED),
                ("locked", Outcome.LOCKED),
                ("expired", Outcome.EXPIRED),
            ]
            for late in (False, True)
            for guess in (RIGHT, WRONG)
        ),
    ],
)
def test_the_verdict_follows_the_table(
    store, sessions, status, attempts, late, guess, outcome, status_after, attempts_after
):
    stored(sessions, status=status, attempts=attempts)
    verdict = store.judge(ID, [guess], EXPIRES if late else NOW)
    assert verdict.outcome is outcome
    assert (verdict.session.status, verdict.session.attempts) == (status_after, attempts_after)
    document = sessions.find_one()
    assert (document["status"], document["attempts"]) == (status_after, attempts_after)
    assert document.get("digests") == ([RIGHT] if status_after == "pending" else None)
    assert WRONG.decode() not in str(document)
    assert document["verifiedAt"] == (NOW if outcome is Outcome.ACCEPTED else None)


@pytest.mark.parametrize(
    ("digests", "candidates", "outcome"),
    [
        ([RIGHT_OF_OLD_KEY], [RIGHT, RIGHT_OF_OLD_KEY], Outcome.ACCEPTED),
        ([RIGHT, RIGHT_OF_OLD_KEY], [RIGHT], Outcome.ACCEPTED),
        ([RIGHT, WRONG], [WRONG], Outcome.ACCEPTED),
        ([RIGHT], [RIGHT, RIGHT], Outcome.ACCEPTED),
        ([RIGHT], [], Outcome.REJECTED),
        ([], [RIGHT], Outcome.REJECTED),
        ([RIGHT], [RIGHT[:-1]], Outcome.REJECTED),
        ([RIGHT], [RIGHT + b"\0"], Outcome.REJECTED),
        ([RIGHT], [b""], Outcome.REJECTED),
    ],
)
def test_a_code_is_right_if_any_key_and_any_message_of_the_session_fits(
    store, sessions, digests, candidates, outcome
):
    stored(sessions, digests=digests)
    assert store.judge(ID, candidates, NOW).outcome is outcome


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_session_never_opens_again_whatever_is_tried(store, sessions, end):
    store.insert(new_session(), RIGHT, settle=False)
    if end == "verified":
        store.judge(ID, [RIGHT], NOW)
    elif end == "locked":
        for _ in range(3):
            store.judge(ID, [WRONG], NOW)
    else:
        store.judge(ID, [WRONG], EXPIRES)
    ended = sessions.find_one()
    assert ended["status"] == end
    for guess in (RIGHT, WRONG, RIGHT):
        for now in (NOW - timedelta(days=1), NOW, EXPIRES + timedelta(days=1)):
            assert store.judge(ID, [guess], now).outcome is not Outcome.ACCEPTED
            store.discard(ID)
    after = sessions.find_one()
    for document in (ended, after):
        del document["verdict"]
    assert after == ended


NO_INTEGERS = [ABSENT, None, "0", 0.0, -1, Int64(-1), float("nan"), [], [0], {}, True, NOW]
NO_INTEGERS += [Decimal128("0"), Binary(b"0")]


@pytest.mark.parametrize("guess", [RIGHT, WRONG], ids=["right", "wrong"])
@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        *(({"attempts": value}, Outcome.LOCKED) for value in NO_INTEGERS),
        *(({"maxAttempts": value}, Outcome.LOCKED) for value in [*NO_INTEGERS, 0]),
        *(
            ({"expiresAt": value}, Outcome.EXPIRED)
            for value in (
                ABSENT,
                None,
                "2100-01-01",
                4102444800,
                float("inf"),
                {},
                [EXPIRES],
                True,
                Timestamp(2**31, 1),
                MaxKey(),
            )
        ),
        *(
            ({"status": value}, Outcome.LOCKED)
            for value in (ABSENT, None, "", "PENDING", "open", 1, True, ["pending"], {"a": 1})
        ),
    ],
)
def test_a_damaged_session_never_lets_anybody_in(store, sessions, changes, outcome, guess):
    stored(sessions, **changes)
    assert store.judge(ID, [guess], NOW).outcome is outcome
    document = sessions.find_one()
    assert document["status"] == ("expired" if outcome is Outcome.EXPIRED else "locked")
    assert "digests" not in document
    assert document["verifiedAt"] is None


@pytest.mark.parametrize("name", ["identifier", "method", "createdAt"])
def test_a_document_of_somebody_else_is_neither_read_nor_written(store, sessions, name):
    stored(sessions, **{name: ABSENT})
    before = sessions.find_one()
    assert store.judge(ID, [RIGHT], NOW) is None
    assert store.find(ID) is None
    assert store.of_identifier(PHONE, 9) == store.export(PHONE) == []
    assert store.erase(PHONE) == 0
    assert sessions.find_one() == before


def test_what_cannot_be_a_code_costs_no_try_and_gets_the_answer_that_the_session_calls_for(
    store, sessions
):
    store.insert(new_session(), RIGHT, settle=False)
    verdicts = [store.judge(ID, None, NOW) for _ in range(5)]
    assert {(v.outcome, v.session.status, v.session.attempts) for v in verdicts} == {
        (Outcome.UNREADABLE, "pending", 0)
    }
    assert store.judge(ID, [RIGHT], NOW).outcome is Outcome.ACCEPTED
    assert store.judge(ID, None, NOW).outcome is Outcome.USED
    for changes, outcome in (
        ({"status": "locked"}, Outcome.LOCKED),
        ({"attempts": 3}, Outcome.LOCKED),
        ({"status": "expired"}, Outcome.EXPIRED),
        ({"expiresAt": NOW}, Outcome.EXPIRED),
    ):
        sessions.delete_many({})
        stored(sessions, **changes)
        assert store.judge(ID, None, NOW).outcome is outcome


@pytest.mark.parametrize(
    "digests",
    [ABSENT, RIGHT, None, RIGHT.decode(), {"0": RIGHT}, 1, [[RIGHT]], [RIGHT.decode()], [None]],
)
def test_digests_of_the_wrong_type_match_no_code_and_still_cost_a_try(store, sessions, digests):
    stored(sessions, digests=digests)
    outcomes = [store.judge(ID, [RIGHT], NOW).outcome for _ in range(4)]
    assert outcomes == [Outcome.REJECTED, Outcome.REJECTED, Outcome.EXHAUSTED, Outcome.LOCKED]


def test_the_digests_do_not_travel_back_from_the_database(store, heard):
    store.insert(new_session(), RIGHT, settle=False)
    verdict = store.judge(ID, [WRONG], NOW)
    store.find(ID)
    commands = by_name(heard)
    assert commands["findAndModify"]["fields"] == {"digests": False}
    assert commands["find"]["projection"] == {"digests": False}
    assert RIGHT.decode() not in str(dataclasses.asdict(verdict.session))


def test_what_ends_a_session_survives_the_loss_of_the_primary(store, heard):
    store.insert(new_session(), RIGHT, settle=False)
    store.judge(ID, [WRONG], NOW)
    store.discard(ID)
    commands = by_name(heard)
    for name in ("findAndModify", "update"):
        assert commands[name]["writeConcern"] == {"w": "majority"}


def test_a_new_session_is_stored_by_the_default_of_the_server_whatever_the_uri_says(
    mongo_uri, heard
):
    with MongoClient(f"{mongo_uri}?w=0", event_listeners=[heard]) as client:
        store = SessionStore(client.get_default_database(), "otp_sessions", keep=86400)
        store.insert(new_session(), RIGHT, settle=False)
        assert store.find(ID) is not None
    assert "writeConcern" not in by_name(heard)["insert"]


def test_no_code_is_stored_in_any_field(make_world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secrets.randbelow", lambda bound: 83_746_519)
        world = make_world(CODE_LENGTH=8)
        world.initiate(payload={"returnUrl": "/dashboard"})
    assert world.code == "83746519"
    (document,) = world.sessions.find()
    assert world.code not in str(document)
    assert 83_746_519 not in document.values()
    assert [len(digest) for digest in document["digests"]] == [32]


@pytest.mark.parametrize("session_id", [None, 7, b"0" * 32, ["a"]])
def test_a_session_id_that_is_no_text_is_a_typed_error(world, session_id):
    with world.app.app_context(), pytest.raises(InvalidRequest) as caught:
        world.otp.get_session(session_id)
    assert caught.value.fields == {"sessionId": ["Not a valid string."]}
