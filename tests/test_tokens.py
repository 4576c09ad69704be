"""The tokens that are made when the host makes none: for whom, how and when they signed in."""

from __future__ import annotations

import dataclasses
import enum
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from uuid import UUID

import pytest
from bson import ObjectId
from flask import Flask
from flask_jwt_extended import JWTManager, decode_token, jwt_required
from support.world import NOW, SECRET_KEY

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.exceptions import AuthenticationFailed
from flask_otp_auth.tokens import user_id

PHONE = "+46701234567"
EMAIL = "user@example.com"
HEX = "65a1b2c3d4e5f60718293a4b"


@dataclasses.dataclass
class Account:
    id: int


class Document:
    _id = ObjectId(HEX)


def sign_in(world, identifier=PHONE, method="sms"):
    with world.app.app_context():
        session_id = world.otp.initiate(identifier, method).session_id
        return world.otp.verify(session_id, world.code)


def claims_of(world, token):
    with world.app.app_context():
        return decode_token(token)


USERS = [
    ({"id": "7"}, "7"),
    ({"id": 7}, "7"),
    ({"id": 0}, "0"),
    ({"_id": ObjectId(HEX)}, HEX),
    ({"_id": HEX, "name": "User"}, HEX),
    ({"id": "7", "_id": ObjectId(HEX)}, "7"),
    ({"id": None, "_id": ObjectId(HEX)}, HEX),
    (MappingProxyType({"id": 7}), "7"),
    ({"id": UUID(int=7)}, str(UUID(int=7))),
    (SimpleNamespace(id=7), "7"),
    (SimpleNamespace(id=None, _id="x"), "x"),
    (Account(7), "7"),
    (Document(), HEX),
]


@pytest.mark.parametrize(("user", "id_"), USERS)
def test_the_token_is_for_the_id_of_the_user_as_a_string(world, user, id_):
    world.users[PHONE] = user
    result = sign_in(world)
    assert claims_of(world, result.token)["sub"] == id_
    assert result.user == {"id": id_}


@pytest.mark.parametrize(
    "user", [{}, {"id": None}, {"id": ""}, {"ID": 1}, object(), "7", 7, ["id"], SimpleNamespace()]
)
def test_nobody_is_signed_in_without_an_id(user):
    with pytest.raises(TypeError, match=r"no id"):
        user_id(user)


class Kind(enum.Enum):
    A = "a"


class Model:
    def id(self):
        return 7


NO_IDS = [
    *(
        False,
        True,
        b"7",
        7.0,
        float("nan"),
        {"a": 1},
        {},
        [7],
        (7,),
        Kind.A,
        enum.IntEnum("E", "A").A,
    ),
    *(Model().id, Model, object(), Decimal(7), ""),
]


@pytest.mark.parametrize("id_", NO_IDS, ids=[repr(id_)[:12] for id_ in NO_IDS])
@pytest.mark.parametrize("source", ["dict", "object", "loader"])
def test_what_is_no_id_gets_no_token(world, caplog, source, id_):
    if source == "loader":
        manager_of(world).user_identity_loader(lambda user: id_)
    world.users[PHONE] = SimpleNamespace(id=id_) if source == "object" else {"id": id_}
    session = world.initiate()
    answer = world.verify(session, world.code)
    assert answer.status_code == 500
    assert answer.json["error"]["detail"] == "Failed to complete authentication"
    assert answer.json["error"]["id"] in caplog.text
    assert "an id is a str that is not empty, an int, a UUID or an ObjectId" in caplog.text


def test_a_method_named_id_gets_no_token():
    with pytest.raises(TypeError, match="a method, which is no id"):
        user_id(Model())


@pytest.mark.parametrize("user", [Model(), {"of": Model()}])
def test_an_object_of_an_orm_as_the_user_is_said_with_what_to_return_instead(world, caplog, user):
    @world.otp.verify_success_handler
    def on_success(found, identifier, method, payload):
        return {"user": user, "token": "t"}

    session = world.initiate()
    assert world.verify(session, world.code).status_code == 500
    assert "a Model has no JSON form: return a dict of what the client may see" in caplog.text


def test_the_error_about_a_user_without_id_does_not_show_the_user():
    with pytest.raises(TypeError) as caught:
        user_id({"email": EMAIL})
    assert EMAIL not in str(caught.value)


@pytest.mark.parametrize(
    ("identifier", "method", "amr"), [(PHONE, "sms", ["otp", "sms"]), (EMAIL, "email", ["otp"])]
)
def test_the_token_says_how_the_user_was_authenticated(world, identifier, method, amr):
    assert claims_of(world, sign_in(world, identifier, method).token)["amr"] == amr


def test_the_token_says_when_the_code_was_typed_and_not_when_it_was_sent(world, clock):
    with world.app.app_context():
        session_id = world.otp.initiate(PHONE, "sms").session_id
        clock.shift(timedelta(seconds=42, milliseconds=700))
        claims = decode_token(world.otp.verify(session_id, world.code).token)
    assert claims["auth_time"] == int(NOW.timestamp()) + 42
    assert type(claims["auth_time"]) is int


