"""Logins while members of the replica set, or worker processes, die under them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from promises import broken_promises
from pymongo import MongoClient
from pymongo.database import Database
from replica_set import ELECTION_TIMEOUT, ReplicaSet
from support.servers import Site, gunicorn
from traffic import Journal, Traffic

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs gunicorn and SIGSTOP"),
]

DB_TIMEOUT = 2.0
OPTIONS = ["--threads=16"]  # one process alone has a thread for each request


@dataclass(frozen=True)
class Stage:
    """Two processes over a replica set, and what both write."""

    site: Site
    mongo: ReplicaSet
    journal: Journal
    database: Database[dict[str, Any]]

    def assert_kept(self, traffic: Traffic, *, may_lose_connections: bool = False) -> None:
        """Assert that every promise was kept to everybody, by processes that nobody restarted."""
        self.mongo.wait_until_whole()
        broken = broken_promises(
            traffic,
            self.journal,
            self.database,
            db_timeout=DB_TIMEOUT,
            may_lose_connections=may_lose_connections,
        )
        assert not broken, "\n".join([f"{len(broken)} broken promises:", *broken[:20]])
        processes = {asked.process for asked in traffic.answers if asked.process}
        assert may_lose_connections or len(processes) == 2


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with ReplicaSet(tmp_path_factory.mktemp("set")) as mongo:
        yield mongo


@pytest.fixture(scope="module")
def stage(mongo: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("app")
    journal = Journal(folder / "journal")
    served = gunicorn(
        mongo.uri("otp"),
        folder / "gunicorn.log",
        workers=2,
        options=OPTIONS,
        FLASK_OTP_AUTH_DB_TIMEOUT=str(DB_TIMEOUT),
        **journal.env,
    )
    with served as site, MongoClient(mongo.uri("otp")) as client:
        yield Stage(site, mongo, journal, client.get_default_database())


def test_no_login_breaks_when_the_primary_steps_down(stage: Stage) -> None:
    with Traffic(stage.site, stage.journal) as traffic:
        traffic.until_logins()
        stage.mongo.step_down()
        traffic.until_logins()

    stage.assert_kept(traffic)


def test_what_was_answered_holds_after_the_primary_is_killed(stage: Stage) -> None:
    with Traffic(stage.site, stage.journal) as traffic:
        traffic.until_logins()
        killed = stage.mongo.primary
        stage.mongo.kill(killed)
        traffic.until_logins()
        killed.start()
        traffic.until_logins()

    stage.assert_kept(traffic)


def test_primary_that_freezes_holds_nobody_up_and_changes_nothing_when_it_wakes(
    stage: Stage,
) -> None:
    with Traffic(stage.site, stage.journal) as traffic:
        traffic.until_logins()
        frozen = stage.mongo.primary
        stage.mongo.freeze(frozen)
        traffic.until_logins(5)
        stage.mongo.thaw(frozen)
        traffic.until_logins()

    stage.assert_kept(traffic)


def test_without_a_majority_nothing_is_sent_or_judged_until_it_is_back(stage: Stage) -> None:
    with Traffic(stage.site, stage.journal) as traffic:
        traffic.until_logins()
        lost = stage.mongo.secondaries
        for member in lost:
            stage.mongo.kill(member)
        traffic.let(ELECTION_TIMEOUT + 2 * DB_TIMEOUT)
        before = len(traffic.answers)
        traffic.let(2 * DB_TIMEOUT)
        meanwhile = [asked.status for asked in traffic.answers[before:]]
        for member in lost:
            member.start()
        traffic.until_logins()

    assert set(meanwhile) == {503}
    stage.assert_kept(traffic)


def test_worker_that_is_killed_in_the_middle_of_requests_takes_no_more_than_them_along(
    stage: Stage,
) -> None:
    with Traffic(stage.site, stage.journal) as traffic:
        for _ in range(5):
            traffic.until_answered_by(2)
            latest = next(asked for asked in reversed(traffic.answers) if asked.process)
            os.kill(int(latest.process or 0), signal.SIGKILL)
        traffic.until_logins()

    stage.assert_kept(traffic, may_lose_connections=True)
    assert any(asked.status is None for asked in traffic.answers), "no request was cut off"


def test_processes_forked_from_a_loaded_app_serve_as_well(
    mongo: ReplicaSet, tmp_path: Path
) -> None:
    journal, log = Journal(tmp_path / "journal"), tmp_path / "gunicorn.log"
    uri = mongo.uri("preloaded")
    served = gunicorn(
        uri,
        log,
        workers=2,
        options=[*OPTIONS, "--preload"],
        FLASK_OTP_AUTH_DB_TIMEOUT=str(DB_TIMEOUT),
        **journal.env,
        PYTHONWARNINGS="always",
    )
    with served as site, MongoClient(uri) as client:
        stage = Stage(site, mongo, journal, client.get_default_database())
        with Traffic(site, journal) as traffic:
            traffic.until_logins()
            mongo.step_down()
            traffic.until_logins()
        stage.assert_kept(traffic)

    codes = [
        line
        for asked in traffic.answers
        if asked.session_id is None
        for line in journal.lines("outbox", asked.run)
    ]
    assert len(set(codes)) > 0.9 * len(codes), "processes drew the same codes"
    assert "before fork" not in log.read_text(), "the database was used before the fork"
