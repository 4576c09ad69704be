"""Connections: ours are closed, and no option of the host's client changes what we store."""

from __future__ import annotations

import collections
import gc
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import SON
from bson.codec_options import DatetimeConversion, TypeDecoder, TypeRegistry
from flask import Flask
from flask_pymongo import PyMongo
from pymongo import ReadPreference
from pymongo.errors import InvalidOperation
from support.servers import PATIENCE, python_path
from support.world import SECRET_KEY, MakeWorld

from flask_otp_auth import ConfigurationError, FlaskOtpAuth
from flask_otp_auth.exceptions import ServiceUnavailable, SessionExpired
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
    otp.send_code_handler(lambda *args: True)
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
    otp.send_code_handler(lambda code, *args: time.sleep(0.1) or sent.append(code) or True)
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
    with app.app_context(), pytest.raises(ServiceUnavailable):
        otp.initiate(PHONE, "sms")
    began = time.monotonic()
    otp.close(app)
    assert time.monotonic() - began < 5


PAYLOAD = {"returnUrl": "/", "n": [1, {"deep": True}]}


class Shouting(TypeDecoder):
    bson_type = str

    def transform_bson(self, value: str) -> str:
        return value.upper()


URIS = [
    *(f"readConcernLevel={level}" for level in ("snapshot", "linearizable", "majority")),
    *("w=0", "w=0&journal=false", "readPreference=secondary", "journal=true", "w=1"),
    *("retryWrites=false&retryReads=false", "tz_aware=true", "tz_aware=false"),
    *("maxPoolSize=1", "timeoutMS=20000", "compressors=zlib", "uuidRepresentation=standard"),
    "unicode_decode_error_handler=ignore",
]
OPTIONS: list[dict[str, Any]] = [
    {"datetime_conversion": DatetimeConversion.DATETIME_MS},
    {"datetime_conversion": "DATETIME_MS"},
    {"datetime_conversion": DatetimeConversion.DATETIME_CLAMP},
    {"datetime_conversion": DatetimeConversion.DATETIME_AUTO, "tz_aware": True},
    {"document_class": SON},
    {"document_class": collections.OrderedDict},
    {"type_registry": TypeRegistry([Shouting()])},
]


@pytest.fixture(params=[*URIS, *OPTIONS], ids=lambda chosen: str(chosen).split(" object at")[0])
def host(request: pytest.FixtureRequest, mongo_uri: str) -> Iterator[tuple[Flask, FlaskOtpAuth]]:
    chosen = request.param
    uri = f"{mongo_uri}?{chosen}" if isinstance(chosen, str) else mongo_uri
    app = Flask("host")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=uri, OTP_AUTH_IDENTIFIER_LIMITS=None)
    mongo = PyMongo(app, **(chosen if isinstance(chosen, dict) else {}))
    yield app, FlaskOtpAuth(app, mongo=mongo)
    assert mongo.cx is not None
    mongo.cx.close()


@pytest.mark.parametrize("store", ["sessions", "accounts", "logins"])
def test_no_option_of_the_client_has_guesses_judged_by_a_copy_that_lags_behind(store: str) -> None:
    options = "w=0&readPreference=secondaryPreferred&readConcernLevel=available"
    app, otp = make_app(f"mongodb://127.0.0.1:1/host?{options}")

    collection = getattr(app.extensions["otp_auth"], store).collection

    assert collection.read_preference == ReadPreference.PRIMARY
    assert collection.read_concern.document == {"level": "local"}
    assert collection.write_concern.document == {"w": "majority"}
    otp.close(app)


def test_no_option_of_the_client_makes_logins_fail(
    host: tuple[Flask, FlaskOtpAuth], clock: Any
) -> None:
    app, otp = host
    codes: list[str] = []
    otp.send_code_handler(lambda code, *args: codes.append(code) or True)
    otp.get_user_handler(lambda identifier, method, payload: {"id": 7, "payload": payload})
    otp.verify_success_handler(lambda user, *args: {"user": user, "token": "t"})
    with app.app_context():
        session_id = otp.initiate(PHONE, "sms", PAYLOAD).session_id
        assert otp.resend(session_id).session_id == session_id
        assert otp.verify(session_id, "0000").status == "invalid_code"
        assert otp.verify(session_id, codes[0]).user == {"id": 7, "payload": PAYLOAD}
        session = otp.get_session(session_id)
        assert session is not None
        assert session.expires_at - session.created_at == timedelta(seconds=300)
        assert session.expires_at.utcoffset() == timedelta(0)
        assert type(session.payload) is dict
        late = otp.initiate(PHONE, "sms").session_id
        clock.shift(300)
        with pytest.raises(SessionExpired):
            otp.resend(late)
        otp.unlock(PHONE, "sms")


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("localhost/app", "begins with neither mongodb:// nor mongodb[+]srv://"),
        ("mongodb://user:pass@word@host/app", "must be encoded with urllib.parse.quote_plus"),
        ("mongodb://user:pass/word@host/app", "must be encoded with urllib.parse.quote_plus"),
        ("mongodb://user:pass:word@host/app", "must be encoded with urllib.parse.quote_plus"),
        ("mongodb://host/app?retryWrites=maybe", "is no URI that PyMongo can read"),
        (27017, "is an? int"),
    ],
)
def test_uri_that_cannot_be_used_says_why_and_what_one_looks_like(uri: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^MONGO_URI .*{fault}") as caught:
        make_app(uri)
    assert str(caught.value).endswith("the form is mongodb://user:password@host:27017/DATABASE")
    assert "word@" not in str(caught.value).replace("password@host", "")
