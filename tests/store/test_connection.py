"""The connections of an app that brings no PyMongo: they are closed, and warn nobody."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from flask import Flask
from pymongo.errors import InvalidOperation
from support.servers import PATIENCE, python_path
from support.world import SECRET_KEY, MakeWorld

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.exceptions import InvalidRequest
from flask_otp_auth.testing.mongod import free_port

PHONE = "+46701234567"
HOST = """
from flask import Flask
from flask_otp_auth import FlaskOtpAuth

otp = FlaskOtpAuth()
codes = []

@otp.send_code_handler
def send_code(code, identifier, method, payload):
    codes.append(code)
    return True

@otp.get_user_handler
def get_user(identifier, method, payload):
    return {"id": 7}

def create_app():
    app = Flask("host")
    app.config.update(SECRET_KEY=%r, MONGO_URI=%r, OTP_AUTH_IDENTIFIER_LIMITS=None, TESTING=True)
    otp.init_app(app)
    return app
"""
TESTS = """
import pytest
from host import codes, create_app, otp

@pytest.fixture%s
def app():
    app = create_app()
    yield app
    %s

@pytest.mark.parametrize("run", range(3))
def test_sign_in(app, run):
    client = app.test_client()
    body = {"identifier": "+46701234567", "method": "sms"}
    session = client.post("/otp/initiate", json=body).json["data"]["sessionId"]
    answer = client.post("/otp/verify", json={"sessionId": session, "code": codes[-1]})
    assert answer.status_code == 200
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope", "ending"),
    [("", "pass"), ('(scope="session")', "otp.close(app)")],
    ids=["an app for each test", "one app, closed"],
)
def test_the_tests_of_a_host_pass_with_warnings_as_errors(
    tmp_path: Path, mongo_uri: str, scope: str, ending: str
) -> None:
    (tmp_path / "host.py").write_text(HOST % (SECRET_KEY, mongo_uri))
    (tmp_path / "test_host.py").write_text(TESTS % (scope, ending))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = os.pathsep.join([str(tmp_path), python_path()])
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "-q", "test_host.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Unclosed" not in run.stdout + run.stderr
    assert "3 passed" in run.stdout


def make_app(uri: str, **config: object) -> tuple[Flask, FlaskOtpAuth]:
    app = Flask("app")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=uri, OTP_AUTH_IDENTIFIER_LIMITS=None)
    app.config.update(config)
    otp = FlaskOtpAuth(app)
    otp.send_code_handler(lambda *args: time.sleep(0.05) or True)
    otp.get_user_handler(lambda *args: {"id": 7})
    return app, otp


def test_an_app_that_is_gone_takes_its_connections_along(mongo_uri: str) -> None:
    app, otp = make_app(mongo_uri)
    with app.app_context():
        otp.initiate(PHONE, "sms")
    client = app.extensions["otp_auth"].mongo.cx
    del app
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
    with pytest.raises(InvalidOperation, match="after close"):
        client.admin.command("ping")


def test_close_waits_for_codes_that_are_being_sent(mongo_uri: str) -> None:
    app, otp = make_app(mongo_uri, OTP_AUTH_SEND_IN_BACKGROUND=True)
    sent: list[str] = []
    otp.send_code_handler(lambda code, *args: time.sleep(0.2) or sent.append(code) or True)
    with app.app_context():
        otp.initiate(PHONE, "sms")
    otp.close(app)
    otp.close(app)
    assert len(sent) == 1


def test_close_leaves_the_connections_of_the_host_open(make_world: MakeWorld) -> None:
    world = make_world()
    world.otp.close(world.app)
    world.initiate()


def test_close_says_if_the_app_is_none_of_its_own() -> None:
    with pytest.raises(RuntimeError, match="has not been initialised"):
        FlaskOtpAuth().close(Flask("other"))


def test_closing_takes_little_time_when_the_database_is_away() -> None:
    app, otp = make_app(f"mongodb://127.0.0.1:{free_port()}/app", OTP_AUTH_DB_TIMEOUT=0.1)
    with app.app_context(), pytest.raises(Exception, match="unavailable"):
        otp.initiate(PHONE, "sms")
    began = time.monotonic()
    otp.close(app)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("session_id", [None, 7, b"0" * 32, ["a"]])
def test_a_session_id_that_is_no_text_is_a_typed_error(
    make_world: MakeWorld, session_id: object
) -> None:
    world = make_world()
    with world.app.app_context():
        with pytest.raises(InvalidRequest) as caught:
            world.otp.get_session(session_id)  # type: ignore[arg-type]
        assert caught.value.fields == {"sessionId": ["Not a valid string."]}
        assert world.otp.get_session("") is None
