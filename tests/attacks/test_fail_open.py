"""No setting, typo or dead store of the limits leaves phones to be flooded and bills run up."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits.storage import MemoryStorage
from support.hosts import MONGODB, ask, host, in_memory, limiter_in, limiter_of
from support.servers import freeze, thaw
from support.world import SECRET_KEY, World

from flask_otp_auth import ConfigurationError, FlaskOtpAuth, SecurityWarning
from flask_otp_auth.testing.mongod import LocalMongod, free_port

TYPOS = [
    "",
    " ",
    ";",
    "10",
    "ten per minute",
    "10 per",
    "per minute",
    "10 per fortnight",
    "10 pre minute",
    "-1 per minute",
    "1.5 per minute",
    "0 per minute",
    "10 per minute rubbish",
    "rubbish 10 per minute",
    "10 per minute;;",
    "10 per minute; 20",
    "10 per minute; 20 per dayy",
    b"10 per minute",
    ["10 per minute"],
    10,
    True,
    False,
    {"10 per minute"},
]


def assert_nothing_sent(world: World, answer: Any) -> None:
    assert answer.status_code == 503
    assert answer.json["error"]["code"] == "serviceUnavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert world.outbox == []


@pytest.mark.parametrize("key", ["CLIENT_LIMITS", "IDENTIFIER_LIMITS"])
@pytest.mark.parametrize("typo", TYPOS, ids=repr)
def test_a_typo_in_a_limit_stops_the_start_instead_of_switching_the_limit_off(
    key: str, typo: object
) -> None:
    app = Flask("host")
    app.config.update({"SECRET_KEY": SECRET_KEY, f"OTP_AUTH_{key}": typo})

    with pytest.raises(ConfigurationError) as refused:
        FlaskOtpAuth(app)

    assert refused.value.key == f"OTP_AUTH_{key}"


def another_app_has_it(app: Flask) -> Limiter:
    return limiter_of(Flask("other"), storage_uri="memory://")


def nobody_has_it(app: Flask) -> Limiter:
    return Limiter(get_remote_address)


@pytest.mark.parametrize("prepare", [nobody_has_it, another_app_has_it])
def test_nothing_is_sent_under_a_limiter_that_this_app_does_not_have(
    prepare: Callable[[Flask], Limiter], mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with host(mongo_uri, prepare) as world:
        answer = ask(world)

        assert answer.status_code == 500
        assert answer.json["error"]["code"] == "internalServerError"
        assert answer.json["error"]["id"] in caplog.text
        assert "limiter.init_app(app)" in caplog.text
        assert world.outbox == []


def test_a_limiter_may_be_initialised_after_us_and_counts_from_then_on(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    later = Limiter(get_remote_address, storage_uri="memory://")
    with host(mongo_uri, lambda app: later) as world:
        later.init_app(world.app)

        assert limiter_in(world.app) is later
        assert [ask(world, n).status_code for n in range(12)] == [200] * 10 + [429] * 2


def test_a_limiter_that_fails_open_is_told_of_once_wherever_it_is_initialised(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    later = Limiter(get_remote_address, storage_uri="memory://", swallow_errors=True)
    with host(mongo_uri, lambda app: later, testing=False) as world:
        later.init_app(world.app)

        with pytest.warns(SecurityWarning) as told:
            ask(world)
        ask(world, 1)

    assert sorted(str(one.message).split()[1] for one in told) == ["Limiter's", "are"]


class Hosts:
    """What a host may have set for its own limits, with a store at *uri*."""

    @staticmethod
    def plain(app: Flask, uri: str, options: dict[str, Any]) -> Limiter:
        return limiter_of(app, storage_uri=uri, storage_options=options)

    @staticmethod
    def swallow_errors(app: Flask, uri: str, options: dict[str, Any]) -> Limiter:
        return limiter_of(app, storage_uri=uri, storage_options=options, swallow_errors=True)

    @staticmethod
    def in_memory_fallback(app: Flask, uri: str, options: dict[str, Any]) -> Limiter:
        return limiter_of(
            app,
            storage_uri=uri,
            storage_options=options,
            in_memory_fallback_enabled=True,
            in_memory_fallback=["1000 per minute"],
            default_limits=["1000 per minute"],
        )

    @staticmethod
    def empty_key(app: Flask, uri: str, options: dict[str, Any]) -> Limiter:
        return Limiter(lambda: "", app=app, storage_uri=uri, storage_options=options)

    @staticmethod
    def fixed_window(app: Flask, uri: str, options: dict[str, Any]) -> Limiter:
        return limiter_of(app, storage_uri=uri, storage_options=options, strategy="fixed-window")


HOSTS = [
    Hosts.plain,
    Hosts.swallow_errors,
    Hosts.in_memory_fallback,
    Hosts.empty_key,
    Hosts.fixed_window,
]
Make = Callable[[Flask, str, dict[str, Any]], Limiter]


FAIL_OPEN = [Hosts.swallow_errors, Hosts.in_memory_fallback]


def away(make: Make, mongo_uri: str, **config: Any) -> AbstractContextManager[World]:
    nowhere = f"mongodb://127.0.0.1:{free_port()}/limits"
    return host(mongo_uri, lambda app: make(app, nowhere, MONGODB), **config)


@pytest.mark.parametrize(
    "make", [make for make in HOSTS if make not in FAIL_OPEN], ids=lambda make: make.__name__
)
def test_nothing_is_sent_while_the_store_of_the_hosts_limiter_is_away(
    make: Make, mongo_uri: str
) -> None:
    with away(make, mongo_uri) as world:
        assert_nothing_sent(world, ask(world))


@pytest.mark.parametrize("make", FAIL_OPEN, ids=lambda make: make.__name__)
def test_a_host_that_chose_to_fail_open_is_told_and_accounts_stay_limited(
    make: Make, mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with (
        pytest.warns(SecurityWarning, match=r"swallow_errors|falls back to memory"),
        away(make, mongo_uri, testing=False) as world,
    ):
        assert [ask(world).status_code for _ in range(3)] == [200, 429, 429]
        assert ask(world, 1).status_code == 200
        assert len(world.outbox) == 2


@pytest.mark.parametrize("make", HOSTS, ids=lambda make: make.__name__)
def test_the_hosts_own_settings_do_not_loosen_the_limits(
    make: Make, mongo_uri: str, clock: time_machine.Traveller
) -> None:
    name = mongo_uri.rpartition("/")[2]
    with host(mongo_uri, lambda app: make(app, mongo_uri, {"database_name": name})) as world:
        assert [ask(world, n).status_code for n in range(12)] == [200] * 10 + [429] * 2


def test_nothing_is_sent_under_a_key_function_of_the_host_that_fails(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    def broken() -> str:
        raise KeyError("no such header")

    def prepare(app: Flask) -> Limiter:
        return Limiter(
            broken, app=app, storage_uri="memory://", in_memory_fallback=["1000 per minute"]
        )

    with host(mongo_uri, prepare) as world:
        assert {ask(world, n).status_code for n in range(3)} == {500}
        assert world.outbox == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP")
@pytest.mark.parametrize("whose", ["the host's Limiter", "RATELIMIT_STORAGE_URI"])
def test_nothing_is_sent_while_the_store_of_the_limits_hangs_or_is_down(
    whose: str, mongo_uri: str
) -> None:
    with LocalMongod() as store:
        uri = store.uri("limits")
        if whose == "the host's Limiter":
            options = {**MONGODB, "timeoutMS": 1000}  # the host's, as the store is
            running = host(mongo_uri, lambda app: Hosts.plain(app, uri, options))
        else:
            running = host(mongo_uri, RATELIMIT_STORAGE_URI=uri, OTP_AUTH_DB_TIMEOUT=1)
        with running as world:
            assert ask(world).status_code == 200
            world.outbox.clear()
            start = time.monotonic()
            freeze(store.pid)
            try:
                assert_nothing_sent(world, ask(world, 1))
            finally:
                thaw(store.pid)
            assert time.monotonic() - start < 4
            assert ask(world, 2).status_code == 200
            world.outbox.clear()
            store.stop()
            assert_nothing_sent(world, ask(world, 3))


def test_nothing_is_sent_while_a_redis_is_away(mongo_uri: str) -> None:
    pytest.importorskip("redis")

    with host(mongo_uri, RATELIMIT_STORAGE_URI=f"redis://127.0.0.1:{free_port()}/0") as world:
        assert_nothing_sent(world, ask(world))
        session_id = "0" * 32
        assert world.verify(session_id, "123456").status_code == 404


@pytest.mark.parametrize(
    "fallback",
    [
        {"RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True},
        {"RATELIMIT_IN_MEMORY_FALLBACK": "1000 per second"},
        {"RATELIMIT_SWALLOW_ERRORS": True},
    ],
    ids=lambda fallback: next(iter(fallback)),
)
def test_no_setting_of_the_host_makes_our_own_limiter_let_through_what_it_did_not_count(
    fallback: dict[str, Any], mongo_uri: str
) -> None:
    pytest.importorskip("redis")
    away = f"redis://127.0.0.1:{free_port()}/0"

    with host(mongo_uri, RATELIMIT_STORAGE_URI=away, **fallback) as world:
        for n in range(3):
            assert_nothing_sent(world, ask(world, n))


@pytest.mark.parametrize("uri", ["redsi://127.0.0.1/0", "nonsense", "async+memory://", "/limits"])
def test_a_store_of_the_limits_that_cannot_be_used_stops_the_start(
    uri: str, mongo_uri: str
) -> None:
    with (
        pytest.raises(ConfigurationError) as refused,
        host(mongo_uri, RATELIMIT_STORAGE_URI=uri),
    ):
        pass

    assert refused.value.key == "RATELIMIT_STORAGE_URI"


def test_sends_are_counted_though_the_uri_of_the_host_waits_for_no_write(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with host(f"{mongo_uri}?w=0") as world:
        assert [ask(world).status_code for _ in range(3)] == [200, 429, 429]


def test_limits_switched_off_are_warned_about(mongo_uri: str) -> None:
    with (
        pytest.warns(SecurityWarning, match=r"RATELIMIT_ENABLED"),
        host(mongo_uri, testing=False, RATELIMIT_ENABLED=False) as world,
    ):
        assert [ask(world, n).status_code for n in range(20)] == [200] * 20
        assert ask(world, 0).status_code == 429  # the limits of accounts stay


def test_a_limiter_switched_off_in_code_is_warned_about_too(mongo_uri: str) -> None:
    with (
        pytest.warns(SecurityWarning, match=r"RATELIMIT_ENABLED"),
        host(
            mongo_uri,
            lambda app: limiter_of(app, storage_uri="memory://", enabled=False),
            testing=False,
        ),
    ):
        pass


def test_limits_that_each_worker_counts_for_itself_are_warned_about(mongo_uri: str) -> None:
    with (
        pytest.warns(SecurityWarning, match=r"memory.*each worker"),
        host(mongo_uri, in_memory, testing=False),
    ):
        pass


def swallowing_in_config(app: Flask) -> Limiter:
    app.config["RATELIMIT_SWALLOW_ERRORS"] = True
    return limiter_of(app, storage_uri=app.config["MONGO_URI"])


def swallowing_in_code(app: Flask) -> Limiter:
    return limiter_of(app, storage_uri=app.config["MONGO_URI"], swallow_errors=True)


@pytest.mark.parametrize("prepare", [swallowing_in_config, swallowing_in_code])
def test_a_limiter_that_swallows_errors_is_warned_about(
    prepare: Callable[[Flask], Limiter], mongo_uri: str
) -> None:
    with (
        pytest.warns(SecurityWarning, match=r"(?i)swallow_errors"),
        host(mongo_uri, prepare, testing=False),
    ):
        pass


@pytest.mark.parametrize("quiet", [{"testing": True}, {"testing": False, "DEBUG": True}], ids=str)
def test_tests_and_debug_runs_are_not_bothered_with_warnings(
    quiet: dict[str, bool], mongo_uri: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for config in ({"RATELIMIT_ENABLED": False}, {"RATELIMIT_STORAGE_URI": "memory://"}):
            with host(mongo_uri, **quiet, **config):
                pass


def test_clients_are_counted_where_the_host_counts(mongo_uri: str, mongo_server: str) -> None:
    name = mongo_uri.rpartition("/")[2]

    def two_limiters(app: Flask) -> None:
        limiter_of(app, storage_uri="memory://")
        limiter_of(app, storage_uri="memory://", key_prefix="second")

    with host(mongo_uri) as own:
        ask(own)
        assert own.mongo.db["otp_sessions.clients"].count_documents({}) > 0
    with host(mongo_uri, lambda app: (in_memory(app), None)[1]) as the_one_it_has:
        [limiter] = the_one_it_has.app.extensions["limiter"]
        assert limiter_in(the_one_it_has.app) is limiter
    explicit = {
        "database_name": name,
        "counter_collection_name": "counters_of_the_host",
        "window_collection_name": "windows_of_the_host",
    }
    with host(mongo_uri, lambda app: Hosts.plain(app, mongo_server, explicit)) as given:
        ask(given)
        assert given.mongo.db["counters_of_the_host"].count_documents({}) > 0
    with host(mongo_uri, RATELIMIT_STORAGE_URI="memory://") as named:
        assert isinstance(limiter_in(named.app).storage, MemoryStorage)
    with host(mongo_uri, two_limiters) as undecided:
        assert len(undecided.app.extensions["limiter"]) == 3
        assert not isinstance(limiter_in(undecided.app).storage, MemoryStorage)


def test_a_host_with_a_limiter_in_memory_still_limits_a_phone(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with host(mongo_uri, in_memory) as world:
        assert [ask(world).status_code for _ in range(3)] == [200, 429, 429]


def test_two_apps_with_one_store_count_an_account_together_only_under_one_secret(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    with (
        host(mongo_uri) as one,
        host(mongo_uri) as copy,
        host(mongo_uri, SECRET_KEY="of another service, over 32 bytes") as other,
    ):
        assert [ask(world).status_code for world in (one, copy, other)] == [200, 429, 200]


def test_one_extension_on_two_apps_keeps_their_limits_apart(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    otp, sent = FlaskOtpAuth(), []
    otp.send_code_handler(lambda code, identifier, method, payload: sent.append(code) or True)
    otp.get_user_handler(lambda identifier, method, payload: {"id": identifier})
    apps = []
    for name, limit in (("strict", "1 per hour"), ("loose", "3 per hour")):
        app = Flask(name)
        app.config.update(
            SECRET_KEY=SECRET_KEY,
            MONGO_URI=mongo_uri,
            OTP_AUTH_CLIENT_LIMITS=limit,
            OTP_AUTH_IDENTIFIER_LIMITS=None,
            OTP_AUTH_COLLECTION=f"otp_{name}",
        )
        otp.init_app(app)
        apps.append(app)
    body = {"identifier": "+46701234567", "method": "sms"}

    answers = [
        [app.test_client().post("/otp/initiate", json=body).status_code for app in apps]
        for _ in range(4)
    ]

    assert answers == [[200, 200], [429, 200], [429, 200], [429, 429]]
    for app in apps:
        app.extensions["otp_auth"].mongo.cx.close()


def test_a_limit_of_the_host_on_all_routes_is_answered_in_our_form(
    mongo_uri: str, clock: time_machine.Traveller
) -> None:
    config = {"RATELIMIT_DEFAULT": "2 per minute", "RATELIMIT_HEADERS_ENABLED": True}
    with host(mongo_uri, in_memory, **config) as world:
        assert [ask(world, n).status_code for n in range(2)] == [200, 200]
        clock.shift(20)
        refused = ask(world, 2)

    error = refused.json["error"]
    assert refused.status_code == refused.json["status"] == 429
    assert (error["code"], error["title"]) == ("tooManyRequests", "Too Many Requests")
    assert set(error) == {"id", "title", "detail", "code", "retryAfter"}
    assert 40 <= int(refused.headers["Retry-After"]) <= 41  # Flask-Limiter rounds up
    assert refused.headers["Retry-After"] == str(error["retryAfter"])
    assert refused.headers["Cache-Control"] == "no-store"
    assert len(world.outbox) == 2


def test_a_fault_of_the_host_is_not_told_as_a_store_that_is_away(mongo_uri: str) -> None:
    with host(mongo_uri, in_memory) as world:

        @world.app.before_request
        def broken() -> None:
            raise ValueError("a fault of the host's own")

        answer = ask(world)
        assert answer.status_code == 500
        assert answer.json["error"]["code"] == "internalServerError"
        assert "Retry-After" not in answer.headers
        assert world.outbox == []


@pytest.mark.parametrize("kind", ["RATELIMIT_DEFAULT", "RATELIMIT_APPLICATION"])
def test_our_own_limits_do_not_fall_on_the_hosts_routes(
    mongo_uri: str, clock: time_machine.Traveller, kind: str
) -> None:
    with host(mongo_uri, **{kind: "1 per minute"}) as world:
        assert [world.client.get("/").status_code for _ in range(30)] == [200] * 30


def test_nothing_is_sent_while_the_store_behind_a_limit_of_the_host_is_away(
    mongo_uri: str,
) -> None:
    nowhere = f"mongodb://127.0.0.1:{free_port()}/limits"
    config = {"RATELIMIT_DEFAULT": "100 per minute"}
    with host(mongo_uri, lambda app: Hosts.plain(app, nowhere, MONGODB), **config) as world:
        assert ask(world).status_code in (500, 503)  # the host's own limit is what fails here
        assert world.outbox == []
