"""Clients counted in Redis: the same bounds, and no code while it is away."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from conftest import NOW, MakeWorld, World

from flask_otp_auth.exceptions import TooManyRequests
from flask_otp_auth.testing.mongod import free_port

SERVER = shutil.which("redis-server")
PATIENCE = 10.0

pytestmark = pytest.mark.skipif(
    SERVER is None, reason="needs redis-server: apt-get install redis-server"
)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Redis of this test's own: its process and its URI."""
    redis = pytest.importorskip("redis")
    port = free_port()
    process = subprocess.Popen(
        [str(SERVER), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "Redis does not answer"
                    time.sleep(0.02)
        yield process, f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def limited(redis: tuple[subprocess.Popen[bytes], str], make_world: MakeWorld) -> World:
    """An app with three codes an hour for a client, counted in Redis."""
    config = {"RATELIMIT_STORAGE_URI": redis[1]}
    return make_world(guarded=True, config=config, CLIENT_LIMITS="3 per hour")


def ask(world: World, n: int = 0, address: str = "192.0.2.1") -> Any:
    body = {"identifier": f"user{n}@example.com", "method": "email"}
    return world.client.post("/otp/initiate", json=body, environ_base={"REMOTE_ADDR": address})


def test_redis_bounds_the_messages_of_a_client_over_several_processes(
    redis: tuple[subprocess.Popen[bytes], str],
    limited: World,
    make_world: MakeWorld,
    clock: time_machine.Traveller,
) -> None:
    again = make_world(
        guarded=True, config={"RATELIMIT_STORAGE_URI": redis[1]}, CLIENT_LIMITS="3 per hour"
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
    redis: tuple[subprocess.Popen[bytes], str], limited: World, clock: time_machine.Traveller
) -> None:
    process, _ = redis
    assert ask(limited).status_code == 200
    process.kill()
    process.wait(PATIENCE)

    for n in (1, 2):
        answer = ask(limited, n)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) == answer.json["error"]["retryAfter"] > 0
    assert len(limited.outbox) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP")
def test_a_redis_that_hangs_holds_a_request_up_no_longer_than_the_option_says(
    redis: tuple[subprocess.Popen[bytes], str], make_world: MakeWorld
) -> None:
    process, uri = redis
    world = make_world(
        guarded=True,
        config={"RATELIMIT_STORAGE_URI": uri},
        CLIENT_LIMITS="9 per hour",
        DB_TIMEOUT=0.3,
    )
    assert ask(world).status_code == 200
    process.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    try:
        assert ask(world, 1).status_code == 503
    finally:
        process.send_signal(signal.SIGCONT)
    assert time.monotonic() - begin < 3
    assert len(world.outbox) == 1


def test_redis_lets_exactly_as_many_sends_through_as_allowed_when_all_come_at_once(
    limited: World,
) -> None:
    statuses: list[int] = []

    def send(n: int) -> None:
        statuses.append(ask(limited, n).status_code)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(statuses) == [200] * 3 + [429] * 13


def test_accounts_are_limited_without_redis_since_they_are_in_mongodb(
    redis: tuple[subprocess.Popen[bytes], str], limited: World, clock: time_machine.Traveller
) -> None:
    process, _ = redis
    process.kill()
    process.wait(PATIENCE)

    with limited.app.app_context():
        limited.otp.initiate("+46701234567", "sms")
        with pytest.raises(TooManyRequests) as refused:
            limited.otp.initiate("+46701234567", "sms")
    assert refused.value.retry_after == 30
