"""Send limits counted in Redis: the same bounds, and no code while it is away."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from conftest import MakeWorld

from local_mongod import free_port

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
