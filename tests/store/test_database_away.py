"""A database that is away, hangs, changes its primary or refuses: what is told, and when."""

from __future__ import annotations

import logging
import socket
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import MongoClient, common
from pymongo.database import Database
from pymongo.errors import OperationFailure
from stored import ID, PHONE, RIGHT, new_session
from support.mongod import mongod_in_memory
from support.world import NOW, MakeWorld, World

from flask_otp_auth.exceptions import InternalError, ServiceUnavailable
from flask_otp_auth.store.database import database_calls
from flask_otp_auth.store.sessions import SessionStore
from flask_otp_auth.testing.mongod import LocalMongod

ASK = {"identifier": PHONE, "method": "sms"}
# Seconds that a busy machine may take; without a bound of ours it is 20 or 30.
BUSY = 3.0


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("fault", ["refusing", "silent"])
def test_a_database_that_is_away_is_told_within_the_timeout(
    silent_server: socket.socket,
    refusing_port: int,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = silent_server.getsockname()[1] if fault == "silent" else refusing_port
    with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}/otp", connect=False) as client:
        store = SessionStore(client["otp"], "otp_sessions", keep=86400)
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable) as caught, database_calls(0.3):
            store.judge(ID, [RIGHT], NOW)
        assert time.monotonic() - started < BUSY
    assert caught.value.retry_after is not None
    (record,) = caplog.records
    assert caught.value.id in record.getMessage()
    assert record.levelno == logging.ERROR


def test_all_calls_of_a_request_share_its_time(silent_server: socket.socket) -> None:
    """A request with three operations must not hang for three times the option."""
    uri = f"mongodb://127.0.0.1:{silent_server.getsockname()[1]}/otp"
    with MongoClient[dict[str, Any]](uri, connect=False) as client:
        store = SessionStore(client["otp"], "otp_sessions", keep=86400)
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable), database_calls(0.2):
            time.sleep(0.1)
            with database_calls(2 * BUSY):
                store.find(ID)
        assert time.monotonic() - started < BUSY


@pytest.mark.new_database
def test_a_refused_write_is_told_without_the_document(
    mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        database: Database[dict[str, Any]] = client.get_default_database()
        database.create_collection(
            "otp_sessions", validator={"identifier": {"$type": "int"}}, validationLevel="strict"
        )
        store = SessionStore(database, "otp_sessions", keep=86400)
        with pytest.raises(InternalError) as caught, database_calls(3):
            store.insert(new_session(), RIGHT, settle=False)
    assert not isinstance(caught.value, ServiceUnavailable)
    assert "WriteError 121" in caplog.text
    assert caught.value.id in caplog.text
    told = caplog.text + "".join(traceback.format_exception(caught.value))
    for secret in ("46701234567", ID, RIGHT.decode()):
        assert secret not in told
    assert caught.value.detail == "Internal server error"


def test_starting_an_app_touches_no_database(
    silent_server: socket.socket, make_world: MakeWorld
) -> None:
    port = silent_server.getsockname()[1]
    make_world(config={"MONGO_URI": f"mongodb://127.0.0.1:{port}/otp"})
    silent_server.setblocking(False)
    with pytest.raises(BlockingIOError):
        silent_server.accept()


@pytest.fixture(scope="module")
def replica_set() -> Iterator[LocalMongod]:
    """A replica set of one member, in which faults can be switched on."""
    args = ["--replSet=faults", "--setParameter=enableTestCommands=1"]
    with mongod_in_memory(args) as mongod:
        with MongoClient[dict[str, Any]](mongod.uri("?directConnection=true")) as client:
            member = {"_id": 0, "host": f"127.0.0.1:{mongod.port}"}
            client.admin.command("replSetInitiate", {"_id": "faults", "members": [member]})
            deadline = time.monotonic() + 30
            while not client.admin.command("hello")["isWritablePrimary"]:
                assert time.monotonic() < deadline, "no primary"
                time.sleep(0.05)
        yield mongod


@dataclass
class Failing:
    """An application whose database fails as it is told to."""

    world: World
    client: MongoClient[dict[str, Any]]

    def fail(self, command: str, **how: Any) -> None:
        """Have the next *command* of any client fail."""
        data = {"failCommands": [command], **how}
        self.client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
        )


