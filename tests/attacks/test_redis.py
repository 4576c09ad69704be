"""Send limits counted in Redis: the same bounds, and no code while it is away."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from conftest import NOW, MakeWorld, World

from flask_otp_auth.testing.mongod import free_port

SERVER = shutil.which("redis-server")
PATIENCE = 10.0

Limited = Callable[[str | None, str | None], World]

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
def limited(redis: tuple[subprocess.Popen[bytes], str], make_world: MakeWorld) -> Limited:
    """Makes an app that counts in Redis, with limits by client and by identifier."""

    def make(client: str | None, identifier: str | None) -> World:
        return make_world(
            guarded=True,
            config={"RATELIMIT_STORAGE_URI": redis[1]},
            CLIENT_LIMITS=client,
            IDENTIFIER_LIMITS=identifier,
        )

    return make


def test_redis_bounds_the_messages_to_one_phone_and_stops_them_when_it_is_away(
    redis: tuple[subprocess.Popen[bytes], str],
    make_world: MakeWorld,
    clock: time_machine.Traveller,
) -> None:
    process, uri = redis
    world = make_world(guarded=True, config={"RATELIMIT_STORAGE_URI": uri})
    again = make_world(guarded=True, config={"RATELIMIT_STORAGE_URI": uri})
    world.initiate()
    body = {"identifier": "+46701234567", "method": "sms"}

    refused = again.client.post("/otp/initiate", json=body)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "31")
    clock.shift(31)
    assert again.client.post("/otp/initiate", json=body).status_code == 200

    process.kill()
    process.wait(PATIENCE)
    clock.shift(31)
    for answer in (world.client.post("/otp/initiate", json=body) for _ in range(2)):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert len(world.outbox) + len(again.outbox) == 2


def test_redis_counts_no_send_of_a_phone_for_a_client_that_is_refused(
    limited: Limited, clock: time_machine.Traveller
) -> None:
    world = limited("2 per hour", "1 per hour")
    world.initiate("+46700000001")
    world.initiate("+46700000002")
    body = {"identifier": "+46701234567", "method": "sms"}
    assert world.client.post("/otp/initiate", json=body).headers["Retry-After"] == "3601"

    elsewhere = {"REMOTE_ADDR": "192.0.2.9"}
    answers = [
        world.client.post("/otp/initiate", json=body, environ_base=elsewhere) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_redis_counts_nothing_that_it_refuses_and_says_when_to_come_back(
    limited: Limited, clock: time_machine.Traveller
) -> None:
    world = limited(None, "1 per 30 seconds; 3 per hour")
    body = {"identifier": "+46701234567", "method": "sms"}
    told = []
    for second in (0, 10, 31, 62, 93, 1000, 3599, 3600, 3600.001, 3631):
        clock.move_to(NOW + timedelta(seconds=second), tick=False)
        answer = world.client.post("/otp/initiate", json=body)
        told.append((answer.status_code, answer.headers.get("Retry-After")))

    assert told == [
        (200, None),
        (429, "21"),
        (200, None),
        (200, None),
        (429, "3508"),
        (429, "2601"),
        (429, "2"),
        (429, "1"),
        (200, None),
        (429, "1"),
    ]


def test_redis_lets_exactly_as_many_sends_through_as_allowed_when_all_come_at_once(
    limited: Limited,
) -> None:
    world = limited(None, "5 per minute; 7 per hour")
    body = {"identifier": "+46701234567", "method": "sms"}
    statuses: list[int] = []

    def ask() -> None:
        answer = world.app.test_client().post("/otp/initiate", json=body)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(statuses) == [200] * 5 + [429] * 11


def test_a_phone_that_is_locked_loses_no_send_in_redis(
    limited: Limited, clock: time_machine.Traveller
) -> None:
    world = limited("9 per hour", "3 per hour")
    for _ in range(2):
        session_id = world.initiate()
        for _ in range(3):
            world.verify(session_id, world.wrong_code)
    body = {"identifier": "+46701234567", "method": "sms"}
    refused = [world.client.post("/otp/initiate", json=body).json["error"] for _ in range(9)]
    codes = [error["code"] for error in refused]
    assert codes == ["identifierLocked"] * 7 + ["tooManyRequests"] * 2

    clock.shift(31)
    elsewhere = {"REMOTE_ADDR": "192.0.2.9"}
    answer = world.client.post("/otp/initiate", json=body, environ_base=elsewhere)
    assert answer.status_code == 200


def test_redis_is_not_asked_about_a_call_that_no_limit_is_about(
    redis: tuple[subprocess.Popen[bytes], str], limited: Limited
) -> None:
    process, _ = redis
    world = limited("9 per hour", None)
    process.kill()
    process.wait(PATIENCE)

    with world.app.app_context():
        world.otp.initiate("+46701234567", "sms")
    assert len(world.outbox) == 1
