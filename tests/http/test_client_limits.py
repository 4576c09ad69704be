"""The limits of clients, as users of Flask-Limiter know them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask, Response, make_response, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from pymongo import MongoClient
from support.hosts import ask as ask_number
from support.hosts import host, in_memory, limiter_in
from support.listeners import Heard
from support.world import NOW, MakeWorld, World
from werkzeug.exceptions import HTTPException

from flask_otp_auth import signals
from flask_otp_auth.exceptions import ConfigurationError
from flask_otp_auth.http.client_key import client_bucket
from flask_otp_auth.testing.mongod import free_port

COUNTS = "otp_sessions.clients"
CLIENT_LIMITS = "OTP_AUTH_CLIENT_LIMITS"
LIMITS = {CLIENT_LIMITS: "3 per hour", "OTP_AUTH_IDENTIFIER_LIMITS": None}
PHONE = {"identifier": "+46701234567", "method": "sms"}


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:1234", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("64:ff9b:0:0:1::c000:201", "64:ff9b::/64"),
        ("2002:c000:201::1", "192.0.2.1"),
        ("2002:c000:201:ffff:1:2:3:4", "192.0.2.1"),
        ("::1", "::/64"),
        ("::192.0.2.1", "::/64"),
        ("", "no address"),
        ("not an address", "not an address"),
    ],
)
def test_an_address_is_counted_as_whose_it_is(address: str, bucket: str) -> None:
    assert client_bucket(address) == bucket


def ask(world: World, n: int = 0, address: str = "192.0.2.1", **headers: str) -> Any:
    return world.client.post(
        "/otp/initiate",
        json={"identifier": f"user{n}@example.com", "method": "email"},
        environ_base={"REMOTE_ADDR": address},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def test_who_is_refused_by_two_rules_is_told_the_longer_wait(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="2 per minute; 2 per hour")
    assert [ask(world, n).status_code for n in range(3)] == [200, 200, 429]

    assert int(ask(world, 3).headers["Retry-After"]) >= 3600


def test_the_window_moves_with_the_requests_of_a_client(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    for n in range(10):
        assert ask(world, n).status_code == 200
        clock.shift(60)
    refused = ask(world, 10)
    assert (refused.status_code, refused.json["error"]["retryAfter"]) == (429, 301)
    clock.shift(301)
    assert [ask(world, n).status_code for n in (11, 12)] == [200, 429]


def test_each_of_the_limits_can_be_off_alone_or_both(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    no_client = make_world(guarded=True, CLIENT_LIMITS=None)
    assert {ask(no_client, n).status_code for n in range(30)} == {200}
    assert ask(no_client, 0).status_code == 429

    no_identifier = make_world(guarded=True, IDENTIFIER_LIMITS=None, COLLECTION="other")
    assert [ask(no_identifier).status_code for _ in range(11)] == [200] * 10 + [429]

    neither = make_world(COLLECTION="third")
    assert {ask(neither).status_code for _ in range(40)} == {200}
    assert neither.sessions.database["third.clients"].count_documents({}) == 0
    assert "limiter" not in neither.app.extensions  # it would examine every request


def test_refused_bodies_count_as_requests_of_the_client_and_not_as_sends(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    """Or a client could try out without end which bodies are taken."""
    world = make_world(guarded=True)
    for _ in range(10):
        bad = world.client.post("/otp/initiate", json={"identifier": "nobody", "method": "email"})
        assert bad.status_code == 400
    assert world.client.post("/otp/initiate", data=b"{").status_code == 429

    assert ask(world, address="192.0.2.9").status_code == 200


def test_initiate_and_resend_have_one_share(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="3 per hour", IDENTIFIER_LIMITS=None)
    session_id = world.initiate()
    resends = [
        world.client.post("/otp/resend", json={"sessionId": session_id}).status_code
        for _ in range(3)
    ]

    assert resends == [200, 200, 429]
    assert ask(world, address="127.0.0.1").status_code == 429


def test_init_app_asks_no_database_for_the_limits(make_world: MakeWorld) -> None:
    heard = Heard()
    make_world(guarded=True, listeners=[heard])

    assert heard.commands == []


def test_what_our_own_limiter_stores_is_deleted_by_the_database(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True)
    ask(world)

    counts = world.sessions.database[COUNTS]
    assert counts.index_information()["expireAt_1"]["expireAfterSeconds"] == 0
    expiries = [entry["expireAt"].replace(tzinfo=UTC) for entry in counts.find()]
    assert sorted(expiries) == [NOW + timedelta(minutes=15), NOW + timedelta(days=1)]


def test_our_own_limiter_opens_no_second_pool_of_connections(
    mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    init = MongoClient.__init__

    def counting(self: MongoClient[Any], *args: Any, **keywords: Any) -> None:
        opened.append(self)
        init(self, *args, **keywords)

    monkeypatch.setattr(MongoClient, "__init__", counting)
    with host(mongo_uri) as world:
        assert [ask_number(world, n).status_code for n in range(11)] == [200] * 10 + [429]

    assert len(opened) == 1


def test_no_address_of_a_client_is_stored_or_logged(
    make_world: MakeWorld, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = make_world(guarded=True, CLIENT_LIMITS="2 per hour")
    for address in ("203.0.113.77", "2001:db8:1:2::77"):
        for n in range(3):
            ask(world, n, address)

    database = world.sessions.database
    stored = str([list(database[name].find()) for name in database.list_collection_names()])
    said = " ".join(
        record.getMessage()
        for record in caplog.records
        if record.name in ("flask_otp_auth", "flask-limiter")
    )
    assert "exceeded" in said
    for text in (stored, said):
        assert "203.0.113" not in text
        assert "2001:db8" not in text


def test_a_clock_that_was_a_year_ahead_keeps_no_client_out(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="2 per hour", IDENTIFIER_LIMITS=None)
    clock.move_to(NOW + timedelta(days=365), tick=False)
    assert [ask(world).status_code for _ in range(3)] == [200, 200, 429]

    clock.move_to(NOW, tick=False)
    refused = ask(world)
    assert (refused.status_code, refused.json["error"]["retryAfter"]) == (429, 3601)
    clock.shift(1800)
    assert ask(world).status_code == 429  # and asking again did not prolong it
    clock.shift(1802)
    assert ask(world).status_code == 200


@pytest.mark.parametrize(("debug", "level"), [(False, logging.INFO), (True, logging.WARNING)])
def test_the_log_says_which_rule_refused(
    make_world: MakeWorld,
    clock: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
    debug: bool,
    level: int,
) -> None:
    world = make_world(guarded=True, CLIENT_LIMITS="5 per day; 1 per 15 minutes")
    world.app.debug = debug
    heard: list[Any] = []

    def note(sender: Flask, *, bound: str, **data: Any) -> None:
        heard.append(bound)

    ask(world)
    caplog.set_level(logging.INFO, "flask_otp_auth")
    with signals.rate_limited.connected_to(note, world.app):
        ask(world, 1)
        ask(world, address="192.0.2.2")

    assert "code refused: OTP_AUTH_IDENTIFIER_LIMITS allows 1 per 30 seconds" in caplog.text
    [record] = [record for record in caplog.records if "client refused" in record.getMessage()]
    assert record.getMessage() == "client refused: OTP_AUTH_CLIENT_LIMITS allows 1 per 15 minutes"
    assert record.levelno == level
    assert heard[0] == "1 per 15 minute"


def test_a_limiter_that_is_none_is_refused_at_the_start(mongo_uri: str) -> None:
    with (
        pytest.raises(ConfigurationError, match="limiter is a str"),
        host(
            mongo_uri,
            lambda app: "memory://",  # type: ignore[arg-type,return-value]
        ),
    ):
        pass


class TestDevices:
    """A device that is trusted shares no limit with others at its address."""

    @pytest.fixture
    def world(self, make_world: MakeWorld, clock: time_machine.Traveller) -> World:
        return make_world(
            guarded=True,
            CLIENT_LIMITS="3 per hour",
            IDENTIFIER_LIMITS=None,
            TRUSTED_DEVICES=86_400,
        )

    def token(self, world: World, number: str = "+46701234567") -> str:
        """Sign in, from an address of its own, and return the token."""
        body = {"identifier": number, "method": "sms"}
        started = world.client.post(
            "/otp/initiate", json=body, environ_base={"REMOTE_ADDR": "192.0.2.200"}
        )
        verified = world.verify(started.json["data"]["sessionId"], world.code)
        return str(verified.json["data"]["deviceToken"])

    def ask(self, world: World, token: object, number: str = "+46701234567") -> Any:
        body = {"identifier": number, "method": "sms", "deviceToken": token}
        return world.client.post("/otp/initiate", json=body)

    def exhaust(self, world: World) -> None:
        for _ in range(4):
            world.client.post("/otp/initiate", data=b"")
        assert world.client.post("/otp/initiate", json=PHONE).status_code == 429

    def test_the_neighbours_of_an_owner_do_not_delay_their_device(self, world: World) -> None:
        token = self.token(world)
        self.exhaust(world)

        started = self.ask(world, token)
        assert started.status_code == 200
        body = {"sessionId": started.json["data"]["sessionId"]}
        assert world.client.post("/otp/resend", json=body).status_code == 200
        assert self.ask(world, token).status_code == 200
        assert self.ask(world, token).status_code == 429  # the device has limits, too
        assert world.client.post("/otp/resend", json=body).status_code == 429

    def test_it_is_the_same_with_the_cookie(
        self, mongo_uri: str, clock: time_machine.Traveller
    ) -> None:
        config = {
            **LIMITS,
            "OTP_AUTH_TRUSTED_DEVICES": 86_400,
            "JWT_TOKEN_LOCATION": ["cookies"],
            "JWT_COOKIE_SECURE": False,
        }
        with host(mongo_uri, in_memory, **config) as world:
            owner = world.client
            body = {"sessionId": world.initiate(), "code": world.code}
            assert owner.post("/otp/verify", json=body).status_code == 200
            self.exhaust(world)

            assert owner.post("/otp/initiate", json=PHONE).status_code == 200

    @pytest.mark.parametrize("token", ["", "x", None, 1, [], "a.b.c"])
    def test_what_is_no_token_is_counted_by_address(self, world: World, token: object) -> None:
        session_id = world.initiate()
        self.exhaust(world)

        assert self.ask(world, token).status_code == 429
        for body in ({"sessionId": session_id}, {"sessionId": "0" * 32}, {"sessionId": token}):
            assert world.client.post("/otp/resend", json=body).status_code == 429

    def test_a_key_function_of_the_host_counts_devices_as_it_likes(
        self, mongo_uri: str, clock: time_machine.Traveller
    ) -> None:
        def prepare(app: Flask) -> Limiter:
            return Limiter(lambda: "everybody", app=app, storage_uri="memory://")

        with host(mongo_uri, prepare, **LIMITS, OTP_AUTH_TRUSTED_DEVICES=86_400) as world:
            token = self.token(world)
            self.exhaust(world)
            assert self.ask(world, token).status_code == 429


# From here on: what a host does with a Limiter of its own.


@pytest.fixture
def world(mongo_uri: str, clock: time_machine.Traveller) -> Iterator[World]:
    """A host with a Limiter in memory, and three codes an hour for a client."""
    with host(mongo_uri, in_memory, **LIMITS) as world:
        yield world


def statuses(world: World, times: int = 5, **headers: str) -> list[int]:
    return [ask(world, **headers).status_code for _ in range(times)]


LIMITED, FREE = [200, 200, 200, 429, 429], [200] * 5


def test_a_view_can_be_exempted_by_the_host(world: World) -> None:
    limiter = limiter_in(world.app)
    limiter.exempt(world.app.view_functions["otp_auth.initiate"])

    assert statuses(world) == FREE
    session_id = world.initiate()
    resends = [
        world.client.post("/otp/resend", json={"sessionId": session_id}).status_code
        for _ in range(4)
    ]
    assert resends == [200, 200, 429, 429]


def test_a_limiter_can_be_switched_off_and_on_at_run_time(world: World) -> None:
    limiter = limiter_in(world.app)
    limiter.enabled = False
    assert statuses(world) == FREE

    limiter.enabled = True
    assert statuses(world) == LIMITED


def test_a_hosts_on_breach_hears_of_a_refusal_and_may_answer_it(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    heard: list[str] = []
    own = [False]

    def on_breach(limit: RequestLimit) -> Response | None:
        heard.append(str(limit.limit))
        return make_response({"slow": "down"}, 429) if own[0] else None

    limits = {"OTP_AUTH_CLIENT_LIMITS": "1 per hour"}
    with host(mongo_uri, lambda app: in_memory(app, on_breach=on_breach), **limits) as world:
        assert ask(world).status_code == 200
        refusals: list[str] = []

        def note(sender: Flask, *, reason: str, **data: Any) -> None:
            refusals.append(reason)

        with signals.rate_limited.connected_to(note, world.app):
            assert ask(world, 1).json["error"]["code"] == "tooManyRequests"
            own[0] = True
            answer = ask(world, 2)

    assert refusals == ["client", "client"]
    assert answer.status_code == 429
    assert answer.json == {"slow": "down"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert heard == ["1 per 1 hour", "1 per 1 hour"]
    assert len(world.outbox) == 1


@pytest.mark.parametrize("kind", [429, HTTPException, Exception])
def test_a_client_reads_its_wait_whatever_pages_of_errors_the_host_has(
    kind: Any, mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with host(mongo_uri, in_memory, OTP_AUTH_CLIENT_LIMITS="1 per hour") as world:

        @world.app.errorhandler(kind)
        def page(error: Exception) -> tuple[str, int]:
            return "a page of the host", 429

        assert ask(world).status_code == 200
        answer = ask(world, 1)

    assert (answer.status_code, answer.json["error"]["code"]) == (429, "tooManyRequests")
    assert int(answer.headers["Retry-After"]) == answer.json["error"]["retryAfter"] > 3000


def test_a_limit_of_the_hosts_own_is_answered_by_its_page(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    config = {"RATELIMIT_DEFAULT": "1 per hour", "OTP_AUTH_CLIENT_LIMITS": None}
    cookies = {"JWT_TOKEN_LOCATION": ["cookies"], "OTP_AUTH_LOGIN_PAGE": True}
    with host(mongo_uri, in_memory, **config, **cookies) as world:

        @world.app.errorhandler(429)
        async def page(error: Exception) -> tuple[str, int]:
            return "a page of the host", 429

        assert world.client.get("/otp/login").status_code == 200
        answer = world.client.get("/otp/login")

    assert (answer.status_code, answer.text) == (429, "a page of the host")


def test_a_key_function_of_the_hosts_own_is_used_and_for_a_plain_address_ours(
    world: World, mongo_uri: str
) -> None:
    assert [ask(world, address=f"2001:db8:1:2::{n}").status_code for n in range(1, 6)] == LIMITED

    def prepare(app: Flask) -> Limiter:
        return Limiter(
            lambda: request.headers.get("X-Tenant", ""), app=app, storage_uri="memory://"
        )

    with host(mongo_uri, prepare, **LIMITS) as world:
        assert statuses(world, X_Tenant="one") == LIMITED
        assert statuses(world, X_Tenant="two") == LIMITED
        # To Flask-Limiter an empty key is no limit at all.
        assert statuses(world) == LIMITED


def test_default_limits_of_the_host_hold_beside_ours(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    config = {"RATELIMIT_DEFAULT": "4 per minute", "OTP_AUTH_IDENTIFIER_LIMITS": None}
    with host(mongo_uri, in_memory, **config, OTP_AUTH_CLIENT_LIMITS="2 per hour") as world:
        assert [ask(world, n).status_code for n in range(3)] == [200, 200, 429]
        verifies = [world.verify("0" * 32, "000000").status_code for _ in range(5)]
        assert verifies == [404] * 4 + [429]
        assert [world.client.get("/").status_code for _ in range(5)] == [200] * 4 + [429]
    with host(mongo_uri, in_memory, **config, OTP_AUTH_CLIENT_LIMITS="9 per hour") as world:
        assert [ask(world, n).status_code for n in range(5)] == [200] * 4 + [429]


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (["4 per hour", "4 per hour"], [4, 0]),  # one store, so one share for both
        (["4 per hour", "2 per hour"], [4, 2]),
        (["2 per hour", "4 per hour"], [2, 4]),
    ],
)
def test_one_limiter_on_two_apps_counts_each_request_once_by_the_rules_of_its_app(
    rules: list[str], allowed: list[int], mongo_uri: str, clock: time_machine.Traveller
) -> None:
    limiter = Limiter(get_remote_address, storage_uri="memory://")

    def prepare(app: Flask) -> Limiter:
        limiter.init_app(app)
        return limiter

    with contextlib.ExitStack() as stack:
        worlds = [
            stack.enter_context(host(mongo_uri, prepare, **LIMITS | {CLIENT_LIMITS: rule}))
            for rule in rules
        ]
        assert [statuses(world, 6).count(200) for world in worlds] == allowed


@pytest.fixture(params=["the host's", "ours"])
def with_headers(
    request: pytest.FixtureRequest, mongo_uri: str, clock: time_machine.Traveller
) -> Iterator[World]:
    config = {"RATELIMIT_HEADERS_ENABLED": True, "OTP_AUTH_CLIENT_LIMITS": "20 per day"}
    if request.param == "ours":
        running = host(mongo_uri, **config)
    else:
        running = host(mongo_uri, in_memory, **config, RATELIMIT_DEFAULT="1000 per hour")
    with running as world:
        yield world


class TestHeaders:
    """With RATELIMIT_HEADERS_ENABLED, which would tell the end of its own window instead."""

    def told(self, answer: Any, status: int) -> int | None:
        """Return the wait that an answer tells, the same in header and body."""
        assert answer.status_code == status, answer.text
        assert len(answer.headers.getlist("Retry-After")) <= 1
        header = answer.headers.get("Retry-After")
        body = answer.json.get("error", {}).get("retryAfter")
        assert (None if header is None else int(header)) == body
        return body

    def test_a_cooldown_tells_its_30_seconds_and_what_is_left_and_others_tell_no_wait(
        self, with_headers: World
    ) -> None:
        answer = ask(with_headers)
        assert self.told(answer, 200) is None
        # Of two limits Flask-Limiter shows the one that is the route's own.
        headers = [answer.headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining")]
        assert headers in (["20", "19"], ["1000", "999"])

        answer = ask(with_headers)
        assert self.told(answer, 429) == 30
        assert answer.headers["X-RateLimit-Remaining"] in ("18", "998")

        assert self.told(with_headers.client.post("/otp/initiate", json={}), 400) is None
        assert "Retry-After" not in with_headers.client.get("/otp/initiate").headers
        assert self.told(with_headers.verify("0" * 32, "000000"), 404) is None

    def test_a_refused_client_is_told_the_true_wait(
        self, with_headers: World, clock: time_machine.Traveller
    ) -> None:
        for n in range(20):
            ask(with_headers, n)
        clock.shift(3600)

        answer = ask(with_headers, 20)
        wait = self.told(answer, 429)
        assert wait is not None
        assert 82_800 <= wait <= 82_801
        assert answer.headers["X-RateLimit-Remaining"] == "0"

    def test_a_locked_and_a_disabled_account_tell_their_own(self, with_headers: World) -> None:
        ask(with_headers)
        with_headers.accounts.update_one(
            {}, {"$set": {"lockedUntil": NOW + timedelta(seconds=60), "failures": 9}}
        )
        assert self.told(ask(with_headers), 429) == 60
        with_headers.accounts.update_one({}, {"$set": {"failures": 100}})
        assert self.told(ask(with_headers), 429) is None

    def test_a_database_that_is_away_tells_its_5_seconds(self, mongo_uri: str) -> None:
        nowhere = f"mongodb://127.0.0.1:{free_port()}/otp"
        config = {"RATELIMIT_HEADERS_ENABLED": True, "OTP_AUTH_DB_TIMEOUT": 0.2}
        with host(nowhere, in_memory, **config) as world:
            assert self.told(ask(world), 503) == 5
        with host(nowhere, **config) as world:
            assert self.told(ask(world), 503) == 5

    def test_the_hosts_own_routes_keep_what_its_limiter_says(
        self, mongo_uri: str, clock: time_machine.Traveller
    ) -> None:
        config = {"RATELIMIT_HEADERS_ENABLED": True, "RATELIMIT_DEFAULT": "1000 per hour"}
        with host(mongo_uri, in_memory, **config) as world:
            answer = world.client.get("/")

        assert answer.headers["X-RateLimit-Limit"] == "1000"
        assert "Retry-After" in answer.headers
