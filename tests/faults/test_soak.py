"""Mixed traffic at full speed for minutes: nothing grows, and every count is right at the end.

``SOAK_SECONDS`` shortens it; the default is ten minutes.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from people import Login, Person
from pymongo import MongoClient
from pymongo.database import Database
from support.servers import Site, gunicorn
from traffic import Journal

from flask_otp_auth.testing.pytest_plugin import with_database

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
PEOPLE = 4
WORKERS, THREADS, BACKGROUND = 2, 8, 4
MONITORS = 3  # connections by which PyMongo watches one server
GROWTH = 4 * 1024  # KiB that a worker may grow by in a third of the time: it is never quite flat
DESCRIPTORS = 8  # more than before, for connections that a pool had not needed until then


@dataclass(frozen=True)
class Sample:
    """What one process has at one moment."""

    kib: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Sample:
        process = Path(f"/proc/{pid}")
        lines = (line.split() for line in (process / "status").read_text().splitlines())
        status = {words[0]: words[1] for words in lines if len(words) > 1}
        descriptors = len(list((process / "fd").iterdir()))
        return cls(int(status["RssAnon:"]), int(status["Threads:"]), descriptors)


@dataclass(frozen=True)
class Soaked:
    """What is left after the traffic."""

    logins: Sequence[Login]
    statuses: Counter[int]
    workers: Counter[int]
    samples: dict[int, list[Sample]]
    connections: int
    database: Database[dict[str, Any]]
    journal: Journal


@pytest.fixture(scope="module")
def soaked(mongo_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soaked]:
    folder = tmp_path_factory.mktemp("soak")
    journal = Journal(folder / "journal")
    name = f"otp_soak_{uuid.uuid4().hex[:12]}"
    uri = with_database(mongo_server, name)
    served = gunicorn(
        uri,
        folder / "gunicorn.log",
        workers=WORKERS,
        options=[f"--threads={THREADS}"],
        FLASK_OTP_AUTH_SEND_IN_BACKGROUND="true",
        **journal.env,
    )
    with MongoClient(uri) as client:
        before = connections_of(client)
        with served as site:
            yield soak(site, client, journal, before)
        client.drop_database(name)
    shutil.rmtree(journal.folder)


def connections_of(client: MongoClient[dict[str, Any]]) -> int:
    return int(client.admin.command("serverStatus")["connections"]["current"])


def soak(site: Site, client: MongoClient[dict[str, Any]], journal: Journal, before: int) -> Soaked:
    """Let people at the site until the time is over, and look at the workers meanwhile."""
    database = client.get_default_database()
    ended = threading.Event()
    people = [
        Person(number, site.ports[number % WORKERS], journal, database, ended)
        for number in range(PEOPLE)
    ]
    workers = {int(Site(port).post("/", {}).headers["X-Process"]) for port in site.ports}
    samples: dict[int, list[Sample]] = {pid: [] for pid in workers}
    deadline = time.monotonic() + SECONDS
    for person in people:
        person.start()
    try:
        while time.monotonic() < deadline and all(person.is_alive() for person in people):
            for pid, taken in samples.items():
                taken.append(Sample.of(pid))
            ended.wait(SECONDS / 90)
        connections = connections_of(client) - before
    finally:
        ended.set()
        for person in people:
            person.join(60)
    for person in people:
        if person.error is not None:
            raise person.error
    logins = [login for person in people for login in person.logins]
    statuses = sum((person.statuses for person in people), Counter[int]())
    served = sum((person.workers for person in people), Counter[int]())
    print(f"\n{SECONDS:g} s, {len(logins)} logins, answers {dict(statuses)}, samples:")
    for pid, taken in samples.items():
        print(f"  {served[pid]} by {pid}: {taken[0]} -> {taken[len(taken) // 2]} -> {taken[-1]}")
    print(f"  connections to MongoDB: {connections}")
    return Soaked(logins, statuses, served, samples, connections, database, journal)


def test_nobody_is_answered_with_an_error_of_ours(soaked: Soaked) -> None:
    assert not {status for status in soaked.statuses if status >= 500 or status == 429}
    assert {200, 400, 401, 403, 404, 405, 413, 415} <= set(soaked.statuses)
    assert soaked.workers.keys() == soaked.samples.keys()
    assert min(soaked.workers.values()) > 0.1 * soaked.workers.total(), "one had nothing to do"


def test_memory_of_the_workers_stays_flat(soaked: Soaked) -> None:
    for taken in soaked.samples.values():
        third = len(taken) // 3
        middle, last = taken[third : 2 * third], taken[2 * third :]
        grown = statistics.median(s.kib for s in last) - statistics.median(s.kib for s in middle)
        assert grown < GROWTH, f"{grown} KiB more in {SECONDS / 3:g} s"


def test_no_thread_and_no_connection_is_left_behind(soaked: Soaked) -> None:
    for taken in soaked.samples.values():
        third = len(taken) // 3
        before, last = taken[third : 2 * third], taken[2 * third :]
        assert max(s.threads for s in last) <= max(s.threads for s in before) + BACKGROUND
        descriptors = max(s.descriptors for s in before)
        assert max(s.descriptors for s in last) <= descriptors + DESCRIPTORS
    assert soaked.connections <= WORKERS * (THREADS + BACKGROUND + MONITORS) + MONITORS


def test_every_session_has_in_the_database_what_its_owner_was_told(soaked: Soaked) -> None:
    stored = {session["_id"]: session for session in soaked.database.otp_sessions.find()}
    assert len(stored) == len(soaked.logins)
    for login in soaked.logins:
        session = stored[login.session_id]
        assert session["status"] == login.status
        assert session["attempts"] == login.wrong
        assert session.get("resends", 0) == login.resends
        assert len(soaked.journal.lines("outbox", login.run)) == 1 + login.resends
        assert len(soaked.journal.lines("tokens", login.run)) == (login.status == "verified")
    assert Counter(login.status for login in soaked.logins).keys() == {
        "pending",
        "verified",
        "locked",
        "expired",
    }


def test_every_account_has_the_failures_and_sends_of_its_sessions(soaked: Soaked) -> None:
    sessions = {session["_id"]: session for session in soaked.database.otp_sessions.find()}
    accounts = {
        account["_id"]: account for account in soaked.database["otp_sessions.accounts"].find()
    }
    assert len(accounts) == len(soaked.logins)
    for login in soaked.logins:
        account = accounts[sessions[login.session_id]["account"]]
        assert account["failures"] == (0 if login.status == "verified" else login.wrong)
        assert len(account["sends"]) == 1 + login.resends
