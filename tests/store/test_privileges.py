"""The role that docs/deployment.rst gives the database user: enough for everything, and no more."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from support.servers import HOST, PATIENCE, ROOT, process
from support.world import MakeWorld, World

from flask_otp_auth.testing.mongod import LocalMongod, find_mongod

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="ends mongod by a signal"),
]

USER, PASSWORD = "otp-app", "a password for tests"
READER, WRITER = "reader", "writer"


def role_of_the_docs() -> dict[str, Any]:
    text = (ROOT / "docs" / "deployment.rst").read_text()
    found = re.search(r"db\.createRole\((\{.*?\})\)\n\n", text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def retention_of(world: World) -> int:
    return int(world.sessions.index_information()["createdAt_1"]["expireAfterSeconds"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a mongod that asks who is there, with a user of that role."""
    tmp_path = tmp_path_factory.mktemp("guarded")
    with LocalMongod(tmp_path / "db") as mongod, MongoClient(mongod.uri("")) as client:
        port = mongod.port
        role = role_of_the_docs()
        name = role.pop("role")
        client.app.command("createRole", name, **role)
        client.app.command("createUser", USER, pwd=PASSWORD, roles=[name])
        client.app.command("createUser", READER, pwd=PASSWORD, roles=["read"])
        client.app.command("createUser", WRITER, pwd=PASSWORD, roles=["readWrite"])
    command = [str(find_mongod()), f"--dbpath={tmp_path / 'db'}", f"--port={port}", "--auth"]
    with process([*command, f"--bind_ip={HOST}", "--nounixsocket"], log=tmp_path / "log"):
        deadline = time.monotonic() + PATIENCE
        with MongoClient(HOST, port, serverSelectionTimeoutMS=500) as client:
            while True:
                with contextlib.suppress(PyMongoError):
                    client.admin.command("hello")
                    break
                assert time.monotonic() < deadline, "mongod does not answer"
        yield f"mongodb://{USER}:{PASSWORD.replace(' ', '%20')}@{HOST}:{port}/app"


def test_user_of_the_docs_may_do_all_that_logins_need_and_nothing_else(
    server: str, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"MONGO_URI": server}
    world = make_world(guarded=True, config=config, IDENTIFIER_LIMITS="9 per day")
    session_id = world.initiate()
    assert world.verify(session_id, world.wrong_code).status_code == 401
    answer = world.client.post("/otp/resend", json={"sessionId": session_id})
    assert answer.status_code == 200, answer.text
    assert world.verify(session_id, world.code).status_code == 200
    with world.app.app_context():
        assert world.otp.unlock("+46701234567", "sms")

    refreshing = make_world(guarded=True, config=config, REFRESH_TOKEN=True)
    session_id = refreshing.initiate()
    tokens = refreshing.verify(session_id, refreshing.code).json["data"]
    bearer = {"Authorization": f"Bearer {tokens['refreshToken']}"}
    answer = refreshing.client.post("/otp/refresh", headers=bearer)
    assert answer.status_code == 200, answer.text
    bearer = {"Authorization": f"Bearer {answer.json['data']['refreshToken']}"}
    assert refreshing.client.post("/otp/logout", headers=bearer).status_code == 204

    # Another retention is the one thing that needs collMod.
    later = make_world(guarded=True, config=config, KEEP_SESSIONS=90000)
    later.initiate("reader@example.com", "email")
    assert retention_of(later) == 90000
    assert not [record for record in caplog.records if record.levelname == "ERROR"]

    database = world.sessions.database
    for forbidden in (
        lambda: database.users.find_one(),
        lambda: database.users.insert_one({}),
        lambda: world.sessions.drop(),
        lambda: database.client.other.otp_sessions.find_one(),
    ):
        with pytest.raises(OperationFailure, match="not authorized"):
            forbidden()


def test_user_of_the_docs_may_do_all_that_the_command_line_does(
    server: str, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(guarded=True, config={"MONGO_URI": server})
    world.initiate("+46707654321")

    for arguments in (
        ["create-indexes"],
        ["sessions", "+46707654321"],
        ["unlock", "+46707654321"],
        ["stats"],
        ["purge", "--older-than", "0"],
    ):
        result = world.app.test_cli_runner().invoke(args=["otp", *arguments])
        assert result.exit_code == 0, result.output
    checked = world.app.test_cli_runner().invoke(args=["otp", "check"]).output
    for point in ("database", "writing", "retention", "index of identifiers", "index of logins"):
        assert f"PASS  {point}: " in checked

    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_user_that_may_only_read_is_found_before_the_first_login_fails(
    server: str, make_world: MakeWorld
) -> None:
    uri = server.replace(f"//{USER}:", f"//{READER}:")
    world = make_world(guarded=True, config={"MONGO_URI": uri})

    checked = world.app.test_cli_runner().invoke(args=["otp", "check"])

    assert "PASS  database: " in checked.output
    assert "FAIL  writing: the database user may read, but not write" in checked.output
    assert checked.exit_code == 1


def test_wrong_password_of_the_database_is_called_by_its_name(
    server: str, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    uri = server.replace("password", "passw0rd")
    world = make_world(guarded=True, config={"MONGO_URI": uri}, DB_TIMEOUT=1)
    why = "MongoDB does not accept user name and password of MONGO_URI"

    answer = world.client.post("/otp/initiate", json={"identifier": "a@b.se", "method": "email"})
    assert answer.status_code == 500
    assert "user name" not in answer.text
    assert why in caplog.text
    for command in ("check", "stats", "create-indexes"):
        result = world.app.test_cli_runner().invoke(args=["otp", command])
        assert result.exit_code == 1
        assert why in result.output, command
    assert "passw0rd" not in caplog.text


def test_a_changed_retention_is_no_outage_for_a_user_who_may_only_read_and_write(
    server: str, make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"MONGO_URI": server.replace(f"//{USER}:", f"//{WRITER}:")}
    before = make_world(config=config)
    assert before.verify(before.initiate(), before.code).status_code == 200
    before.wait_for_indexes()
    assert retention_of(before) == 86400

    world = make_world(config=config, KEEP_SESSIONS=3600)
    for _ in range(2):
        assert world.verify(world.initiate(), world.code).status_code == 200
    world.wait_for_indexes()

    assert retention_of(before) == 86400
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "collMod" in record.getMessage()
    assert "OTP_AUTH_KEEP_SESSIONS" in record.getMessage()
    assert "dbAdmin" in record.getMessage()
    with pytest.raises(OperationFailure):  # so what stands above is what was tested
        world.mongo.db.command(
            "collMod", "otp_sessions", index={"keyPattern": {"createdAt": 1}, "hidden": False}
        )
