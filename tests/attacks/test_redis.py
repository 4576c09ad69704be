"""Clients counted in Redis: the same bounds, and no code while it is away."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from support.redis_server import Redis, needs_redis
from support.servers import PATIENCE, freeze, thaw
from support.world import NOW, MakeWorld, World

from flask_otp_auth.exceptions import TooManyRequests

pytestmark = needs_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own."""
    pytest.importorskip("redis")
    with Redis(tmp_path) as redis:
        yield redis


@pytest.fixture
def limited(redis: Redis, make_world: MakeWorld) -> World:
    """An app with three codes an hour for a client, counted in Redis."""
    config = {"RATELIMIT_STORAGE_URI": redis.uri}
    return make_world(guarded=True, config=config, CLIENT_LIMITS="3 per hour")


def ask(world: World, n: int = 0, address: str = "192.0.2.1") -> Any:
    body = {"identifier": f"user{n}@example.com", "method": "email"}
    return world.client.post("/otp/initiate", json=body, environ_base={"REMOTE_ADDR": address})


def test_redis_bounds_the_messages_of_a_client_over_several_processes(
    redis: Redis,
    limited: World,
    make_world: MakeWorld,
    clock: time_machine.Traveller,
) -> None:
    again = make_world(
        guarded=True, config={"RATELIMIT_STORAGE_URI": redis.uri}, CLIENT_LIMITS="3 per hour"
    )
    worlds = [limited, again, again, limited, again]

    answers = [ask(world, n) for n, world in enumerate(worlds)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert ask(again, 9, "192.0.2.9").status_code == 200
    assert len(limited.outbox) + len(again.outbox) == 4


def test_redis_says_when_to_come_back_and_counts_nothing_that_it_refuses(
    limited: World, clock: time_machine.Traveller
) -> None:
    for n, second in enumerate((0, 10, 1000)):
        clock.move_to(NOW + timedelta(seconds=second), tick=False)
        assert ask(limited, n).status_code == 200
    for second in (1000, 2000, 3599):
        clock.move_to(NOW + timedelta(seconds=second), tick=False)
        wait = int(ask(limited, 5).headers["Retry-After"])
        assert 3600 - second <= wait <= 3601 - second

    clock.move_to(NOW + timedelta(seconds=3601), tick=False)
    assert [ask(limited, n).status_code for n in (6, 7)] == [200, 429]


def test_no_code_goes_out_while_redis_is_away(
    redis: Redis, limited: World, clock: time_machine.Traveller
) -> None:
    assert ask(limited).status_code == 200
    redis.kill()

    for n in (1, 2):
        answer = ask(limited, n)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) == answer.json["error"]["retryAfter"] > 0
    assert len(limited.outbox) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP")
def test_a_redis_that_hangs_holds_a_request_up_no_longer_than_the_option_says(
    redis: Redis, make_world: MakeWorld
) -> None:
    world = make_world(
        guarded=True,
        config={"RATELIMIT_STORAGE_URI": redis.uri},
        CLIENT_LIMITS="9 per hour",
        DB_TIMEOUT=1,
    )
    assert ask(world).status_code == 200
    freeze(redis.process.pid)
    begin = time.monotonic()
    try:
        assert ask(world, 1).status_code == 503
    finally:
        thaw(redis.process.pid)
    assert time.monotonic() - begin < 4
    assert len(world.outbox) == 1


def test_redis_lets_exactly_as_many_sends_through_as_allowed_when_all_come_at_once(
    limited: World,
) -> None:
    statuses: list[int] = []
    barrier = threading.Barrier(16)

    def send(n: int) -> None:
        barrier.wait(PATIENCE)
        statuses.append(ask(limited, n).status_code)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(statuses) == [200] * 3 + [429] * 13


def test_accounts_are_limited_without_redis_since_they_are_in_mongodb(
    redis: Redis, limited: World, clock: time_machine.Traveller
) -> None:
    redis.kill()

    with limited.app.app_context():
        limited.otp.initiate("+46701234567", "sms")
        with pytest.raises(TooManyRequests) as refused:
            limited.otp.initiate("+46701234567", "sms")
    assert refused.value.retry_after == 30
