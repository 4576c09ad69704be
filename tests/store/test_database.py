"""The options that a host chose for its client: none of them changes what we store or read."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import SON
from bson.codec_options import DatetimeConversion, TypeDecoder, TypeRegistry
from flask import Flask
from flask_pymongo import PyMongo
from pymongo import ReadPreference
from support.world import SECRET_KEY

from flask_otp_auth import ConfigurationError, FlaskOtpAuth
from flask_otp_auth.exceptions import SessionExpired

PHONE = "+46701234567"
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
    app = Flask("host")
    uri = f"{mongo_uri}?{chosen}" if isinstance(chosen, str) else mongo_uri
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=uri, OTP_AUTH_IDENTIFIER_LIMITS=None)
    mongo = PyMongo(app, **(chosen if isinstance(chosen, dict) else {}))
    yield app, FlaskOtpAuth(app, mongo=mongo)
    assert mongo.cx is not None
    mongo.cx.close()


@pytest.mark.parametrize("store", ["sessions", "accounts", "logins"])
def test_no_option_of_the_client_has_guesses_judged_by_a_copy_that_lags_behind(store: str) -> None:
    app = Flask("host")
    uri = "mongodb://127.0.0.1:1/host?w=0&readPreference=secondaryPreferred&readConcernLevel=available"
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=uri)
    otp = FlaskOtpAuth(app)

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
    client = app.test_client()
    body = {"identifier": PHONE, "method": "sms", "payload": PAYLOAD}

    def initiate() -> str:
        answer = client.post("/otp/initiate", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json["data"]["sessionId"])

    def verify(session_id: str, code: str) -> Any:
        return client.post("/otp/verify", json={"sessionId": session_id, "code": code})

    session_id = initiate()
    assert client.post("/otp/resend", json={"sessionId": session_id}).status_code == 200
    assert verify(session_id, "0000").status_code == 401
    answer = verify(session_id, codes[0])
    assert answer.status_code == 200, answer.text
    assert answer.json["data"]["user"] == {"id": 7, "payload": PAYLOAD}
    with app.app_context():
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
def test_uri_that_cannot_be_used_says_why_and_what_one_looks_like(uri, fault):
    app = Flask("app")
    app.config.update(SECRET_KEY="k" * 40, MONGO_URI=uri)
    with pytest.raises(ConfigurationError, match=rf"^MONGO_URI .*{fault}") as caught:
        FlaskOtpAuth(app)
    assert str(caught.value).endswith("the form is mongodb://user:password@host:27017/DATABASE")
    assert "word@" not in str(caught.value).replace("password@host", "")
