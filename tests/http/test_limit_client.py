"""``otp.limit_client``: a form of the application's own is under the limits on clients, too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from click.testing import CliRunner
from flask import Blueprint, Flask, request
from flask.cli import FlaskGroup
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from support.hosts import MONGODB, host, in_memory, limiter_in, limiter_of
from support.world import World

from flask_otp_auth import signals
from flask_otp_auth.exceptions import ConfigurationError, ServiceUnavailable
from flask_otp_auth.testing.mongod import free_port

LIMITS = {"OTP_AUTH_CLIENT_LIMITS": "3 per hour", "OTP_AUTH_IDENTIFIER_LIMITS": None}
PHONE = {"identifier": "+46701234567", "method": "sms"}


def add_form(world: World, path: str = "/sign-in") -> None:
    @world.app.post(path, endpoint=path)
    @world.otp.limit_client
    def sign_in() -> str:
        world.otp.initiate(request.form["phone"], "sms")
        return "sent"


def post(world: World, path: str = "/sign-in") -> Any:
    return world.client.post(path, data={"phone": "+46701234567"})


@pytest.fixture(params=["the host's", "ours"])
def world(
    request: pytest.FixtureRequest, mongo_uri: str, clock: time_machine.Traveller
) -> Iterator[World]:
    """A host with a form, and a Limiter of its own, or ours."""
    prepare = in_memory if request.param == "the host's" else (lambda app: None)
    with host(mongo_uri, prepare, **LIMITS) as world:
        add_form(world)
        yield world


def test_a_form_and_the_endpoints_have_one_share(world: World) -> None:
    assert post(world).status_code == 200
    assert world.client.post("/otp/initiate", json=PHONE).status_code == 200
    assert post(world).status_code == 200

    refused = post(world)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 3000
    assert world.client.post("/otp/initiate", json=PHONE).status_code == 429
    assert len(world.outbox) == 3


def test_the_answer_is_the_hosts_own_and_says_the_wait(
    world: World, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    @world.app.errorhandler(429)
    def page(error: RateLimitExceeded) -> tuple[str, int]:
        return f"wait {error.retry_after} s", 429

    def note(sender: Flask, *, reason: str, bound: str, **data: Any) -> None:
        heard.append((reason, bound))

    caplog.set_level(logging.INFO, "flask_otp_auth")
    with signals.rate_limited.connected_to(note, world.app):
        for _ in range(3):
            post(world)
        clock.shift(600)
        refused = post(world)

    assert refused.status_code == 429
    wait = int(refused.headers["Retry-After"])
    assert 3000 <= wait <= 3001
    assert refused.text == f"wait {wait} s"
    assert heard == [("client", "3 per 1 hour")]
    assert "OTP_AUTH_CLIENT_LIMITS allows 3 per hour" in caplog.text


def test_flask_limiter_limits_lists_the_form_and_the_endpoints(world: World) -> None:
    pytest.importorskip("rich")
    flask = FlaskGroup(create_app=lambda: world.app)

    shown = CliRunner().invoke(flask, ["limiter", "limits"], env={"COLUMNS": "200"})

    assert shown.exit_code == 0, shown.output
    limited = ("/sign-in", "/otp/initiate", "/otp/resend")
    for path in (*limited, "/otp/verify"):
        rules = shown.output.partition(path)[2].partition("/otp/")[0]
        assert ("3 per 1 hour" in rules) == (path in limited), path


def test_a_request_filter_of_the_host_lets_its_own_machines_through(world: World) -> None:
    limiter_in(world.app).request_filter(lambda: "internal" in request.args)

    assert [post(world, "/sign-in?internal").status_code for _ in range(5)] == [200] * 5
    endpoint = [world.client.post("/otp/initiate?internal", json=PHONE) for _ in range(5)]
    assert [answer.status_code for answer in endpoint] == [200] * 5
    assert [post(world).status_code for _ in range(4)] == [200] * 3 + [429]


@pytest.mark.parametrize("outside", ["the host's rule", "ours"])
def test_a_rule_of_the_hosts_own_on_the_same_form_counts_once(
    outside: str, mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with host(mongo_uri, in_memory, **LIMITS) as world:
        theirs = limiter_in(world.app).limit("2 per minute", override_defaults=False)
        ours = world.otp.limit_client
        decorators = [ours, theirs] if outside == "the host's rule" else [theirs, ours]

        def sign_in() -> str:
            return "sent"

        view: Any = sign_in
        for decorator in decorators:
            view = decorator(view)
        world.app.add_url_rule("/sign-in", view_func=view, methods=["POST"])

        assert [post(world).status_code for _ in range(3)] == [200, 200, 429]
        clock.shift(61)
        assert [post(world).status_code for _ in range(2)] == [200, 429]


def test_a_view_may_be_decorated_before_init_app_and_in_a_blueprint(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    pages = Blueprint("pages", __name__)

    with host(mongo_uri, **LIMITS) as first:

        @pages.post("/sign-in")
        @first.otp.limit_client
        async def sign_in() -> str:
            return "sent"

        first.app.register_blueprint(pages)
        assert [post(first).status_code for _ in range(4)] == [200] * 3 + [429]
        rules = {**LIMITS, "OTP_AUTH_CLIENT_LIMITS": "1 per hour", "OTP_AUTH_COLLECTION": "other"}
        app = Flask("second")
        app.config.update(first.app.config, **rules)
        app.config.pop("JWT_TOKEN_LOCATION", None)
        first.otp.init_app(app, mongo=first.mongo)
        app.register_blueprint(pages)
        client = app.test_client()
        assert [client.post("/sign-in").status_code for _ in range(2)] == [200, 429]


def test_a_decorator_above_the_route_is_refused_since_it_would_limit_nothing(
    world: World,
) -> None:
    @world.otp.limit_client
    @world.app.post("/sign-up")
    def sign_up() -> str:
        return "sent"

    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"limit_client does not limit .*sign_up: put"):
            post(world, "/sign-up")


def test_an_application_without_endpoints_has_the_limits(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with host(mongo_uri, OTP_AUTH_REGISTER_ROUTES=False, **LIMITS) as world:
        add_form(world)
        assert [post(world).status_code for _ in range(4)] == [200] * 3 + [429]


def test_without_rules_a_form_has_no_limit(mongo_uri: str, clock: time_machine.Traveller) -> None:
    off = {**LIMITS, "OTP_AUTH_CLIENT_LIMITS": None}
    with host(mongo_uri, **off) as world:
        add_form(world)
        assert {post(world).status_code for _ in range(30)} == {200}


def test_a_limiter_that_was_never_initialised_lets_nobody_through(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    never = Limiter(get_remote_address, storage_uri="memory://")
    with host(mongo_uri, lambda app: never, **LIMITS) as world:
        add_form(world)
        with pytest.raises(ConfigurationError, match="limiter is not initialised"):
            post(world)
    assert world.outbox == []


def elsewhere(app: Flask) -> Limiter:
    uri = f"mongodb://127.0.0.1:{free_port()}/limits"
    return limiter_of(app, storage_uri=uri, storage_options=MONGODB)


@pytest.mark.parametrize("prepare", [lambda app: None, elsewhere], ids=["ours", "the host's"])
def test_a_store_that_is_away_is_a_503_and_sends_nothing(prepare: Any) -> None:
    nowhere = f"mongodb://127.0.0.1:{free_port()}/otp"
    with host(nowhere, prepare, **LIMITS, OTP_AUTH_DB_TIMEOUT=0.2) as world:
        add_form(world)

        @world.app.errorhandler(503)
        def page(error: ServiceUnavailable) -> tuple[str, int]:
            return f"come back in {error.retry_after} s", 503

        answer = post(world)

    assert (answer.status_code, answer.text) == (503, "come back in 5 s")
    assert world.outbox == []
