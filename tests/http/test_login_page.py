"""The login page as the server gives it: where it leads to, what it allows, in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.markup import Markup
from support.world import SECRET_KEY, MakeWorld, World

import flask_otp_auth
from flask_otp_auth import ConfigurationError, FlaskOtpAuth
from flask_otp_auth.site_paths import is_site_path
from flask_otp_auth.texts import Catalogue

COOKIES = {"JWT_TOKEN_LOCATION": ["cookies"]}
SCRIPTS = sorted(
    file.stem for file in (Path(flask_otp_auth.__file__).parent / "static").rglob("*.js")
)


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(config=COOKIES, LOGIN_PAGE=True)


def page(world: World, query: str = "", **headers: str) -> Markup:
    answer = world.client.get(f"/otp/login{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return Markup(answer.text)


SITE_PATHS = [
    "/",
    "/me",
    "/a/b?c=d&e=f#g",
    "/å/日本",
    "/?next=//x",
    "/a//b",
    "/%5Cx",
    "/" + "a" * 2047,
]
OTHER_PLACES = [
    "", "me", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "/\t/evil.example", "/\n/evil.example", "/\r\n/evil", "/\0/evil", "/ /evil", " /me", "\t/me",
    "/me\n", "/a\\b", "/\x7f", "/\x85", "/\ud800", "https://evil.example", "http:evil.example",
    "javascript:alert(1)", "data:text/html,x", "?next=/", "#x", ".", "/" + "a" * 2048, None, 1,
]  # fmt: skip


@pytest.mark.parametrize("path", SITE_PATHS)
def test_path_of_this_site_is_one(path: str) -> None:
    assert is_site_path(path)


@pytest.mark.parametrize("value", OTHER_PLACES, ids=repr)
def test_any_other_place_is_none(value: Any) -> None:
    assert not is_site_path(value)


def test_success_leads_to_next_only_if_that_is_on_this_site(make_world: MakeWorld) -> None:
    world = make_world(config=COOKIES, LOGIN_PAGE=True, LOGIN_REDIRECT="/home")
    for query, led_to in {
        "": "/home",
        "?next=/me?a=1%23b": "/me?a=1#b",
        "?next=": "/home",
        "?next=//evil.example": "/home",
        "?next=/%5Cevil.example": "/home",
        "?next=/%09/evil.example": "/home",
        "?next=https://evil.example": "/home",
        "?next=//evil.example&next=/me": "/home",
        "?next=/otp/login": "/home",
        "?next=/otp/login?next=/otp/login": "/home",
        "?next=/otp/login2": "/otp/login2",
        '?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E': '/"><script>alert(1)</script>',
    }.items():  # fmt: skip
        assert page(world, query).data["next"] == led_to, query


def test_page_has_no_inline_script_or_style_and_allows_none(world: World) -> None:
    answer = world.client.get("/otp/login?next=/%22%20onload=x%3Cscript%3E")
    found = Markup(answer.text)
    assert found.scripts.strip() == ""
    for tag, attrs in found.tags:
        assert not [name for name in attrs if name == "style" or name.startswith("on")], tag
        assert tag != "script" or attrs["src"]
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Vary"] == "Accept-Language"


def test_everything_the_page_asks_for_is_there(world: World) -> None:
    files = [attrs.get("src") or attrs.get("href") for _, attrs in page(world).tags]
    paths = [path for path in files if path and path.startswith("/")]
    assert len(paths) == 2
    for path in [*paths, *(f"/otp/static/otp_auth/{n}.js" for n in SCRIPTS)]:
        with world.client.get(path) as answer:
            assert answer.status_code == 200, path


@pytest.mark.parametrize("prefix", ["/", "/api/v1/login"])
def test_page_finds_its_endpoints_behind_any_prefix_and_mount(
    make_world: MakeWorld, prefix: str
) -> None:
    world = make_world(config=COOKIES, LOGIN_PAGE=True, URL_PREFIX=prefix)
    base = prefix.rstrip("/")
    for root in ("", "/mounted"):
        client = world.client
        answer = client.get(f"{base}/login", environ_overrides={"SCRIPT_NAME": root})
        assert Markup(answer.text).data["baseUrl"] == f"{root}{base}"


@pytest.mark.parametrize("methods", [["email"], ["sms"], ["email", "sms"]])
def test_page_asks_for_what_is_on_offer(make_world: MakeWorld, methods: list[str]) -> None:
    world = make_world(config=COOKIES, LOGIN_PAGE=True, METHODS=methods)
    offered = [attrs["value"] for _, attrs in page(world).tags if attrs.get("name") == "via"]
    assert sorted(map(str, offered)) == sorted(methods)


def test_page_knows_the_options_that_it_shows(make_world: MakeWorld) -> None:
    world = make_world(
        config=COOKIES, LOGIN_PAGE=True, CODE_LENGTH=8, MAX_RESENDS=1,
        IDENTIFIER_LIMITS="1 per 45 seconds; 5 per 15 minutes",
    )  # fmt: skip
    data = page(world).data
    assert (data["codeLength"], data["resends"], data["wait"]) == (8, 1, 45)
    assert data["texts"]["sent"] == "We have sent a code of {count} digits to {identifier}."


def test_page_says_no_more_about_accounts_than_the_endpoints(make_world: MakeWorld) -> None:
    world = make_world(
        config=COOKIES, LOGIN_PAGE=True, SEND_TO_UNKNOWN=False, SEND_IN_BACKGROUND=True
    )
    sent = page(world).data["texts"]["sent"]
    assert sent == "If {identifier} has an account, a code of {count} digits is on its way."


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("sv", "sv"),
        ("de-AT", "de"),
        ("fr-CH, de;q=0.5", "fr"),
        ("sv;q=0", "en"),
        ("ja, es;q=0.1", "es"),
        ("ja", "en"),
        ("sv;q=0, de", "de"),
        ("*", "en"),
        ("", "en"),
        ("x" * 300, "en"),
    ],
)
def test_page_is_in_the_first_language_of_the_person_that_it_speaks(
    world: World, header: str, language: str
) -> None:
    found = page(world, **{"Accept-Language": header})
    assert dict(found.tags)["html"]["lang"] == language
    assert found.data["language"] == language
    assert found.data["texts"] == Catalogue().texts(language).page()


def test_app_can_put_its_own_page_in_place(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "otp_auth"
    folder.mkdir()
    (folder / "login.html").write_text(
        '{% extends "otp_auth/login_base.html" %}{% block brand %}<b>ours</b>{% endblock %}'
    )
    world.app.jinja_loader.searchpath.insert(0, str(tmp_path))  # type: ignore[union-attr]
    html = world.client.get("/otp/login").text
    assert "<b>ours</b>" in html
    assert page(world).data["next"] == "/"


def test_there_is_no_page_unless_it_is_asked_for(make_world: MakeWorld) -> None:
    assert make_world(config=COOKIES).client.get("/otp/login").status_code == 404


@pytest.mark.parametrize("location", [None, "headers", ["headers", "json"]])
def test_page_that_could_not_sign_anybody_in_is_refused_at_the_start(location: Any) -> None:
    app = Flask("app")
    app.config.update(
        SECRET_KEY=SECRET_KEY, MONGO_URI="mongodb://127.0.0.1:9/otp", OTP_AUTH_LOGIN_PAGE=True
    )
    if location is not None:
        app.config["JWT_TOKEN_LOCATION"] = location
    with pytest.raises(ConfigurationError) as caught:
        FlaskOtpAuth(app)
    assert caught.value.key == "JWT_TOKEN_LOCATION"
    assert "OTP_AUTH_LOGIN_PAGE" in str(caught.value)


@pytest.mark.parametrize("value", [*OTHER_PLACES, b"/"], ids=repr)
def test_redirect_to_anywhere_else_is_refused_at_the_start(value: Any) -> None:
    app = Flask("app")
    app.config.update(SECRET_KEY=SECRET_KEY, OTP_AUTH_LOGIN_REDIRECT=value)
    with pytest.raises(ConfigurationError) as caught:
        FlaskOtpAuth(app)
    assert caught.value.key == "OTP_AUTH_LOGIN_REDIRECT"