def test_a_token_of_a_fresh_login_is_fresh(world):
    claims = claims_of(world, sign_in(world).token)
    assert claims["fresh"] is True
    assert claims["type"] == "access"


def test_a_refresh_token_comes_only_if_asked_for(make_world):
    assert sign_in(make_world()).refresh_token is None


def test_a_refresh_token_is_for_the_same_user_and_login(make_world):
    world = make_world(REFRESH_TOKEN=True)
    world.users[PHONE] = {"id": 7}
    result = sign_in(world)
    access = claims_of(world, result.token)
    refresh = claims_of(world, result.refresh_token)
    assert (access["type"], refresh["type"]) == ("access", "refresh")
    for name in ("sub", "amr", "auth_time"):
        assert refresh[name] == access[name]


def test_a_protected_view_of_the_host_takes_the_token(world):
    @world.app.get("/me")
    @jwt_required(fresh=True)
    def me():
        return "welcome"

    token = sign_in(world).token
    answer = world.client.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.text) == (200, "welcome")
    assert world.client.get("/me").status_code == 401


def manager_of(world):
    return world.app.extensions["flask-jwt-extended"]


@pytest.mark.parametrize("name", ["user", 7])
def test_the_identity_loader_of_the_host_sees_the_user_and_wins(make_world, name):
    world = make_world(REFRESH_TOKEN=True)
    user = world.users[PHONE] = {"id": "7", "name": name}
    seen = []
    manager_of(world).user_identity_loader(lambda user: seen.append(user) or user["name"])
    result = sign_in(world)
    assert claims_of(world, result.token)["sub"] == str(name)
    assert claims_of(world, result.refresh_token)["sub"] == str(name)
    assert result.user == {"id": str(name)}
    assert all(given is user for given in seen)


def test_with_an_identity_loader_a_user_needs_no_id(world):
    world.users[PHONE] = "7"
    manager_of(world).user_identity_loader(lambda user: f"user {user}")
    assert claims_of(world, sign_in(world).token)["sub"] == "user 7"


@pytest.mark.parametrize(
    "loader",
    [lambda user: None, lambda user: "", lambda user: user["name"]],
    ids=["None", "empty", "raises"],
)
def test_an_identity_loader_that_finds_nobody_signs_nobody_in(world, loader):
    manager_of(world).user_identity_loader(loader)
    with pytest.raises(AuthenticationFailed):
        sign_in(world)


def test_claims_of_the_host_are_kept_but_cannot_say_how_or_who_signed_in(make_world, clock):
    world = make_world(REFRESH_TOKEN=True)
    world.users[PHONE] = {"id": "7"}
    manager_of(world).additional_claims_loader(
        lambda identity: {
            "role": f"role of {identity}",
            "amr": ["pwd", "mfa"],
            "auth_time": 0,
            "sub": "another user",
        }
    )
    result = sign_in(world)
    for token in (result.token, result.refresh_token):
        claims = claims_of(world, token)
        assert claims["role"] == "role of 7"
        assert claims["amr"] == ["otp", "sms"]
        assert claims["auth_time"] == int(NOW.timestamp())
        assert claims["sub"] == "7"


def test_another_name_of_the_identity_claim_is_used(make_world):
    world = make_world(config={"JWT_IDENTITY_CLAIM": "uid"})
    world.users[PHONE] = {"id": 7}
    claims = claims_of(world, sign_in(world).token)
    assert claims["uid"] == "7"
    assert "sub" not in claims


def test_the_lifetime_that_the_host_set_is_used(make_world, clock):
    world = make_world(config={"JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=1)})
    claims = claims_of(world, sign_in(world).token)
    assert claims["exp"] - claims["iat"] == 60


def make_app(mongo_uri):
    app = Flask("app")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=mongo_uri)
    return app


def test_the_manager_of_the_host_stays_with_its_callbacks(mongo_uri):
    app = make_app(mongo_uri)
    manager = JWTManager(app)
    FlaskOtpAuth(app)
    assert app.extensions["flask-jwt-extended"] is manager


def test_a_manager_is_made_if_the_app_has_none(mongo_uri):
    app = make_app(mongo_uri)
    FlaskOtpAuth(app)
    assert isinstance(app.extensions["flask-jwt-extended"], JWTManager)


def test_a_manager_that_the_host_makes_later_is_used(world):
    later = JWTManager(world.app)
    later.user_identity_loader(lambda user: "by the later one")
    assert sign_in(world).user == {"id": "by the later one"}


def test_tokens_are_signed_with_the_key_of_the_host(make_world):
    worlds = [make_world(config={"JWT_SECRET_KEY": letter * 32}) for letter in "ab"]
    token = sign_in(worlds[0]).token
    assert claims_of(worlds[0], token)["sub"]
    with pytest.raises(Exception, match="Signature verification failed"):
        claims_of(worlds[1], token)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_algorithm_of_the_host_is_used(make_world, algorithm):
    world = make_world(config={"JWT_SECRET_KEY": "k" * 64, "JWT_ALGORITHM": algorithm})
    assert claims_of(world, sign_in(world).token)["sub"] == f"user of {PHONE}"
