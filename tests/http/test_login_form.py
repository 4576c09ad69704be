"""The forms of the login page, as a browser posts them that does not run its script."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask, request
from flask_jwt_extended import jwt_required
from flask_limiter import Limiter
from support.world import MakeWorld, World

from flask_otp_auth.exceptions import Refused
from flask_otp_auth.http.client_key import client_key

HOME = {"Origin": "http://localhost"}
ADDRESS = "reader@example.com"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(config={"JWT_TOKEN_LOCATION": ["cookies"]}, LOGIN_PAGE=True)


def ask(world: World, headers: dict[str, str] = HOME, **form: str) -> Any:
    form = form if "session" in form else {"via": "email", "identifier": ADDRESS, **form}
    return world.client.post("/otp/login?next=/me", data=form, headers=headers)


def session_of(answer: Any) -> str:
    [session_id] = re.findall(r'name="session" value="([0-9a-f]{32})"', answer.text)
    return str(session_id)


def test_person_without_javascript_signs_in_and_goes_on_to_next(world: World) -> None:
    @world.app.get("/me")
    @jwt_required()
    def me() -> str:
        return "welcome"

    second_step = ask(world)
    assert second_step.status_code == 200
    assert "<title>Enter your code" in second_step.text
    assert f"a code of 6 digits to {ADDRESS}" in second_step.text
    code = f"{world.code[:3]} {world.code[3:]}"
    answer = ask(world, session=session_of(second_step), code=code)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/me")
    client = world.client
    name, _, token = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
    client.set_cookie(name, token)
    assert client.get("/me").text == "welcome"


def test_what_is_no_code_costs_no_try_and_a_wrong_one_does(world: World) -> None:
    session = session_of(ask(world))
    for typed in ("", "12", "the code", "1" * 100):
        assert "The code has 6 digits." in ask(world, session=session, code=typed).text
    wrong = [ask(world, session=session, code=world.wrong_code) for _ in range(3)]
    assert [answer.status_code for answer in wrong] == [200, 200, 403]
    assert "You have 2 tries left." in wrong[0].text
    assert "That was one wrong code too many." in wrong[2].text
    assert 'name="session" value=""' in wrong[2].text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://[localhost"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_form_of_another_site_sends_no_code_and_signs_nobody_in(
    world: World, headers: dict[str, str]
) -> None:
    assert ask(world, headers).status_code == 403
    assert world.outbox == []
    session = world.initiate(ADDRESS, "email")
    answer = ask(world, headers, session=session, code=world.code)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_form_has_the_limits_of_the_endpoint(make_world: MakeWorld) -> None:
    world = make_world(
        config={"JWT_TOKEN_LOCATION": ["cookies"]},
        LOGIN_PAGE=True,
        CLIENT_LIMITS="3 per hour",
        IDENTIFIER_LIMITS="1 per 30 seconds",
    )
    assert ask(world).status_code == 200
    again = ask(world)
    assert (again.status_code, again.headers["Retry-After"]) == (429, "30")
    assert "Try again in 0:30." in again.text
    world.initiate("other@example.com", "email")
    over = ask(world, identifier="third@example.com")
    assert over.status_code == 429
    assert "That was many codes in a short time." in over.text
    assert len(world.outbox) == 2


@pytest.mark.filterwarnings("ignore:clients are counted in memory")
def test_nobody_at_the_same_address_delays_the_device_of_the_owner_at_the_form(
    make_world: MakeWorld,
) -> None:
    def count_all_routes(app: Flask) -> Limiter:
        """Be a host that counts every client, also that of the form, as we do."""
        return Limiter(client_key, app=app, storage_uri="memory://", default_limits=["99 per day"])

    world = make_world(
        config={"JWT_TOKEN_LOCATION": ["cookies"]},
        prepare=count_all_routes,
        LOGIN_PAGE=True,
        TRUSTED_DEVICES=86400,
        CLIENT_LIMITS="2 per hour",
    )
    owner = world.client

    def ask_as_owner() -> Any:
        form = {"via": "email", "identifier": ADDRESS}
        return owner.post("/otp/login", data=form, headers=HOME)

    form = {"session": session_of(ask_as_owner()), "code": world.code}
    assert owner.post("/otp/login", data=form, headers=HOME).status_code == 303
    ask(world)
    assert ask(world).status_code == 429
    assert ask_as_owner().status_code == 200


def test_address_that_cannot_be_is_told_and_stays_in_its_field(world: World) -> None:
    answer = ask(world, identifier='"><script>x')
    assert answer.status_code == 400
    assert "This is not an email address that we can send to." in answer.text
    assert 'value="&#34;&gt;&lt;script&gt;x"' in answer.text
    number = ask(world, via="sms", identifier="12")
    assert "This is not a phone number that we can send to." in number.text
    assert ask(world, via="fax", identifier="12").text == number.text


def test_what_an_application_puts_before_the_endpoint_is_before_the_form_too(world: World) -> None:
    @world.app.before_request
    def guard() -> None:
        if request.endpoint == "otp_auth.initiate":
            assert request.json == {"identifier": ADDRESS, "method": "email"}
            raise Refused("Not today.")

    answer = ask(world)
    assert answer.status_code == 403
    assert "Not today." in answer.text
    assert world.outbox == []


def test_answer_that_an_application_gives_in_another_form_is_no_error_of_the_form(
    world: World,
) -> None:
    @world.app.before_request
    def guard() -> Any:
        return ("<h1>Busy</h1>", 503) if request.endpoint == "otp_auth.initiate" else None

    answer = ask(world)
    assert answer.status_code == 503
    assert "The code could not be sent. Try again." in answer.text
