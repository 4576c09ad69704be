"""What the client gets, and what is left, when the database or the host's code fails."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask_jwt_extended import jwt_required
from pymongo import MongoClient
from support.servers import PATIENCE, Answer, freeze, thaw, threaded
from support.world import MakeWorld, World

from flask_otp_auth.testing.mongod import LocalMongod

PHONE = {"identifier": "+46701234567", "method": "sms"}
DB_TIMEOUT = 1.0
SLACK = 3.0  # seconds; a busy machine answers later than it could

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP")


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMongod]:
    with LocalMongod(tmp_path_factory.mktemp("db")) as mongod:
        yield mongod


@pytest.fixture
def own_mongod(mongod: LocalMongod) -> LocalMongod:
    """A server that a test may stop, kill and freeze; it runs, and holds nothing yet."""
    mongod.start()
    with MongoClient[dict[str, Any]](mongod.uri("")) as client:
        client.drop_database("otp")
    return mongod


@pytest.fixture
def own_world(own_mongod: LocalMongod, make_world: MakeWorld) -> World:
    return make_world(config={"MONGO_URI": own_mongod.uri("otp")}, DB_TIMEOUT=DB_TIMEOUT)


def assert_unavailable(ask: Callable[[], Answer]) -> None:
    start = time.monotonic()
    answer = ask()
    took = time.monotonic() - start

    assert answer.status == 503
    assert answer.json["error"].pop("id")
    assert answer.json["error"]["code"] == "serviceUnavailable"
    assert answer.json["error"]["detail"] == "Service temporarily unavailable"
    assert answer.json["error"]["title"] == "Service Unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"
    assert "127.0.0.1" not in answer.text
    assert "mongo" not in answer.text.lower()
    assert took < DB_TIMEOUT + SLACK


def until_back(ask: Callable[[], Answer]) -> Answer:
    """Ask again for as long as the answer is that the database is away."""
    deadline = time.monotonic() + PATIENCE
    while (answer := ask()).status == 503:
        assert time.monotonic() < deadline, "the database is back and the application is not"
    return answer


class TestDatabaseAway:
    def test_stopped_database_is_a_503_in_time_and_no_restart_is_needed(
        self, own_mongod: LocalMongod, own_world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        with threaded(own_world.app) as site:
            session_id = site.initiate()
            own_mongod.stop()

            assert_unavailable(lambda: site.post("/otp/initiate", PHONE))
            assert_unavailable(lambda: site.verify(session_id, own_world.code))
            assert len(own_world.outbox) == 1
            assert own_world.code not in caplog.text

            own_mongod.start()
            assert until_back(lambda: site.verify(session_id, own_world.code)).status == 200
            assert site.post("/otp/initiate", PHONE).status == 200

    @posix_only
    def test_what_was_answered_is_still_so_after_the_database_was_killed(
        self, own_mongod: LocalMongod, own_world: World
    ) -> None:
        with threaded(own_world.app) as site:
            used, code = site.initiate(), own_world.code
            guessed = site.initiate()
            assert site.verify(guessed, own_world.wrong_code).status == 401
            assert site.verify(used, code).status == 200
            os.kill(own_mongod.pid, signal.SIGKILL)
            own_mongod.stop()
            own_mongod.start()

            assert until_back(lambda: site.verify(used, code)).status == 400
            answer = site.verify(guessed, own_world.wrong_code)
            assert answer.json["data"]["remainingAttempts"] == 1

    @posix_only
    def test_database_that_hangs_is_a_503_in_time_and_works_again(
        self, own_mongod: LocalMongod, own_world: World
    ) -> None:
        with threaded(own_world.app) as site:
            session_id = site.initiate()
            freeze(own_mongod.pid)
            try:
                assert_unavailable(lambda: site.post("/otp/initiate", PHONE))
                assert_unavailable(lambda: site.verify(session_id, own_world.wrong_code))
                assert len(own_world.outbox) == 1
            finally:
                thaw(own_mongod.pid)

            # The guess may have been judged after all, but then it counted.
            assert until_back(lambda: site.verify(session_id, own_world.code)).status == 200
            stored = own_world.sessions.find_one({"_id": session_id})
            assert stored is not None
            assert (stored["status"], stored["attempts"] <= 1) == ("verified", True)

    def test_app_that_starts_before_its_database_waits_for_it(
        self, own_mongod: LocalMongod, make_world: MakeWorld
    ) -> None:
        uri = own_mongod.uri("otp")
        own_mongod.stop()
        world = make_world(config={"MONGO_URI": uri}, DB_TIMEOUT=DB_TIMEOUT)
        with threaded(world.app) as site:
            assert_unavailable(lambda: site.post("/otp/initiate", PHONE))
            own_mongod.start()
            assert until_back(lambda: site.post("/otp/initiate", PHONE)).status == 200

        def cleaning_up() -> list[Any]:
            indexes = world.sessions.index_information()
            return [index["key"] for index in indexes.values() if "expireAfterSeconds" in index]

        deadline = time.monotonic() + PATIENCE  # they are made beside the requests
        while not cleaning_up() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert cleaning_up() == [[("createdAt", 1)]]

    @posix_only
    def test_sender_and_database_that_fail_together_give_no_session(
        self, own_mongod: LocalMongod, own_world: World
    ) -> None:
        @own_world.otp.send_code_handler
        def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
            freeze(own_mongod.pid)
            return False

        with threaded(own_world.app) as site:
            try:
                answer = site.post("/otp/initiate", PHONE)
            finally:
                thaw(own_mongod.pid)

        assert answer.status == 500
        assert answer.json["error"]["detail"] == "Failed to send verification code"
        assert "sessionId" not in answer.text


def test_nobody_signed_in_gets_anything_or_loses_the_login_while_the_database_is_away(
    own_mongod: LocalMongod, make_world: MakeWorld
) -> None:
    config = {"MONGO_URI": own_mongod.uri("otp?serverSelectionTimeoutMS=1000")}
    world = make_world(config=config, DB_TIMEOUT=DB_TIMEOUT, REFRESH_TOKEN=True)
    world.app.add_url_rule("/me", view_func=jwt_required()(lambda: "welcome"))
    with threaded(world.app) as site:
        data = site.verify(site.initiate(), world.code).json["data"]

        def ask(method: str, path: str, token: str) -> Answer:
            return site.send(method, path, headers={"Authorization": f"Bearer {data[token]}"})

        own_mongod.stop()
        for answer in (
            ask("POST", "/otp/refresh", "refreshToken"),
            ask("POST", "/otp/logout", "token"),
        ):
            assert answer.status == 503
            assert answer.json["error"]["code"] == "serviceUnavailable"
            assert int(answer.headers["Retry-After"]) > 0
        answer = ask("GET", "/me", "token")
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0

        own_mongod.start()
        assert until_back(lambda: ask("POST", "/otp/refresh", "refreshToken")).status == 200


@pytest.mark.parametrize("outcome", [False, RuntimeError("gateway gw-17 is down")], ids=repr)
def test_code_that_was_not_sent_is_an_error_and_no_way_in(
    world: World, outcome: Any, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[str] = []

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> Any:
        codes.append(code)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with threaded(world.app) as site:
        answer = site.post("/otp/initiate", PHONE)
        [stored] = world.sessions.find()
        after = site.verify(stored["_id"], codes[0])

    id_ = answer.json["error"]["id"]
    assert answer.status == 500
    assert answer.json == {
        "status": 500,
        "error": {
            "id": id_,
            "title": "Internal Server Error",
            "detail": "Failed to send verification code",
            "code": "internalServerError",
        },
    }
    assert id_ in caplog.text
    assert codes[0] not in caplog.text
    assert "+46701234567" not in caplog.text
    assert (stored["status"], "digests" in stored) == ("expired", False)
    assert (after.status, after.json["data"]["status"]) == (403, "expired")
    assert not world.lookups
