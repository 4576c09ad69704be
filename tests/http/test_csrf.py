"""A host with Flask-WTF's CSRFProtect on the whole app: people sign in, and its forms stay safe."""

from __future__ import annotations

import pytest
from flask import Flask
from flask_wtf import CSRFProtect
from support.servers import JSON, threaded
from support.world import MakeWorld, World


def protect(app: Flask) -> None:
    """Have Flask-WTF check all forms of *app*, which has one of its own."""
    CSRFProtect(app)
    app.add_url_rule("/form", view_func=lambda: "done", endpoint="form", methods=["POST"])


@pytest.fixture(params=[True, False], ids=["csrf first", "csrf later"])
def host(request: pytest.FixtureRequest, make_world: MakeWorld) -> World:
    if request.param:
        return make_world(prepare=protect)
    world = make_world()
    protect(world.app)
    return world


def test_people_sign_in_and_no_form_is_taken_from_another_origin(host: World) -> None:
    with threaded(host.app) as site:
        session_id = site.initiate()
        assert site.post("/otp/resend", {"sessionId": session_id}).status == 200
        assert site.verify(session_id, host.code).status == 200
        for media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            form = {"Content-Type": media_type}
            body = b'{"identifier": "+46701234567", "method": "sms"}'
            assert site.send("POST", "/otp/initiate", body, form).status == 415
            assert site.send("POST", "/form", b"a=b", form).status == 400
        assert site.send("POST", "/form", b"{}", JSON).status == 400


def test_people_sign_in_with_the_forms_of_the_login_page(make_world: MakeWorld) -> None:
    """They have no CSRF token: their origin is checked."""
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"]}
    host = make_world(prepare=protect, config=cookies, LOGIN_PAGE=True)
    with threaded(host.app) as site:
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": site.url}
        answer = site.send("POST", "/otp/login", b"via=email&identifier=a@example.com", form)
        assert answer.status == 200, answer.text
    assert len(host.outbox) == 1


def test_another_extension_of_that_name_is_left_alone(make_world: MakeWorld) -> None:
    world = make_world()
    world.app.extensions["csrf"] = object()
    world.initiate()


def test_people_stay_signed_in_and_sign_out(make_world: MakeWorld) -> None:
    host = make_world(prepare=protect, REFRESH_TOKEN=True)
    with threaded(host.app) as site:
        data = site.verify(site.initiate(), host.code).json["data"]
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
    make_world: MakeWorld, unprotected: dict[str, object], path: str
) -> None:
    config = {"JWT_TOKEN_LOCATION": ["cookies"], **unprotected}
    host = make_world(prepare=protect, config=config, REFRESH_TOKEN=True)
    with threaded(host.app) as site:
        answer = site.verify(site.initiate(), host.code)
        cookies = [header.partition(";")[0] for header in answer.headers.get_all("Set-Cookie")]
        sent = {"Cookie": "; ".join(cookies)}
        assert site.send("POST", f"/otp/{path}", headers=sent).status == 400
