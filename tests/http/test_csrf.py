"""A host with Flask-WTF's CSRFProtect on the whole app: people sign in, and its forms stay safe."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from flask import Flask
from flask_pymongo import PyMongo
from flask_wtf import CSRFProtect
from support.servers import JSON, Answer, threaded
from support.world import SECRET_KEY, MakeWorld

from flask_otp_auth import FlaskOtpAuth

LOGIN = {"identifier": "+46701234567", "method": "sms"}


class Host:
    def __init__(self, uri: str, *, csrf_first: bool, **config: object) -> None:
        self.app = Flask("host")
        self.app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=uri, **config)
        self.mongo = PyMongo(self.app)
        self.codes: list[str] = []
        csrf, self.otp = CSRFProtect(), FlaskOtpAuth()
        steps: list[Callable[[], object]] = [
            lambda: csrf.init_app(self.app),
            lambda: self.otp.init_app(self.app, mongo=self.mongo),
        ]
        for step in steps if csrf_first else reversed(steps):
            step()
        self.otp.send_code_handler(lambda code, *args: self.codes.append(code) or True)
        self.otp.get_user_handler(lambda *args: {"id": 7})
        jwt = self.app.extensions["flask-jwt-extended"]
        jwt.user_lookup_loader(lambda header, claims: {"id": claims["sub"]})
        self.app.add_url_rule("/form", view_func=lambda: "done", endpoint="form", methods=["POST"])


@pytest.fixture(params=[True, False], ids=["csrf first", "csrf later"])
def host(request: pytest.FixtureRequest, mongo_uri: str):
    host = Host(mongo_uri, csrf_first=request.param)
    yield host
    host.mongo.cx.close()


def test_people_sign_in(host: Host) -> None:
    with threaded(host.app) as site:
        session_id = site.initiate()
        answer: Answer = site.post("/otp/resend", {"sessionId": session_id})
        assert answer.status == 429  # the cooldown, and no CSRF error
        assert site.verify(session_id, host.codes[-1]).status == 200


def test_people_sign_in_with_the_forms_of_the_login_page(mongo_uri: str) -> None:
    """They have no CSRF token: their origin is checked."""
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"], "OTP_AUTH_LOGIN_PAGE": True}
    host = Host(mongo_uri, csrf_first=True, **cookies)
    with contextlib.closing(host.mongo.cx), threaded(host.app) as site:
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": site.url}
        answer = site.send("POST", "/otp/login", b"via=email&identifier=a@example.com", form)
        assert answer.status == 200, answer.text
    assert len(host.codes) == 1


def test_the_forms_of_the_host_stay_protected(host: Host) -> None:
    with threaded(host.app) as site:
        site.initiate()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert site.send("POST", "/form", b"a=b", form).status == 400
        assert site.send("POST", "/form", b"{}", JSON).status == 400


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
)
def test_what_a_page_of_another_origin_can_send_is_refused(host: Host, media_type: str) -> None:
    with threaded(host.app) as site:
        body = b'{"identifier": "+46701234567", "method": "sms"}'
        answer = site.send("POST", "/otp/initiate", body, {"Content-Type": media_type})
        assert answer.status == 415
    assert host.codes == []


def test_another_extension_of_that_name_is_left_alone(make_world: MakeWorld) -> None:
    world = make_world()
    world.app.extensions["csrf"] = object()
    world.initiate()


def test_people_stay_signed_in_and_sign_out(mongo_uri: str) -> None:
    host = Host(mongo_uri, csrf_first=True, OTP_AUTH_REFRESH_TOKEN=True)
    with threaded(host.app) as site, contextlib.closing(host.mongo.cx):
        data = site.verify(site.initiate(), host.codes[-1]).json["data"]
        for path, status in (("refresh", 200), ("logout", 204)):
            bearer = {"Authorization": f"Bearer {data['refreshToken']}"}
            answer = site.send("POST", f"/otp/{path}", headers=bearer)
            assert answer.status == status, answer.text


@pytest.mark.filterwarnings("ignore:JWT_COOKIE_CSRF_PROTECT is False")
@pytest.mark.filterwarnings("ignore:JWT_CSRF_METHODS lacks")
@pytest.mark.parametrize("path", ["refresh", "logout"])
@pytest.mark.parametrize(
    "unprotected", [{"JWT_COOKIE_CSRF_PROTECT": False}, {"JWT_CSRF_METHODS": ["PUT", "DELETE"]}]
)
def test_cookies_without_csrf_tokens_of_their_own_keep_the_protection_of_the_host(
    mongo_uri: str, unprotected: dict[str, object], path: str
) -> None:
    host = Host(
        mongo_uri,
        csrf_first=True,
        OTP_AUTH_REFRESH_TOKEN=True,
        JWT_TOKEN_LOCATION=["cookies"],
        **unprotected,
    )
    with threaded(host.app) as site, contextlib.closing(host.mongo.cx):
        answer = site.verify(site.initiate(), host.codes[-1])
        cookies = [header.partition(";")[0] for header in answer.headers.get_all("Set-Cookie")]
        sent = {"Cookie": "; ".join(cookies)}
        assert site.send("POST", f"/otp/{path}", headers=sent).status == 400
