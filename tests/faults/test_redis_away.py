"""The Redis of the client limits dies, freezes and comes back under a running application."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from promises import SLACK
from replica_set import wait_for
from support.redis_server import Redis, needs_redis
from support.servers import Answer, Site, freeze, gunicorn, thaw
from traffic import Journal, Traffic

pytestmark = [
    pytest.mark.slow,
    needs_redis,
    pytest.mark.skipif(sys.platform == "win32", reason="needs gunicorn and SIGSTOP"),
]

DB_TIMEOUT = 2.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path) as redis:
        yield redis


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def site(redis: Redis, journal: Journal, mongo_uri: str, tmp_path: Path) -> Iterator[Site]:
    served = gunicorn(
        mongo_uri,
        tmp_path / "gunicorn.log",
        workers=2,
        options=["--threads=16"],
        FLASK_OTP_AUTH_DB_TIMEOUT=str(DB_TIMEOUT),
        FLASK_RATELIMIT_STORAGE_URI=redis.uri,
        **journal.env,
    )
    with served as site:
        yield site


def initiate(site: Site, run: str) -> Answer:
    body = {"identifier": f"{run}@example.com", "method": "email", "payload": {"run": run}}
    return site.post("/otp/initiate", body)


def assert_refused_in_time(site: Site, journal: Journal, run: str) -> None:
    start = time.monotonic()
    answer = initiate(site, run)
    took = time.monotonic() - start
    assert answer.status == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert not journal.lines("outbox", run)
    assert took < DB_TIMEOUT + SLACK


def test_nothing_is_sent_uncounted_and_open_logins_end_well_while_redis_is_away(
    redis: Redis, site: Site, journal: Journal
) -> None:
    session_id = initiate(site, "open").json["data"]["sessionId"]
    [code] = journal.lines("outbox", "open")

    redis.kill()
    for number in range(4):
        assert_refused_in_time(site, journal, f"away{number}")
    assert site.verify(session_id, code).status == 200

    redis.start()
    wait_for(lambda: initiate(site, "back").status == 200, "it does not come back", 5)


def test_redis_that_hangs_holds_no_request_for_longer_than_the_database_may(
    redis: Redis, site: Site, journal: Journal
) -> None:
    assert initiate(site, "before").status == 200
    freeze(redis.process.pid)
    try:
        for number in range(3):
            assert_refused_in_time(site, journal, f"frozen{number}")
    finally:
        thaw(redis.process.pid)
    wait_for(lambda: initiate(site, "back").status == 200, "it does not come back", 5)


def test_people_sign_in_again_without_a_restart_when_redis_is_back(
    redis: Redis, site: Site, journal: Journal
) -> None:
    with Traffic(site, journal) as traffic:
        traffic.until_logins()
        redis.kill()
        traffic.let(2)
        redis.start()
        traffic.until_logins()

    late = [asked for asked in traffic.answers if asked.took > DB_TIMEOUT + SLACK]
    assert not late
    assert {asked.status for asked in traffic.answers} == {200, 400, 401, 403, 503}
    assert {asked.path for asked in traffic.answers if asked.status == 503} <= {
        "initiate",
        "resend",
    }
