"""FlaskOtpAuth: starting it on one or several apps, and signing in from Python."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from datetime import UTC, timedelta

import pytest
from bson import ObjectId
from flask import Flask
from flask.json.provider import DefaultJSONProvider
from flask_pymongo import PyMongo
from pymongo import MongoClient
from support.world import NOW, SECRET_KEY, UNGUARDED

from flask_otp_auth import (
    ConfigurationError,
    FlaskOtpAuth,
    InitiateResult,
    OtpAuthError,
    Session,
    VerifyResult,
)
from flask_otp_auth.exceptions import (
    InvalidIdentifier,
    InvalidRequest,
    SessionAlreadyVerified,
)
from flask_otp_auth.types import AccountId

PHONE = "+46701234567"
EMAIL = "user@example.com"
UNKNOWN = "0" * 32


def make_app(mongo_uri=None, **config):
    app = Flask("app")
    app.config.update({f"OTP_AUTH_{key}": value for key, value in UNGUARDED.items()})
    app.config.update(SECRET_KEY=SECRET_KEY, **config)
    if mongo_uri is not None:
        app.config["MONGO_URI"] = mongo_uri
    return app


def with_handlers(otp):
    """Register handlers that let everybody in; return the list of codes that were sent."""
    codes = []
    otp.send_code_handler(lambda code, *rest: codes.append(code) or True)
    otp.get_user_handler(lambda identifier, *rest: {"id": identifier})
    return codes


def sign_in(app, otp, codes, identifier=PHONE, method="sms"):
    with app.app_context():
        session_id = otp.initiate(identifier, method).session_id
        return otp.verify(session_id, codes[-1])


@pytest.fixture
def databases(mongo_uri):
    """The MongoDB clients that the extension made, closed after the test."""
    apps = []
    yield apps
    for app in apps:
        app.extensions["otp_auth"].mongo.cx.close()


@pytest.mark.parametrize("start", ["constructor", "init_app"])
def test_the_extension_starts_both_ways(mongo_uri, databases, start):
    app = make_app(mongo_uri)
    if start == "constructor":
        otp = FlaskOtpAuth(app)
    else:
        otp = FlaskOtpAuth()
        otp.init_app(app)
    databases.append(app)
    assert sign_in(app, otp, with_handlers(otp)).status == "success"


@pytest.mark.parametrize("another", [False, True], ids=["same", "another"])
def test_starting_twice_on_one_app_is_an_error_and_not_a_second_state(world, another):
    state = world.app.extensions["otp_auth"]
    with pytest.raises(RuntimeError, match="initialised on this app before"):
        (FlaskOtpAuth() if another else world.otp).init_app(world.app, mongo=world.mongo)
    assert world.app.extensions["otp_auth"] is state


def test_one_instance_serves_several_apps_each_with_its_own_state(mongo_uri, databases):
    otp = FlaskOtpAuth()
    apps = [
        make_app(mongo_uri, OTP_AUTH_COLLECTION="first", OTP_AUTH_METHODS=["sms"]),
        make_app(
            mongo_uri,
            OTP_AUTH_COLLECTION="second",
            OTP_AUTH_METHODS=["email"],
            OTP_AUTH_CODE_LENGTH=8,
        ),
    ]
    for app in apps:
        otp.init_app(app)
        databases.append(app)
    codes = with_handlers(otp)
    assert sign_in(apps[0], otp, codes, PHONE, "sms").user == {"id": PHONE}
    assert sign_in(apps[1], otp, codes, EMAIL, "email").user == {"id": EMAIL}
    assert [len(code) for code in codes] == [6, 8]
    with apps[0].app_context():
        session_id = otp.initiate(PHONE, "sms").session_id
        with pytest.raises(InvalidRequest):
            otp.initiate(EMAIL, "email")
    with apps[1].app_context():
        assert otp.get_session(session_id) is None
        assert otp.verify(session_id, codes[-1]).status == "not_found"
        with pytest.raises(InvalidRequest):
            otp.initiate(PHONE, "sms")


def test_a_session_of_one_app_is_worthless_under_the_key_of_another(mongo_uri, databases):
    otp = FlaskOtpAuth()
    apps = [make_app(mongo_uri, OTP_AUTH_SECRET_KEY=letter * 32) for letter in "ab"]
    for app in apps:
        otp.init_app(app)
        databases.append(app)
    codes = with_handlers(otp)
    with apps[0].app_context():
        session_id = otp.initiate(PHONE, "sms").session_id
    with apps[1].app_context():
        assert otp.verify(session_id, codes[0]).status == "invalid_code"


CALLS = {
    "initiate": lambda otp: otp.initiate(PHONE, "sms"),
    "resend": lambda otp: otp.resend(UNKNOWN),
    "verify": lambda otp: otp.verify(UNKNOWN, "123456"),
    "unlock": lambda otp: otp.unlock(PHONE, "sms"),
    "get_session": lambda otp: otp.get_session(UNKNOWN),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_forgotten_init_app_says_so(world, call):
    stranger = FlaskOtpAuth()
    with pytest.raises(RuntimeError, match="application context"):
        CALLS[call](world.otp)
    with Flask("bare").app_context(), pytest.raises(RuntimeError, match=r"call init_app\(app\)"):
        CALLS[call](world.otp)
    with world.app.app_context(), pytest.raises(RuntimeError, match="has not been initialised"):
        CALLS[call](stranger)


def test_the_extension_does_not_keep_an_app_alive(mongo_uri):
    otp = FlaskOtpAuth()
    app = make_app(mongo_uri)
    otp.init_app(app)
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_a_client_of_our_own_leaves_the_json_of_the_host_as_it_was(mongo_uri, databases):
    class HostJSON(DefaultJSONProvider):
        pass

    app = make_app(mongo_uri)
    provider = app.json = HostJSON(app)
    otp = FlaskOtpAuth(app)
    databases.append(app)
    assert app.json is provider
    assert sign_in(app, otp, with_handlers(otp)).status == "success"


def test_the_client_of_the_host_is_used_and_needs_no_uri_in_the_config(mongo_uri):
    app = make_app()
    mongo = PyMongo(app, uri=mongo_uri)
    provider = app.json
    otp = FlaskOtpAuth(app, mongo=mongo)
    assert sign_in(app, otp, with_handlers(otp)).status == "success"
    assert mongo.db["otp_sessions"].count_documents({}) == 1
    assert app.json is provider
    mongo.cx.close()


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("http://127.0.0.1/otp", "is not accepted"),
        ("mongodb://", "is not accepted"),
        ("mongodb://user:hunter2@127.0.0.1:port/otp", "is not accepted"),
        ("mongodb://127.0.0.1/otp?notAnOption", "is not accepted"),
        (27017, "is not accepted"),
        ("mongodb://127.0.0.1:9", "names no database"),
        ("mongodb://127.0.0.1:9/", "names no database"),
    ],
)
def test_a_uri_that_leads_nowhere_stops_the_start_and_shows_no_password(uri, text):
    app = make_app(uri)
    with pytest.raises(ConfigurationError, match=text) as caught:
        FlaskOtpAuth(app)
    assert caught.value.key == "MONGO_URI"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "otp_auth" not in app.extensions


def test_a_client_of_the_host_without_a_database_stops_the_start():
    app = make_app()
    with pytest.raises(ConfigurationError, match="names no database"):
        FlaskOtpAuth(app, mongo=PyMongo(app, uri="mongodb://127.0.0.1:9"))


def test_a_client_that_the_host_forgot_to_initialise_stops_the_start():
    with pytest.raises(ConfigurationError, match=r"mongo\.init_app\(app\)") as caught:
        FlaskOtpAuth(make_app(), mongo=PyMongo())
    assert caught.value.key == "mongo"


@pytest.mark.parametrize("wrong", ["client", "database", "uri"])
def test_what_is_no_pymongo_is_refused_and_not_taken_for_a_database(wrong):
    with MongoClient("mongodb://127.0.0.1:9/otp", connect=False) as client:
        mongo = {"client": client, "database": client["otp"], "uri": "mongodb://127.0.0.1:9/otp"}
        with pytest.raises(ConfigurationError) as caught:
            FlaskOtpAuth(make_app(), mongo=mongo[wrong])
    assert caught.value.key == "mongo"


def routes(app):
    return {rule.rule: rule.methods for rule in app.url_map.iter_rules() if "otp" in rule.endpoint}


@pytest.mark.parametrize("prefix", ["/otp", "/api/v1/login", "/otp/", "/"])
def test_the_endpoints_are_below_the_prefix(make_world, prefix):
    world = make_world(URL_PREFIX=prefix)
    base = prefix.rstrip("/")
    assert set(routes(world.app)) == {
        *(f"{base}/{name}" for name in ("initiate", "resend", "verify", "logout")),
        f"{base}/static/otp_auth/<path:filename>",
    }
    assert all(
        methods == ({"GET", "HEAD", "OPTIONS"} if "/static/" in path else {"POST", "OPTIONS"})
        for path, methods in routes(world.app).items()
    )
    answer = world.client.post(f"{base}/initiate", json={"identifier": PHONE, "method": "sms"})
    assert answer.status_code == 200


def test_without_routes_python_still_signs_in(make_world):
    world = make_world(REGISTER_ROUTES=False)
    assert routes(world.app) == {}
    assert world.client.post("/otp/initiate", json={}).status_code == 404
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        assert world.otp.verify(session_id, world.code).status == "success"


def test_a_host_error_handler_does_not_hide_ours(world):
    @world.app.errorhandler(Exception)
    def apology(error):
        return "sorry", 418

    answer = world.client.post("/otp/verify", json={})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "badRequest")


def test_initiate_gives_what_a_page_needs_to_go_on(world, clock):
    with world.app.app_context():
        result = world.otp.initiate("+46 (0)70-123 45 67", "sms", {"a": 1})
    assert isinstance(result, InitiateResult)
    assert len(result.session_id) == 32
    assert result.expires_at == NOW + timedelta(seconds=300)
    assert result.expires_at.tzinfo is UTC
    assert result.ttl == 300
    (sent,) = world.outbox
    assert (sent.identifier, sent.method, sent.payload) == (PHONE, "sms", {"a": 1})
    assert len(sent.code) == 6


def test_every_session_has_a_code_and_an_id_of_its_own(world):
    with world.app.app_context():
        ids = [world.otp.initiate(PHONE, "sms").session_id for _ in range(5)]
    assert len(set(ids)) == 5
    assert len({sent.code for sent in world.outbox}) > 1


@pytest.mark.parametrize(("ttl", "length", "attempts"), [(30, 8, 1), (600, 7, 10)])
def test_the_options_shape_the_session(make_world, clock, ttl, length, attempts):
    world = make_world(CODE_TTL=ttl, CODE_LENGTH=length, MAX_ATTEMPTS=attempts)
    with world.app.app_context():
        result = world.otp.initiate(PHONE, "sms")
        session = world.otp.get_session(result.session_id)
    assert result.ttl == ttl
    assert result.expires_at == session.expires_at == NOW + timedelta(seconds=ttl)
    assert len(world.code) == length
    assert session.max_attempts == attempts


def outcome(**changes):
    return VerifyResult(**{"status": None, **changes})


WRONG_ONCE = outcome(
    status="invalid_code", message="Invalid verification code", remaining_attempts=2
)
WRONG_TWICE = dataclasses.replace(WRONG_ONCE, remaining_attempts=1)
LOCKED = outcome(
    status="locked", message="Too many failed attempts. Session is locked.", remaining_attempts=0
)
EXPIRED = outcome(status="expired", message="Verification code has expired")
NO_SESSION = outcome(status="not_found", message="Session not found or expired")
NO_USER = outcome(status="not_found", message="User not found")


def test_wrong_codes_count_down_to_a_lock_that_the_right_code_does_not_open(world):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        typed = [world.wrong_code, "12345", world.wrong_code, world.code]
        results = [world.otp.verify(session_id, code) for code in typed]
    assert results == [WRONG_ONCE, WRONG_TWICE, LOCKED, LOCKED]


def test_the_right_code_gives_a_user_and_a_token_once(world):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        result = world.otp.verify(session_id, f" {world.code[:3]}-{world.code[3:]} ")
        with pytest.raises(SessionAlreadyVerified):
            world.otp.verify(session_id, world.code)
        with pytest.raises(SessionAlreadyVerified):
            world.otp.verify(session_id, world.wrong_code)
    assert isinstance(result, VerifyResult)
    assert (result.status, result.message, result.remaining_attempts) == ("success", None, None)
    assert result.user == {"id": f"user of {PHONE}"}
    assert result.token.count(".") == 2


def test_a_late_code_is_expired_whether_right_or_wrong(world, clock):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        clock.shift(300)
        assert world.otp.verify(session_id, world.wrong_code) == EXPIRED
        assert world.otp.verify(session_id, world.code) == EXPIRED
        clock.move_to(NOW)
        assert world.otp.verify(session_id, world.code) == EXPIRED


@pytest.mark.parametrize(
    "session_id", [UNKNOWN, "x", "0" * 31, "0" * 33, "0" * 32 + "\n", "A" * 32, "$ne", "\0" * 32]
)
def test_an_unknown_session_is_not_found(world, session_id):
    with world.app.app_context():
        assert world.otp.verify(session_id, "123456") == NO_SESSION
        assert world.otp.get_session(session_id) is None


def test_the_id_of_a_session_is_taken_as_it_was_given(world):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        for other in (session_id.upper(), f" {session_id}", f"{session_id}\n"):
            if other != session_id:
                assert world.otp.verify(other, world.code) == NO_SESSION
        assert world.otp.get_session(session_id).attempts == 0


@pytest.mark.parametrize("nobody", [None, False])
def test_the_right_code_of_nobody_is_not_found(world, nobody):
    world.users[PHONE] = nobody
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        assert world.otp.verify(session_id, world.code) == NO_USER


def test_the_code_of_another_session_is_wrong(world):
    with world.app.app_context():
        first = world.otp.initiate(PHONE, "sms").session_id
        while True:
            world.otp.initiate(PHONE, "sms")
            if world.outbox[-1].code != world.outbox[0].code:
                break
        assert world.otp.verify(first, world.code) == WRONG_ONCE


@pytest.mark.parametrize(
    ("arguments", "error", "fields"),
    [
        ((5, "sms"), InvalidRequest, ["identifier"]),
        ((None, "sms"), InvalidRequest, ["identifier"]),
        ((PHONE.encode(), "sms"), InvalidRequest, ["identifier"]),
        ((PHONE, b"sms"), InvalidRequest, ["method"]),
        ((PHONE, "voice"), InvalidRequest, ["method"]),
        ((PHONE, None), InvalidRequest, ["method"]),
        ((PHONE, "sms", "text"), InvalidRequest, ["payload"]),
        ((PHONE, "sms", {"$where": 1}), InvalidRequest, ["payload"]),
        ((PHONE, "sms", {"a": ObjectId()}), InvalidRequest, ["payload"]),
        ((EMAIL, "sms"), InvalidIdentifier, None),
        ((PHONE, "email"), InvalidIdentifier, None),
        (("", "sms"), InvalidIdentifier, None),
    ],
)
def test_what_http_refuses_python_refuses_too(world, arguments, error, fields):
    with world.app.app_context(), pytest.raises(error) as caught:
        world.otp.initiate(*arguments)
    assert type(caught.value) is error
    assert isinstance(caught.value, OtpAuthError)
    assert (None if caught.value.fields is None else list(caught.value.fields)) == fields
    assert world.outbox == []
    assert world.sessions.count_documents({}) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessionId", None),
        ("sessionId", 5),
        ("sessionId", b"0" * 32),
        ("sessionId", {"$ne": None}),
        ("sessionId", ""),
        ("code", 123456),
        ("code", b"123456"),
        ("code", None),
        ("code", ""),
        ("code", " - "),
        ("code", "1" * 65),
        ("code", {"$ne": ""}),
        ("code", "\ud800"),
    ],
)
def test_what_was_not_typed_as_a_code_costs_no_try(world, name, value):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        arguments = {"sessionId": session_id, "code": world.code, name: value}
        with pytest.raises(InvalidRequest) as caught:
            world.otp.verify(*arguments.values())
        assert list(caught.value.fields) == [name]
        assert world.otp.get_session(session_id).attempts == 0
        assert world.otp.get_session(session_id).status == "pending"


@pytest.mark.parametrize("typed", ["12345", "1234567", "0{code}", "{code}0"])
def test_another_code_is_a_wrong_try(world, typed):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        assert world.otp.verify(session_id, typed.format(code=world.code)) == WRONG_ONCE


@pytest.mark.parametrize("typed", ["12", "+{code}", "Your code is {code}.", "x" * 64])
def test_what_cannot_be_a_code_is_wrong_and_no_try(world, typed):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        result = world.otp.verify(session_id, typed.format(code=world.code))
        assert (result.status, result.remaining_attempts) == ("invalid_code", 3)
        assert world.otp.verify(session_id, world.code).status == "success"


@pytest.mark.parametrize("name", ["session_id", "status", "token", "user", "attempts", "new"])
def test_no_result_can_be_changed_after_the_fact(world, name):
    with world.app.app_context():
        started = world.otp.initiate(PHONE, "sms")
        session = world.otp.get_session(started.session_id)
        result = world.otp.verify(started.session_id, world.code)
    for frozen in (started, session, result):
        with pytest.raises((AttributeError, TypeError)):
            setattr(frozen, name, "changed")


def test_a_session_can_be_looked_at_all_through_its_life(world, clock):
    with world.app.app_context():
        started = world.otp.initiate(PHONE, "sms", {"a": [1]})
        session = world.otp.get_session(started.session_id)
        assert session == Session(
            session_id=started.session_id,
            identifier=PHONE,
            method="sms",
            status="pending",
            attempts=0,
            max_attempts=3,
            created_at=NOW,
            expires_at=NOW + timedelta(seconds=300),
            verified_at=None,
            payload={"a": [1]},
            account=AccountId.parse(world.sessions.find_one()["account"]),
        )
        world.otp.verify(started.session_id, world.wrong_code)
        assert world.otp.get_session(started.session_id).attempts == 1
        clock.shift(10)
        world.otp.verify(started.session_id, world.code)
        session = world.otp.get_session(started.session_id)
    assert (session.status, session.verified_at) == ("verified", NOW + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("ended", "later", "seen"),
    [
        (None, 299.999, "pending"),
        (None, 300, "expired"),
        ("verified", 301, "verified"),
        ("locked", 301, "locked"),
    ],
)
def test_a_session_past_its_time_is_expired_unless_it_ended_otherwise(
    world, clock, ended, later, seen
):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        if ended == "verified":
            world.otp.verify(session_id, world.code)
        elif ended == "locked":
            for _ in range(3):
                world.otp.verify(session_id, world.wrong_code)
        clock.move_to(NOW + timedelta(seconds=later))
        assert world.otp.get_session(session_id).status == seen


def test_python_and_http_work_on_the_same_sessions(world):
    session_id = world.initiate()
    with world.app.app_context():
        assert world.otp.verify(session_id, world.wrong_code) == WRONG_ONCE
    assert world.verify(session_id, world.code).status_code == 200
    with world.app.app_context(), pytest.raises(SessionAlreadyVerified):
        world.otp.verify(session_id, world.code)


def test_a_view_of_the_host_can_sign_in_from_python(world):
    @world.app.post("/login/<session_id>/<code>")
    def login(session_id, code):
        return {"status": world.otp.verify(session_id, code).status}

    session_id = world.initiate()
    assert world.client.post(f"/login/{session_id}/{world.code}").json == {"status": "success"}
    assert world.client.post(f"/login/{session_id}/{world.code}").status_code == 400
