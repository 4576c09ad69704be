"""Indexes: made beside the requests, for what is ours only, with the retention that is set."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure
from stored import NOW, OTHER_ID, PHONE
from support.listeners import Heard
from support.mongod import mongod_in_memory
from support.world import MakeWorld, World

from flask_otp_auth.exceptions import (
    ConfigurationError,
    InternalError,
    OtpAuthError,
    ServiceUnavailable,
)
from flask_otp_auth.store.indexes import Indexes
from flask_otp_auth.store.sessions import SessionStore
from flask_otp_auth.testing.mongod import LocalMongod

pytestmark = pytest.mark.new_database

ASK = {"identifier": PHONE, "method": "sms"}
OURS = {
    "_id": OTHER_ID,
    "identifier": PHONE,
    "method": "sms",
    "status": "verified",
    "createdAt": NOW,
    "expiresAt": NOW,
}


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def world(make_world: MakeWorld, heard: Heard) -> World:
    return make_world(listeners=[heard])


def ttl_of(sessions: Collection[dict[str, Any]], name: str = "createdAt_1") -> Any:
    return sessions.index_information()[name].get("expireAfterSeconds")


def ask(world: World, **keywords: Any) -> Any:
    return world.client.post("/otp/initiate", json=ASK, **keywords)


def test_parallel_first_uses_make_each_index_once_and_later_ones_cost_nothing(
    world: World, make_world: MakeWorld, heard: Heard
) -> None:
    assert heard.commands == []
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(world).status_code, range(8))) == {200}
    world.wait_for_indexes()

    made = [
        (command["createIndexes"], command["indexes"][0]["name"])
        for command in heard.commands
        if "indexes" in command
    ]
    assert len(made) == len(set(made))
    assert {("otp_sessions", "identifier_1_createdAt_-1")} <= set(made)
    assert world.sessions.index_information()["createdAt_1"]["key"] == [("createdAt", 1)]
    assert (ttl_of(world.sessions), ttl_of(world.accounts, "expireAt_1")) == (86400, 0)
    heard.take()
    world.initiate()
    assert heard.take() == [("insert", "otp_sessions")]

    restarted = make_world(listeners=[heard])
    restarted.initiate()
    restarted.wait_for_indexes()
    assert "collMod" not in {name for name, _ in heard.take()}


@pytest.mark.parametrize("keep", [301, 100_000])
def test_a_changed_retention_takes_effect_at_the_next_start_and_is_told(
    keep: int, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Two apps with two retentions on one collection would change it back and forth unseen."""
    world = make_world()
    world.initiate()
    world.wait_for_indexes()
    caplog.clear()

    changed = make_world(KEEP_SESSIONS=keep)
    changed.initiate()
    changed.wait_for_indexes()

    assert ttl_of(world.sessions) == keep
    [record] = [record for record in caplog.records if "no longer" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert f"after {keep} s, no longer after 86400 s" in record.getMessage()
    assert "OTP_AUTH_KEEP_SESSIONS" in record.getMessage()


@pytest.mark.parametrize(
    "options", [{}, {"name": "byAge", "expireAfterSeconds": 5}], ids=["plain", "of another name"]
)
def test_an_index_on_the_time_that_is_there_is_changed_and_not_doubled(
    options: dict[str, Any], world: World
) -> None:
    name = world.sessions.create_index("createdAt", **options)
    SessionStore(world.sessions.database, "otp_sessions", keep=86400).create_indexes()

    assert ttl_of(world.sessions, name) == 86400
    keys = [index["key"] for index in world.sessions.index_information().values()]
    assert keys.count([("createdAt", 1)]) == 1


def test_an_index_that_cannot_be_made_is_loud_until_it_can(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.sessions.database.create_collection("otp_sessions", viewOn="others")
    for _ in range(2):
        caplog.clear()
        answer = ask(world)
        assert answer.status_code == 500
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        [record] = [record for record in errors if "indexes" in record.getMessage()]
        assert answer.json["error"]["id"] in record.getMessage()
        assert "166" in record.getMessage()  # CommandNotSupportedOnView
        assert world.outbox == []

    world.sessions.drop()
    assert ask(world).status_code == 200
    world.wait_for_indexes()
    assert ttl_of(world.sessions) == 86400


def test_a_collection_that_has_all_the_indexes_it_may_have_is_no_silent_keeper(
    world: World,
) -> None:
    world.sessions.create_indexes([IndexModel(f"field{n}") for n in range(62)])
    store = SessionStore(world.sessions.database, "otp_sessions", keep=86400)

    with pytest.raises(OperationFailure, match="too many indexes"):
        store.create_indexes()


@pytest.mark.parametrize(
    ("error", "failure", "why"),
    [
        (AutoReconnect("gone"), ServiceUnavailable, "flask otp check"),
        (OperationFailure("no", 13), InternalError, "the role readWrite"),
        (OperationFailure("no", 18), InternalError, "user name and password"),
        (OperationFailure("no", 8000), InternalError, "user name and password"),
        (OperationFailure("no", 1), InternalError, "MongoDB refused the operation"),
        (ValueError("no"), InternalError, "flask otp check"),
    ],
)
def test_why_the_indexes_cannot_be_made_is_told_to_who_can_mend_it(
    error: Exception, failure: type[OtpAuthError], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        raise error

    with pytest.raises(failure) as caught:
        Indexes(work).ensure(2)

    assert type(caught.value) is failure
    assert why in caplog.text
    assert why not in str(caught.value)


FOREIGN: list[list[dict[str, Any]]] = [
    [{"_id": 1, "name": "Ada", "createdAt": NOW}],
    [{"_id": n, "email": "user@example.com", "status": "active"} for n in range(50)],
    [{"_id": "a", "sku": 1, "createdAt": NOW, "method": "post"}, OURS],
    [OURS, {"_id": "z", "sku": 1, "createdAt": NOW, "method": "post"}],
    [{"_id": "only an id"}],
]


@pytest.mark.parametrize("documents", FOREIGN, ids=range(len(FOREIGN)))
def test_a_collection_of_the_hosts_is_refused_before_an_index_deletes_from_it(
    documents: list[dict[str, Any]],
    make_world: MakeWorld,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = make_world(COLLECTION="users")
    world.sessions.insert_many(documents)

    for _ in range(2):
        answer = ask(world)
        assert answer.status_code == 500
        assert "users" not in answer.text
    with world.app.app_context(), pytest.raises(ConfigurationError, match="no sessions"):
        world.otp.initiate(PHONE, "sms")

    assert list(world.sessions.index_information()) == ["_id_"]
    assert world.sessions.count_documents({}) == len(documents)
    assert world.outbox == []
    assert "OTP_AUTH_COLLECTION is users" in caplog.text


OF_THE_NODE_PLUGIN = {**OURS, "code": "123456", "attempts": 0, "maxAttempts": 3, "payload": {}}
DAMAGED = {key: value for key, value in OURS.items() if key != "status"}


@pytest.mark.parametrize("document", [OURS, OF_THE_NODE_PLUGIN, DAMAGED], ids=range(3))
def test_a_collection_with_sessions_of_before_is_taken(
    document: dict[str, Any], world: World
) -> None:
    world.sessions.insert_one(dict(document))

    assert world.verify(world.initiate(), world.code).status_code == 200
    world.wait_for_indexes()
    assert ttl_of(world.sessions) == 86400


@pytest.fixture(scope="module")
def slow_builds() -> Iterator[LocalMongod]:
    with mongod_in_memory(["--setParameter=enableTestCommands=1"]) as mongod:
        yield mongod


def test_sign_ins_go_on_while_the_indexes_are_made(
    slow_builds: LocalMongod, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """On a large collection a build takes longer than any request may."""
    uri = slow_builds.uri("otp")
    world = make_world(config={"MONGO_URI": uri}, DB_TIMEOUT=2)
    world.sessions.insert_one(dict(OURS))  # an empty collection is indexed at once
    admin = world.mongo.cx.admin
    hang = "hangAfterSettingUpIndexBuild"
    admin.command({"configureFailPoint": hang, "mode": "alwaysOn"})
    try:
        begin = time.monotonic()
        assert world.verify(world.initiate(), world.code).status_code == 200
        assert time.monotonic() - begin < 5
        assert "'flask otp create-indexes'" in caplog.text
        begin = time.monotonic()
        for n in range(5):
            session_id = world.initiate(f"+4670765432{n}")
            assert world.verify(session_id, world.code).status_code == 200
        assert time.monotonic() - begin < 8  # five times two seconds, did each wait again
        assert world.sessions.count_documents({}) == 7
    finally:
        admin.command({"configureFailPoint": hang, "mode": "off"})

    deadline = time.monotonic() + 30
    while "expireAt_1" not in world.accounts.index_information():
        assert time.monotonic() < deadline, "the indexes were never made"
        time.sleep(0.05)
    assert ttl_of(world.sessions) == 86400
    assert caplog.text.count("indexes are being created") == 1
