"""A person whose login is over comes to the login page, and from there to where they wanted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    get_csrf_token,
    get_jwt_identity,
    jwt_required,
    verify_jwt_in_request,
)
from support.markup import Markup
from support.world import MakeWorld, World

COOKIES = {"JWT_TOKEN_LOCATION": ["cookies"]}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def add_views(app: Flask) -> None:
    @app.route("/orders", methods=["GET", "POST"])
    @jwt_required()
    def orders() -> str:
        return f"orders of {get_jwt_identity()}"

    @app.get("/åäö/<path:rest>")
    @jwt_required()
    def deep(rest: str) -> str:
        return rest

    @app.get("/delete")
    @jwt_required(fresh=True)
    def delete() -> str:
        return "deleted"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    world = make_world(config=COOKIES, LOGIN_PAGE=True)
    add_views(world.app)
    return world


def led_to(answer: Any) -> tuple[str, dict[str, str]]:
    assert answer.status_code == 302, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    parts = urlsplit(answer.headers["Location"])
    return parts.path, {name: value for name, [value] in parse_qs(parts.query).items()}


def page(client: FlaskClient, *, environ_overrides: Any = None, **query: str) -> dict[str, Any]:
    answer = client.get("/otp/login", query_string=query, environ_overrides=environ_overrides)
    return Markup(answer.text).data


def signed_in(app: Flask, **of_token: Any) -> FlaskClient:
    with app.app_context():
        token = create_access_token("7", **of_token)
    client = app.test_client()
    client.set_cookie("access_token_cookie", token)
    return client


@pytest.mark.parametrize(
    ("asked", "next_"),
    [
        ("/orders", "/orders"),
        ("/orders?", "/orders"),
        ("/orders?page=2&q=a%20b", "/orders?page=2&q=a%20b"),
        ("/%C3%A5%C3%A4%C3%B6/a%20b/c", "/%C3%A5%C3%A4%C3%B6/a%20b/c"),
        ("/orders?back=%5C%5Cevil", "/orders?back=%5C%5Cevil"),
    ],
)
def test_page_without_a_login_leads_to_the_login_page_and_knows_the_way_back(
    world: World, asked: str, next_: str
) -> None:
    answer = world.client.get(asked, headers=BROWSER)
    assert led_to(answer) == ("/otp/login", {"next": next_})
    headers = {**BROWSER, "Sec-Fetch-Mode": "navigate"}
    assert world.client.head(asked, headers=headers).status_code == 302


def test_every_reason_to_refuse_a_token_leads_to_the_login_page(world: World) -> None:
    app = world.app
    expired = signed_in(app, expires_delta=timedelta(seconds=-1))
    assert led_to(expired.get("/orders", headers=BROWSER)) == ("/otp/login", {"next": "/orders"})

    stale = signed_in(app, fresh=False)
    assert stale.get("/orders").text == "orders of 7"
    asks_again = led_to(stale.get("/delete", headers=BROWSER))
    assert asks_again == ("/otp/login", {"next": "/delete", "fresh": "1"})

    forged = app.test_client()
    forged.set_cookie("access_token_cookie", "eyJ.not.one")
    assert led_to(forged.get("/orders", headers=BROWSER)) == ("/otp/login", {"next": "/orders"})

    with app.app_context():
        token = create_access_token("7")
        csrf = {"X-CSRF-TOKEN": get_csrf_token(token)}
    logged_out = app.test_client()
    logged_out.set_cookie("access_token_cookie", token)
    assert logged_out.post("/otp/logout", headers=csrf).status_code == 204
    logged_out.set_cookie("access_token_cookie", token)
    assert led_to(logged_out.get("/orders", headers=BROWSER))[0] == "/otp/login"

    manager: JWTManager = app.extensions["flask-jwt-extended"]
    manager.user_lookup_loader(lambda _header, _claims: None)
    gone = signed_in(app)
    assert led_to(gone.get("/orders", headers=BROWSER))[0] == "/otp/login"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "application/json, text/html;q=0.9"},
        {**BROWSER, "Sec-Fetch-Mode": "cors"},
        {**BROWSER, "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_script_or_api_client_keeps_the_answer_of_flask_jwt_extended(
    world: World, headers: dict[str, str]
) -> None:
    answer = world.client.get("/orders", headers=headers)
    assert (answer.status_code, answer.json) == (
        401,
        {"msg": 'Missing cookie "access_token_cookie"'},
    )


def test_form_that_is_posted_is_not_led_away(world: World) -> None:
    assert world.client.post("/orders", headers=BROWSER).status_code == 401


@pytest.mark.parametrize("late", [False, True], ids=["registered before", "registered after"])
def test_loader_of_the_application_answers_for_its_reason(
    make_world: MakeWorld, late: bool
) -> None:
    def ours(_reason: str) -> tuple[str, int]:
        return "my own answer", 418

    world = make_world(config=COOKIES, LOGIN_PAGE=True)
    app = world.app
    add_views(app)
    manager: JWTManager = app.extensions["flask-jwt-extended"] if late else JWTManager(app)
    manager.unauthorized_loader(ours)
    assert app.test_client().get("/orders", headers=BROWSER).text == "my own answer"
    expired = signed_in(app, expires_delta=timedelta(seconds=-1))
    assert led_to(expired.get("/orders", headers=BROWSER))[0] == "/otp/login"


def test_without_a_login_page_nobody_is_led_to_it(make_world: MakeWorld) -> None:
    world = make_world(config=COOKIES)
    add_views(world.app)
    assert world.client.get("/orders", headers=BROWSER).status_code == 401


def test_app_that_protects_every_route_makes_no_circle(world: World) -> None:
    world.app.before_request(lambda: verify_jwt_in_request() and None)
    assert "Location" not in world.client.get("/otp/login", headers=BROWSER).headers


def test_way_there_and_back_holds_below_a_path(world: World) -> None:
    mounted = {"SCRIPT_NAME": "/shop"}
    answer = world.client.get("/orders?page=2", headers=BROWSER, environ_overrides=mounted)
    assert led_to(answer) == ("/shop/otp/login", {"next": "/shop/orders?page=2"})


@pytest.mark.parametrize(
    "next_",
    ["/otp/login", "/otp/login?next=/", "/otp/login#x", "/otp/./login", "/otp/x/../login",
     "/otp/%6Cogin", "/otp/%2e/login", "/otp//login", "/otp/login/"],
)  # fmt: skip
def test_next_that_leads_back_to_the_page_counts_as_none(world: World, next_: str) -> None:
    assert page(world.client, next=next_)["next"] == "/"
    assert page(world.client, next="/orders?")["next"] == "/orders"


def test_without_next_the_page_leads_below_the_root_of_the_application(
    make_world: MakeWorld,
) -> None:
    world = make_world(config=COOKIES, LOGIN_PAGE=True, LOGIN_REDIRECT="/me")
    mounted = {"SCRIPT_NAME": "/shop"}
    assert page(world.client, environ_overrides=mounted)["next"] == "/shop/me"
    assert page(world.client, environ_overrides=mounted, next="/x")["next"] == "/x"


@pytest.mark.parametrize("name", ["refresh_token_cookie", "csrf_refresh_token"])
def test_page_refreshes_first_where_there_is_a_refresh_token(
    make_world: MakeWorld, name: str
) -> None:
    world = make_world(config=COOKIES, LOGIN_PAGE=True, REFRESH_TOKEN=True)
    assert page(world.client)["refresh"] is False
    client = world.client
    client.set_cookie(name, "x")
    assert page(client)["refresh"] is True
    assert (page(client, fresh="1")["refresh"], page(client, fresh="1")["fresh"]) == (False, True)


def test_page_without_refresh_tokens_never_refreshes(world: World) -> None:
    client = world.client
    client.set_cookie("refresh_token_cookie", "x")
    assert page(client)["refresh"] is False


def test_login_hint_fills_the_field(world: World) -> None:
    html = world.client.get("/otp/login", query_string={"login_hint": 'a"@example.com<b>'}).text
    fields = {attrs.get("name"): attrs.get("value") for _, attrs in Markup(html).tags}
    assert fields["identifier"] == 'a"@example.com<b>'
