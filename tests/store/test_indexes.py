"""Indexes: made beside the requests, for what is ours only, with the retention that is set."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from stored import NOW, OTHER_ID, PHONE
from support.listeners import Heard
from support.mongod import mongod_in_memory
from support.servers import process, wait_until
from support.world import MakeWorld, World

from flask_otp_auth.exceptions import ConfigurationError, ServiceUnavailable
from flask_otp_auth.store.indexes import Indexes
from flask_otp_auth.store.sessions import SessionStore
from flask_otp_auth.testing.mongod import LocalMongod, find_mongod
from flask_otp_auth.testing.mongod_binary import runnable

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


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client.get_default_database()


def store_in(database: Database[dict[str, Any]], keep: int = 86400) -> SessionStore:
    return SessionStore(database, "otp_sessions", keep=keep)


def ttl_of(sessions: Collection[dict[str, Any]], name: str = "createdAt_1") -> Any:
    return sessions.index_information()[name].get("expireAfterSeconds")


def ask(world: World, **keywords: Any) -> Any:
    return world.client.post("/otp/initiate", json=ASK, **keywords)


def test_old_sessions_and_accounts_are_cleaned_up_from_the_first_use_on(
    world: World, heard: Heard
) -> None:
    assert heard.commands == []
    world.initiate()
    world.wait_for_indexes()

    assert ttl_of(world.sessions) == 86400
    assert world.sessions.index_information()["createdAt_1"]["key"] == [("createdAt", 1)]
    assert world.accounts.index_information()["expireAt_1"]["expireAfterSeconds"] == 0


def test_the_indexes_cost_nothing_after_the_first_use(world: World, heard: Heard) -> None:
    world.initiate()
    world.wait_for_indexes()
    heard.take()
    world.initiate()

    assert heard.take() == [("insert", "otp_sessions")]


def test_parallel_first_uses_make_each_index_once(world: World, heard: Heard) -> None:
    barrier, statuses = threading.Barrier(8), []

    def use() -> None:
        barrier.wait(10)
        statuses.append(ask(world).status_code)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    world.wait_for_indexes()

    made = [
        (command["createIndexes"], command["indexes"][0]["name"])
        for command in heard.commands
        if "indexes" in command
    ]
    assert len(made) == len(set(made))
    assert {
        ("otp_sessions", "createdAt_1"),
        ("otp_sessions", "identifier_1_createdAt_-1"),
        ("otp_sessions.accounts", "expireAt_1"),
    } <= set(made)
    assert statuses == [200] * 8


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


def test_an_unchanged_retention_changes_nothing(make_world: MakeWorld, heard: Heard) -> None:
    before = make_world()
    before.initiate()
    before.wait_for_indexes()
    world = make_world(listeners=[heard])
    world.initiate()
    world.wait_for_indexes()

    assert "collMod" not in {name for name, _ in heard.take()}
    assert ttl_of(world.sessions) == 86400


def test_a_plain_index_on_the_time_becomes_one_that_cleans_up(
    database: Database[dict[str, Any]],
) -> None:
    sessions = database["otp_sessions"]
    sessions.create_index("createdAt")
    store_in(database).create_indexes()

    assert ttl_of(sessions) == 86400


def test_an_index_of_another_name_is_changed_and_not_doubled(
    database: Database[dict[str, Any]],
) -> None:
    sessions = database["otp_sessions"]
    sessions.create_index("createdAt", name="byAge", expireAfterSeconds=5)
    store_in(database).create_indexes()

    assert ttl_of(sessions, "byAge") == 86400
    keys = [index["key"] for index in sessions.index_information().values()]
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


def test_indexes_that_could_not_be_made_for_want_of_a_database_are_made_later() -> None:
    made, faults = [], [ServiceUnavailable(), None]

    def work() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault
        made.append(True)

    indexes = Indexes(work)
    with pytest.raises(ServiceUnavailable):
        indexes.ensure(3)
    indexes.ensure(3)
    indexes.ensure(3)
    assert made == [True]


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


OF_THE_NODE_PLUGIN = {
    "_id": "f" * 32,
    "identifier": PHONE,
    "method": "sms",
    "code": "123456",
    "status": "pending",
    "attempts": 0,
    "maxAttempts": 3,
    "createdAt": NOW,
    "expiresAt": NOW,
    "payload": {},
}
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


@pytest.fixture(scope="module")
def locked_down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMongod]:
    """A server with a user that may read and write, and no more."""
    folder = tmp_path_factory.mktemp("locked_down")
    with LocalMongod(folder) as mongod:
        binary = runnable(find_mongod(), lambda: folder)
        with MongoClient[dict[str, Any]](mongod.uri("otp")) as client:
            client.otp.command("createUser", "app", pwd="app", roles=["readWrite"])
    # LocalMongod knows no passwords, by which it would see that a server with --auth is up.
    options = [f"--port={mongod.port}", "--bind_ip=127.0.0.1", f"--dbpath={folder}", "--auth"]
    log = folder / "with_auth.log"
    with process([str(binary), *options], log=log) as child:

        def is_up() -> bool:
            with contextlib.suppress(PyMongoError), MongoClient(as_user(mongod)) as client:
                return bool(client.otp.command("ping"))
            return False

        wait_until(is_up, child, log)
        yield mongod


def as_user(mongod: LocalMongod) -> str:
    return mongod.uri("otp").replace("://", "://app:app@") + "?serverSelectionTimeoutMS=1000"


def test_a_changed_retention_is_no_outage_for_a_user_who_may_only_read_and_write(
    locked_down: LocalMongod, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"MONGO_URI": as_user(locked_down)}
    before = make_world(config=config)
    assert before.verify(before.initiate(), before.code).status_code == 200
    before.wait_for_indexes()
    assert ttl_of(before.sessions) == 86400

    world = make_world(config=config, KEEP_SESSIONS=3600)
    for _ in range(2):
        assert world.verify(world.initiate(), world.code).status_code == 200
    world.wait_for_indexes()

    assert ttl_of(world.sessions) == 86400
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "collMod" in record.getMessage()
    assert "OTP_AUTH_KEEP_SESSIONS" in record.getMessage()
    assert "dbAdmin" in record.getMessage()
    with pytest.raises(OperationFailure):  # so what stands above is what was tested
        world.mongo.db.command(
            "collMod", "otp_sessions", index={"keyPattern": {"createdAt": 1}, "hidden": False}
        )
