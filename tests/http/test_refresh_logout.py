"""Life after the login over real HTTP: refresh, logout, and what a protected view takes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from flask import Flask
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    decode_token,
    jwt_required,
)
from support.listeners import Heard
from support.servers import Answer, Site, threaded
from support.world import NOW, MakeWorld, World

from flask_otp_auth import SecurityWarning
from flask_otp_auth.exceptions import Refused

DAY = 86400
YEAR = 31540000  # seconds, as Flask-JWT-Extended has it
COOKIES = {"access_token_cookie", "csrf_access_token", "refresh_token_cookie", "csrf_refresh_token"}


def protect(app: Flask) -> None:
    """Give *app* a view for anybody who is signed in, and one for who has just signed in."""

    @app.route("/me", methods=["GET", "POST"])
    @jwt_required()
    def me() -> str:
        return "welcome"

    @app.get("/bank")
    @jwt_required(fresh=True)
    def bank() -> str:
        return "welcome"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    world = make_world(REFRESH_TOKEN=True)
    protect(world.app)
    return world


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with threaded(world.app) as site:
        yield site


def sign_in(world: World, site: Site) -> tuple[str, str]:
    """Sign in and return the access and the refresh token."""
    data = site.verify(site.initiate(), world.code).json["data"]
    assert data.keys() == {"status", "user", "token", "refreshToken"}
    return data["token"], data["refreshToken"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refresh(site: Site, token: str) -> Answer:
    return site.send("POST", "/otp/refresh", headers=bearer(token))


def refreshed(site: Site, token: str) -> tuple[str, str]:
    answer = refresh(site, token)
    assert answer.status == 200, answer.text
    assert answer.json["data"].keys() == {"token", "refreshToken"}
    return answer.json["data"]["token"], answer.json["data"]["refreshToken"]


def logout(site: Site, token: str) -> Answer:
    return site.send("POST", "/otp/logout", headers=bearer(token))


def me(site: Site, token: str, path: str = "/me") -> int:
    return site.send("GET", path, headers=bearer(token)).status


def claims_of(world: World, token: str) -> dict[str, Any]:
    with world.app.app_context():
        return dict(decode_token(token, allow_expired=True))


def assert_invalid(answer: Answer, detail: str = "The refresh token is not valid") -> None:
    """Check that a refresh was refused, and that no token came with it."""
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (401, "invalidRefreshToken")
    assert error["detail"] == detail
    assert all(not morsel.value for morsel in cookies_of(answer).values())


def cookies_of(answer: Answer) -> SimpleCookie:
    """Return the cookies that an answer sets; those that it clears are empty."""
    return SimpleCookie("\r\n".join(answer.headers.get_all("Set-Cookie", [])))


def nested(place: str) -> str:
    """Return a token that is nested too deeply: PyJWT before 2.15 raises a RecursionError."""
    deep = '{"alg":"HS256","a":' + "[" * 2000 + "]" * 2000 + "}"
    parts = (deep, "{}") if place == "header" else ('{"alg":"HS256"}', deep)
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "AAAA"])


class TestRefresh:
    def test_client_gets_new_tokens_that_work(self, world: World, site: Site) -> None:
        access, refresh_token = sign_in(world, site)
        tokens = refreshed(site, refresh_token)
        assert not {access, refresh_token} & set(tokens)
        assert me(site, tokens[0]) == 200
        assert me(site, access) == 200  # it ends by its own time
        refreshed(site, tokens[1])

    def test_new_tokens_say_how_and_when_the_user_signed_in_and_are_not_fresh(
        self, world: World, site: Site, clock: time_machine.Traveller
    ) -> None:
        access, token = sign_in(world, site)
        before = claims_of(world, access)
        assert me(site, access, "/bank") == 200
        for _ in range(3):
            clock.shift(600)
            access, token = refreshed(site, token)
            for new, type_ in ((access, "access"), (token, "refresh")):
                claims = claims_of(world, new)
                kept = ("sub", "amr", "auth_time", "otp_login")
                assert {name: claims[name] for name in kept} == {n: before[n] for n in kept}
                assert (claims["type"], claims["fresh"]) == (type_, False)
        assert before["auth_time"] == int(NOW.timestamp())
        assert (me(site, access), me(site, access, "/bank")) == (200, 401)

    def test_answer_that_was_lost_costs_nobody_the_login(self, world: World, site: Site) -> None:
        _, token = sign_in(world, site)
        for _ in range(3):
            refreshed(site, token)
        access, token = refreshed(site, token)
        assert me(site, access) == 200
        refreshed(site, token)

    @pytest.mark.parametrize("late", ["the token", "its other successor"])
    def test_token_that_is_used_after_its_successor_ends_the_login_of_thief_and_owner(
        self, world: World, site: Site, caplog: pytest.LogCaptureFixture, late: str
    ) -> None:
        of_other_device, token_of_other_device = sign_in(world, site)
        access, token = sign_in(world, site)
        _, other = refreshed(site, token)
        newer_access, newer = refreshed(site, token)
        newest_access, newest = refreshed(site, newer)

        assert_invalid(refresh(site, token if late == "the token" else other))

        assert_invalid(refresh(site, newest))
        assert [me(site, t) for t in (access, newer_access, newest_access)] == [401] * 3
        warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        login = claims_of(world, token)["otp_login"]
        assert warnings == [
            f"refresh token used after its successor, login ended: login={login[:8]}..."
        ]
        assert login not in caplog.text
        assert me(site, of_other_device) == 200
        refreshed(site, token_of_other_device)

    @pytest.mark.filterwarnings("ignore:JWT_ACCESS_TOKEN_EXPIRES is False")
    def test_no_token_outlives_the_login(
        self, make_world: MakeWorld, clock: time_machine.Traveller
    ) -> None:
        world = make_world(
            REFRESH_TOKEN=True,
            REFRESH_LIFETIME=1000,
            REFRESH_IDLE=600,
            config={"JWT_ACCESS_TOKEN_EXPIRES": False, "JWT_REFRESH_TOKEN_EXPIRES": False},
        )
        protect(world.app)
        with threaded(world.app) as site:
            tokens = list(sign_in(world, site))
            clock.shift(599)
            tokens += refreshed(site, tokens[1])
            ends = [claims_of(world, token)["exp"] - int(NOW.timestamp()) for token in tokens]
            assert ends == [600, 600, 1000, 1000]  # it would be idle, and it is over
            # Nor does one for which an option was longer when it was made.
            world.app.config["JWT_DECODE_LEEWAY"] = 3600
            clock.shift(401)
            assert me(site, tokens[2]) == 401

    def test_shorter_lifetimes_of_the_host_are_kept(
        self, make_world: MakeWorld, clock: time_machine.Traveller
    ) -> None:
        config = {"JWT_ACCESS_TOKEN_EXPIRES": 60, "JWT_REFRESH_TOKEN_EXPIRES": timedelta(hours=1)}
        world = make_world(REFRESH_TOKEN=True, config=config)
        with threaded(world.app) as site:
            tokens = sign_in(world, site)
            assert [claims_of(world, t)["exp"] - int(NOW.timestamp()) for t in tokens] == [60, 3600]
            clock.shift(3600)
            assert_invalid(refresh(site, tokens[1]))

    def test_shorter_options_count_for_logins_that_are_there_already(
        self, make_world: MakeWorld, clock: time_machine.Traveller
    ) -> None:
        worlds = [make_world(REFRESH_TOKEN=True), make_world(REFRESH_TOKEN=True, REFRESH_IDLE=60)]
        with threaded(worlds[0].app) as before, threaded(worlds[1].app) as after:
            _, token = sign_in(worlds[0], before)
            clock.shift(60)
            assert_invalid(refresh(after, token))

    @pytest.mark.parametrize(
        "header",
        [None, "", "Bearer", "Bearer ", "Basic dTpw", "Bearer x", "Bearer a.b.c", "Bearer é",
         "Bearer a b", "Bearer ..", "Bearer eyJhbGciOiJub25lIn0.e30.", ", ,",
         f"Bearer {nested('header')}", f"Bearer {nested('payload')}"],
        ids=lambda header: repr(header)[:40],
    )  # fmt: skip
    def test_rubbish_neither_refreshes_nor_hinders_a_logout(
        self, site: Site, header: str | None
    ) -> None:
        headers = {} if header is None else {"Authorization": header.encode().decode("latin-1")}
        assert_invalid(site.send("POST", "/otp/refresh", headers=headers))
        answer = site.send("POST", "/otp/logout", headers=headers)
        assert (answer.status, answer.headers.get_all("Set-Cookie")) == (204, None)

    @pytest.mark.parametrize("expires", [253402300799, 10**12, 10**20, 1e300])
    def test_token_that_expires_after_the_last_year_can_be_logged_out(
        self, world: World, site: Site, expires: float
    ) -> None:
        with world.app.app_context():
            token = create_access_token("user", additional_claims={"exp": expires})
        assert me(site, token) == 200
        assert site.send("POST", "/otp/logout", headers=bearer(token)).status == 204
        assert me(site, token) == 401

    def test_only_a_refresh_token_of_this_app_refreshes(
        self, world: World, make_world: MakeWorld, site: Site
    ) -> None:
        access, token = sign_in(world, site)
        login = claims_of(world, token)["otp_login"]
        forger = make_world(config={"JWT_SECRET_KEY": "another key of at least 32 bytes"})
        with forger.app.app_context():
            forged = create_refresh_token("user", additional_claims={"otp_login": login})
            forged_access = create_access_token("user", additional_claims={"otp_login": login})
        with world.app.app_context():
            foreign = create_refresh_token("user")
            odd = create_refresh_token("user", additional_claims={"otp_login": {"$ne": 1}})
            bare = create_refresh_token("user", additional_claims={"otp_login": login})

        for other in (access, forged, foreign, odd, bare):
            assert_invalid(refresh(site, other))
        assert logout(site, forged_access).status == 204
        assert me(site, access) == 200  # none of them ended the login
        refreshed(site, token)

    def test_claims_and_lookups_of_the_host_are_asked_again(self, world: World, site: Site) -> None:
        users = {"7": {"id": "7", "role": "admin"}}
        world.users["+46701234567"] = users["7"]
        manager = world.app.extensions["flask-jwt-extended"]
        manager.user_identity_loader(lambda user: user["id"])
        manager.user_lookup_loader(lambda header, claims: users.get(claims["sub"]))
        manager.additional_claims_loader(lambda user: {"role": user["role"], "amr": ["pwd"]})
        _, token = sign_in(world, site)

        users["7"]["role"] = "guest"
        access, token = refreshed(site, token)
        claims = claims_of(world, access)
        assert (claims["role"], claims["amr"], claims["sub"]) == ("guest", ["otp", "sms"], "7")

    @pytest.mark.parametrize("location", ["headers", "cookies"])
    @pytest.mark.parametrize("is_blocked", [False, True])
    def test_user_who_is_gone_or_blocked_is_signed_out(
        self, make_world: MakeWorld, location: str, is_blocked: bool
    ) -> None:
        world = make_world(REFRESH_TOKEN=True, config={"JWT_TOKEN_LOCATION": [location]})
        protect(world.app)
        users: dict[str, Any] = {"user of +46701234567": {"id": "7"}}

        @world.app.extensions["flask-jwt-extended"].user_lookup_loader
        def look_up(header: Any, claims: Any) -> Any:
            if is_blocked and not users:
                raise Refused("You are blocked")
            return users.get(claims["sub"])

        with threaded(world.app) as site:
            browser = Browser(site)
            tokens = browser.sign_in(world).json["data"]
            before = dict(browser.jar)

            def refresh_and_look() -> tuple[Answer, int]:
                if location == "headers":
                    answer = refresh(site, tokens["refreshToken"])
                    return answer, me(site, tokens["token"])
                answer = browser.post("/otp/refresh", "csrf_refresh_token")
                assert browser.jar == {}
                browser.jar = dict(before)
                return answer, browser.post("/me", "csrf_access_token").status

            gone = dict(users)
            users.clear()
            assert_invalid(refresh_and_look()[0])
            users |= gone
            answer, status = refresh_and_look()
            assert_invalid(answer)
            assert status == 401

    def test_application_without_user_lookup_is_warned_once(self, make_world: MakeWorld) -> None:
        world = make_world(REFRESH_TOKEN=True)
        world.app.extensions["flask-jwt-extended"]._user_lookup_callback = None
        with pytest.warns(SecurityWarning, match="blocked or deleted stay signed in"):
            world.client.get("/")
        world.client.get("/")

    def test_loader_of_the_host_that_fails_costs_nobody_the_login(
        self, world: World, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        _, token = sign_in(world, site)
        manager = world.app.extensions["flask-jwt-extended"]
        manager.additional_claims_loader(lambda identity: {}["the reason"])
        answer = refresh(site, token)
        assert answer.status == 500
        assert "the reason" not in answer.text
        assert answer.json["error"]["id"] in caplog.text

        manager.additional_claims_loader(lambda identity: {})
        refreshed(site, token)

    def test_token_is_in_no_log(
        self, world: World, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", "flask_otp_auth")
        access, token = sign_in(world, site)
        newer, next_token = refreshed(site, token)
        refresh(site, token)
        logout(site, newer)
        for secret in (access, token, newer, next_token):
            assert secret not in caplog.text
            assert claims_of(world, secret)["otp_login"] not in caplog.text

    def test_clean_refresh_is_one_command_of_the_database_and_the_first_of_a_login_two(
        self, make_world: MakeWorld
    ) -> None:
        heard = Heard()
        world = make_world(REFRESH_TOKEN=True, listeners=[heard])
        with threaded(world.app) as site:
            _, token = sign_in(world, site)
            heard.take()
            _, token = refreshed(site, token)
            assert heard.names == ["findAndModify", "find"]
            heard.take()
            refreshed(site, token)
        assert heard.names == ["findAndModify"]


class TestLogout:
    @pytest.mark.parametrize(
        ("which", "later"),
        [(0, 0), (1, 0), (0, 3600)],
        ids=["access", "refresh", "expired access"],
    )
    def test_no_token_of_the_login_works_any_more_and_those_of_others_do(
        self, world: World, site: Site, clock: time_machine.Traveller, which: int, later: int
    ) -> None:
        _, of_other = sign_in(world, site)
        old_access, token = sign_in(world, site)
        tokens = refreshed(site, token)
        clock.shift(later)

        answer = logout(site, tokens[which])

        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Cache-Control"] == "no-store"
        assert me(site, old_access) == 401
        assert me(site, tokens[0]) == 401
        assert_invalid(refresh(site, tokens[1]))
        assert me(site, refreshed(site, of_other)[0]) == 200

    @pytest.mark.filterwarnings("ignore:JWT_ACCESS_TOKEN_EXPIRES is False")
    @pytest.mark.parametrize(
        ("config", "later"),
        [
            ({}, 0),
            ({"JWT_ACCESS_TOKEN_EXPIRES": False}, 0),
            ({"JWT_DECODE_LEEWAY": 600}, 15 * 60 + 300),
        ],
        ids=["usual", "never ends by itself", "taken by the host after its end"],
    )
    def test_access_token_without_refresh_tokens_is_refused_too(
        self,
        make_world: MakeWorld,
        clock: time_machine.Traveller,
        caplog: pytest.LogCaptureFixture,
        config: dict[str, Any],
        later: int,
    ) -> None:
        caplog.set_level("INFO", "flask_otp_auth")
        world = make_world(config=config)
        protect(world.app)
        with threaded(world.app) as site:
            tokens = [site.verify(site.initiate(), world.code).json["data"]["token"] for _ in "ab"]
            clock.shift(later)
            assert [me(site, token) for token in tokens] == [200, 200]
            assert [logout(site, tokens[0]).status for _ in "ab"] == [204, 204]
            assert [me(site, token) for token in tokens] == [401, 200]
            assert site.send("POST", "/otp/refresh").status == 404
        assert f"logout: token={claims_of(world, tokens[0])['jti'][:8]}" in caplog.text


class TestBlocklistLoader:
    @pytest.mark.parametrize("asks_us", [True, False])
    def test_loader_of_the_host_is_asked_beside_ours(
        self, make_world: MakeWorld, asks_us: bool
    ) -> None:
        heard = Heard()
        world = make_world(REFRESH_TOKEN=True, listeners=[heard])
        protect(world.app)
        banned: set[str] = set()

        @world.app.extensions["flask-jwt-extended"].token_in_blocklist_loader
        def refused(header: Any, claims: Any) -> bool:
            return claims["jti"] in banned or (asks_us and world.otp.is_logged_out(claims))

        with threaded(world.app) as site:
            access, token = sign_in(world, site)
            heard.take()
            assert me(site, access) == 200
            assert heard.names == ["find"]
            logout(site, access)
            assert me(site, access) == 401

            access, token = sign_in(world, site)
            banned.add(claims_of(world, token)["jti"])
            assert_invalid(refresh(site, token))

            # A theft is one, although the loader knows that the token was used.
            _, stolen = sign_in(world, site)
            newest = refreshed(site, refreshed(site, stolen)[1])
            assert_invalid(refresh(site, stolen))
            assert me(site, newest[0]) == 401
            assert_invalid(refresh(site, newest[1]))

    def test_manager_that_the_host_makes_later_refuses_what_was_logged_out(
        self, world: World, site: Site
    ) -> None:
        JWTManager(world.app)
        access, _ = sign_in(world, site)
        logout(site, access)
        assert me(site, access) == 401

    def test_apps_that_share_a_manager_each_ask_their_own_logins(
        self, make_world: MakeWorld
    ) -> None:
        manager = JWTManager()
        worlds = [make_world(COLLECTION=name, REFRESH_TOKEN=True) for name in ("one", "two")]
        for world in worlds:
            manager.init_app(world.app)
            protect(world.app)
        manager.init_app(other := Flask("without codes"))
        protect(other)
        other.secret_key = worlds[0].app.secret_key
        with threaded(worlds[0].app) as first, threaded(worlds[1].app) as second:
            access, _ = sign_in(worlds[0], first)
            second_access, _ = sign_in(worlds[1], second)
            logout(first, access)
            assert (me(first, access), me(second, second_access)) == (401, 200)
        with threaded(other) as site:
            assert me(site, access) == 200

    def test_refresh_view_of_the_host_takes_the_tokens_that_ours_takes(
        self, world: World, site: Site
    ) -> None:
        @world.app.get("/mine")
        @jwt_required(refresh=True)
        def mine() -> str:
            return "welcome"

        _, token = sign_in(world, site)
        _, newer = refreshed(site, token)
        assert me(site, newer, "/mine") == me(site, token, "/mine") == 200
        refreshed(site, newer)
        assert me(site, newer, "/mine") == 200
        assert me(site, token, "/mine") == 401


@dataclass
class Browser:
    """Keeps cookies as a browser does, and sends the CSRF token of one of them."""

    site: Site
    jar: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, csrf: str | None = None, body: Any = None) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())}
        if csrf is not None:
            headers["X-CSRF-TOKEN"] = self.jar.get(csrf, csrf)
        answer = self.site.post(path, body or {}, headers)
        for header in answer.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(header).items():
                self.jar[name] = morsel.value
                if not morsel.value:
                    del self.jar[name]
        return answer

    def sign_in(self, world: World) -> Answer:
        session_id = self.site.initiate()
        body = {"sessionId": session_id, "code": world.code}
        return self.post("/otp/verify", body=body)


@pytest.fixture
def cookie_world(make_world: MakeWorld) -> World:
    world = make_world(config={"JWT_TOKEN_LOCATION": ["cookies"]}, REFRESH_TOKEN=True)
    protect(world.app)
    return world


@pytest.fixture
def browser(cookie_world: World) -> Iterator[Browser]:
    with threaded(cookie_world.app) as site:
        yield Browser(site)


class TestCookies:
    def test_tokens_are_in_cookies_alone(self, cookie_world: World, browser: Browser) -> None:
        answer = browser.sign_in(cookie_world)
        assert answer.json == {
            "data": {"status": "success", "user": {"id": "user of +46701234567"}}
        }
        assert browser.jar.keys() == COOKIES
        assert answer.headers["Cache-Control"] == "no-store"
        for name, cookie in cookies_of(answer).items():
            assert bool(cookie["httponly"]) == name.endswith("_cookie")

        before = dict(browser.jar)
        answer = browser.post("/otp/refresh", "csrf_refresh_token")
        assert (answer.status, answer.json) == (200, {"data": {}})
        assert browser.jar.keys() == COOKIES
        assert all(browser.jar[name] != before[name] for name in COOKIES)
        assert browser.post("/me").status == 401
        assert browser.post("/me", "csrf_access_token").status == 200

    def test_neither_a_wrong_code_nor_tokens_of_the_host_set_cookies(
        self, cookie_world: World, browser: Browser
    ) -> None:
        cookie_world.otp.verify_success_handler(lambda *args: {"user": {}, "token": "the host's"})
        session_id = browser.site.initiate()
        codes = (cookie_world.wrong_code, cookie_world.code)
        answers = [browser.site.verify(session_id, code) for code in codes]

        assert [answer.status for answer in answers] == [401, 200]
        assert not any("Set-Cookie" in answer.headers for answer in answers)

    def test_what_came_by_cookie_is_never_answered_to_a_script(self, make_world: MakeWorld) -> None:
        locations = {"JWT_TOKEN_LOCATION": ["headers", "cookies"]}
        world = make_world(config=locations, REFRESH_TOKEN=True)
        with threaded(world.app) as site:
            browser = Browser(site)
            data = browser.sign_in(world).json["data"]
            assert browser.jar["access_token_cookie"] == data["token"]
            assert browser.jar["refresh_token_cookie"] == data["refreshToken"]
            assert browser.post("/otp/refresh", "csrf_refresh_token").json == {"data": {}}

            data = browser.sign_in(world).json["data"]
            answer = refresh(site, data["refreshToken"])
            assert answer.json["data"].keys() == {"token", "refreshToken"}
            assert "refresh_token_cookie" in str(answer.headers.get_all("Set-Cookie"))

            refused = refresh(site, data["token"])  # whose login need not be that of the cookies
            assert_invalid(refused)
            assert "Set-Cookie" not in refused.headers

    @pytest.mark.parametrize("csrf", [None, "", "x", "é", "csrf_access_token"])
    def test_another_site_can_neither_refresh_nor_end_a_login(
        self, cookie_world: World, browser: Browser, csrf: str | None
    ) -> None:
        browser.sign_in(cookie_world)
        sent = csrf and csrf.encode().decode("latin-1")
        answer = browser.post("/otp/refresh", sent)
        assert_invalid(answer, "The CSRF token is missing or does not match")
        assert "Set-Cookie" not in answer.headers
        if csrf != "csrf_access_token":
            answer = browser.post("/otp/logout", sent)
            assert answer.status == 401
            assert answer.json["error"]["code"] == "unauthorized"
            assert "Set-Cookie" not in answer.headers
        assert browser.post("/me", "csrf_access_token").status == 200
        assert browser.post("/otp/refresh", "csrf_refresh_token").status == 200

    @pytest.mark.parametrize("csrf", ["", "x", "é"])
    def test_wrong_csrf_token_in_a_form_is_refused(self, make_world: MakeWorld, csrf: str) -> None:
        config = {"JWT_TOKEN_LOCATION": ["cookies"], "JWT_CSRF_CHECK_FORM": True}
        world = make_world(config=config, REFRESH_TOKEN=True)
        with threaded(world.app) as site:
            browser = Browser(site)
            browser.sign_in(world)
            cookies = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
            headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode({"csrf_token": csrf}).encode()
            answer = site.send("POST", "/otp/refresh", body, headers)
            assert_invalid(answer, "The CSRF token is missing or does not match")

    @pytest.mark.parametrize(
        ("csrf", "later"),
        [("csrf_access_token", 0), ("csrf_refresh_token", 0), ("csrf_access_token", 3600)],
    )
    def test_logout_clears_the_cookies_and_ends_the_login(
        self,
        cookie_world: World,
        browser: Browser,
        clock: time_machine.Traveller,
        csrf: str,
        later: int,
    ) -> None:
        browser.sign_in(cookie_world)
        before = dict(browser.jar)
        clock.shift(later)

        assert browser.post("/otp/logout", csrf).status == 204

        assert browser.jar == {}
        # Another site's request comes without cookies too, and a browser would obey a Set-Cookie.
        answer = browser.post("/otp/logout")
        assert (answer.status, answer.headers.get_all("Set-Cookie")) == (204, None)
        browser.jar = dict(before)  # as a thief has them
        assert browser.post("/me", "csrf_access_token").status == 401
        assert_invalid(browser.post("/otp/refresh", "csrf_refresh_token"))

    def test_refused_refresh_clears_the_cookies_of_the_login_that_is_over(
        self, cookie_world: World, browser: Browser
    ) -> None:
        browser.sign_in(cookie_world)
        other = replace(browser, jar=dict(browser.jar))
        other.post("/otp/logout", "csrf_refresh_token")
        assert_invalid(browser.post("/otp/refresh", "csrf_refresh_token"))
        assert browser.jar == {}

    def test_logout_with_header_and_cookies_ends_the_login_of_both(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(
            config={"JWT_TOKEN_LOCATION": ["headers", "cookies"]}, REFRESH_TOKEN=True
        )
        protect(world.app)
        with threaded(world.app) as site:
            browser = Browser(site)
            browser.sign_in(world)
            by_cookie = browser.jar["access_token_cookie"]
            by_header, _ = sign_in(world, site)
            headers = {**bearer(by_header), "Cookie": f"access_token_cookie={by_cookie}"}
            answer = site.send("POST", "/otp/logout", headers=headers)
            assert answer.status == 204
            assert cookies_of(answer).keys() == COOKIES
            assert [me(site, by_header), me(site, by_cookie)] == [401, 401]

    def test_cookies_that_nobody_can_read_any_more_are_cleared(
        self, cookie_world: World, browser: Browser
    ) -> None:
        browser.sign_in(cookie_world)
        cookie_world.app.config["JWT_SECRET_KEY"] = "a new key of at least 32 bytes, yes"
        assert browser.post("/otp/logout", "csrf_access_token").status == 204
        assert browser.jar == {}

    @pytest.mark.parametrize(
        ("config", "options", "ages"),
        [
            ({}, {"REFRESH_LIFETIME": 20 * DAY}, [(14 * DAY, 14 * DAY), (10 * DAY, 10 * DAY)]),
            ({"JWT_REFRESH_TOKEN_EXPIRES": 300}, {}, [(300, 900)] * 2),
            ({}, {"KEEP_SIGNED_IN": False}, [("", "")] * 2),
            ({"JWT_SESSION_COOKIE": False}, {}, [(YEAR, YEAR)] * 2),
            ({"JWT_SESSION_COOKIE": False}, {"KEEP_SIGNED_IN": False}, [(YEAR, YEAR)] * 2),
        ],
        ids=["kept", "no shorter than its token", "not kept", "for a year", "for a year, not kept"],
    )
    def test_login_survives_a_browser_that_is_closed_for_as_long_as_it_can_be_refreshed(
        self,
        make_world: MakeWorld,
        clock: time_machine.Traveller,
        config: dict[str, Any],
        options: dict[str, Any],
        ages: list[tuple[Any, Any]],
    ) -> None:
        config = {"JWT_TOKEN_LOCATION": ["cookies"], **config}
        world = make_world(config=config, REFRESH_TOKEN=True, **options)
        with threaded(world.app) as site:
            browser = Browser(site)
            answers = [browser.sign_in(world)]
            clock.shift(10 * DAY if "REFRESH_LIFETIME" in options else 60)
            answers.append(browser.post("/otp/refresh", "csrf_refresh_token"))
        for answer, (of_refresh, of_access) in zip(answers, ages, strict=True):
            for name, cookie in cookies_of(answer).items():
                assert cookie["max-age"] == str(of_refresh if "refresh" in name else of_access)

    def test_login_without_refresh_tokens_ends_with_the_browser(
        self, make_world: MakeWorld
    ) -> None:
        world = make_world(config={"JWT_TOKEN_LOCATION": ["cookies"]})
        with threaded(world.app) as site:
            cookies = cookies_of(Browser(site).sign_in(world))
        assert {morsel["max-age"] for morsel in cookies.values()} == {""}