@pytest.fixture
def failing(
    replica_set: LocalMongod, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Failing]:
    # A primary that really changed would tell the driver; here it has to look again, and often.
    options = "replicaSet=faults&retryWrites=false&serverMonitoringMode=poll"
    monkeypatch.setattr(common, "MIN_HEARTBEAT_INTERVAL", 0.02)
    uri = replica_set.uri(f"otp?{options}")
    world = make_world(config={"MONGO_URI": uri}, LOCKOUT_THRESHOLD=3, DISABLE_AFTER=6)
    world.initiate("+46700000000")
    with MongoClient[dict[str, Any]](replica_set.uri("?directConnection=true")) as client:
        yield Failing(world, client)
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        world.close()
        client.drop_database("otp")


def assert_unavailable(answer: Any) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json["error"]["code"] == "serviceUnavailable"
    assert int(answer.headers["Retry-After"]) == answer.json["error"]["retryAfter"] >= 1


COMMAND_ERRORS = [24, 133, 134, 217, 11601, 11602, 189, 91, 10107, 11600, 13435, 13436, 50, 262]
WRITE_CONCERN_ERRORS = [11602, 189, 91, 10107, 11600, 64]
FAULTS: list[dict[str, Any]] = [
    *({"errorCode": code} for code in COMMAND_ERRORS),
    *({"writeConcernError": {"code": code, "errmsg": "cut off"}} for code in WRITE_CONCERN_ERRORS),
    {"closeConnection": True},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_a_failover_interrupts_is_a_503_that_sends_nothing_and_costs_no_try_of_its_own(
    fault: dict[str, Any], failing: Failing
) -> None:
    session_id = failing.world.initiate()

    failing.fail("findAndModify", **fault)
    assert_unavailable(failing.world.client.post("/otp/initiate", json=ASK))
    assert len(failing.world.outbox) == 2
    failing.fail("findAndModify", **fault)
    assert_unavailable(failing.world.verify(session_id, failing.world.wrong_code))

    stored = failing.world.sessions.find_one({"_id": session_id})
    assert stored is not None
    assert stored["attempts"] == ("writeConcernError" in fault)  # which comes after the write
    assert failing.world.verify(session_id, failing.world.code).status_code == 200


@pytest.mark.parametrize("fault", [FAULTS[1], FAULTS[8], *FAULTS[14:20]], ids=str)
def test_a_session_whose_storing_is_interrupted_is_a_503_and_sends_nothing(
    fault: dict[str, Any], failing: Failing
) -> None:
    failing.fail("insert", **fault)

    assert_unavailable(failing.world.client.post("/otp/initiate", json=ASK))
    assert len(failing.world.outbox) == 1


def test_what_the_database_refuses_for_good_is_a_500_and_sends_nothing(failing: Failing) -> None:
    failing.fail("insert", errorCode=13)  # Unauthorized, which no waiting heals

    answer = failing.world.client.post("/otp/initiate", json=ASK)

    assert answer.status_code == 500
    assert "Retry-After" not in answer.headers
    assert len(failing.world.outbox) == 1


def test_a_first_send_that_another_was_quicker_than_is_asked_once_more(failing: Failing) -> None:
    """MongoDB tries such an upsert again by itself, but not always."""
    failing.fail("findAndModify", errorCode=11001)  # as 11000, which a fault cannot have

    assert failing.world.client.post("/otp/initiate", json=ASK).status_code == 200
    assert len(failing.world.outbox) == 2


def test_a_retention_that_cannot_be_changed_is_an_error_and_not_kept_to_itself(
    failing: Failing,
) -> None:
    failing.fail("collMod", errorCode=96)

    with pytest.raises(OperationFailure):
        SessionStore(failing.world.sessions.database, "otp_sessions", keep=777).create_indexes()
