"""Parallel guesses on one session against four processes: the verdict stays one at a time."""

from __future__ import annotations

import random
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import FAILED
from pymongo import MongoClient
from pymongo.database import Database
from servers import Answer, Site, gunicorn, post_bytes, send_together

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

MAX_ATTEMPTS = 3
PROCESSES = 4
GUESSES = 200
AGAIN = [
    pytest.param(0),
    *(pytest.param(repetition, marks=pytest.mark.slow) for repetition in range(1, 10)),
]


@dataclass
class Arena:
    """Four processes, and what their handlers wrote."""

    site: Site
    database: Database[dict[str, Any]]

    def start(self) -> tuple[str, str]:
        """Start a session and return its id and its code."""
        run = uuid.uuid4().hex
        # A person of its own for each, so that no lockout of one session meets another.
        session_id = self.site.initiate(f"{run}@example.com", "email", payload={"run": run})
        [sent] = self.database.outbox.find({"payload.run": run})
        return session_id, sent["code"]

    def guess(self, session_id: str, codes: list[str]) -> list[Answer]:
        """Send all *codes* at once."""
        requests = [
            post_bytes("/otp/verify", {"sessionId": session_id, "code": code}) for code in codes
        ]
        return send_together(self.site, requests)

    def stored(self, session_id: str) -> dict[str, Any]:
        document = self.database.otp_sessions.find_one({"_id": session_id})
        assert document is not None
        return document


@pytest.fixture(params=[pytest.param("sync", marks=pytest.mark.slow), "gthread"])
def arena(request: pytest.FixtureRequest, mongo_uri: str, tmp_path: Path) -> Iterator[Arena]:
    log = tmp_path / "gunicorn.log"
    served = gunicorn(mongo_uri, log, workers=PROCESSES, worker_class=request.param)
    with served as site, MongoClient(mongo_uri) as client:
        yield Arena(site, client.get_default_database())


def outcomes(answers: list[Answer]) -> Counter[tuple[int, str]]:
    """Count the answers by status and by what their body says."""
    counted: Counter[tuple[int, str]] = Counter()
    for answer in answers:
        body = answer.json
        said = body["data"]["status"] if "data" in body else body["error"]["code"]
        counted[answer.status, said] += 1
    return counted


def other_codes(code: str, count: int) -> list[str]:
    """Return *count* different codes that are wrong."""
    return [f"{(int(code) + offset) % 1_000_000:06d}" for offset in range(1, count + 1)]


@pytest.mark.parametrize("repetition", AGAIN)
def test_two_hundred_guesses_at_once_get_three_verdicts(arena: Arena, repetition: int) -> None:
    session_id, code = arena.start()

    answers = arena.guess(session_id, other_codes(code, GUESSES))

    assert outcomes(answers) == {(401, "invalid_code"): 2, (403, "locked"): 198}
    left = [answer.json["data"]["remainingAttempts"] for answer in answers]
    assert Counter(left) == {2: 1, 1: 1, 0: 198}
    assert len({answer.headers["X-Process"] for answer in answers}) > 1
    document = arena.stored(session_id)
    assert (document["attempts"], document["status"]) == (MAX_ATTEMPTS, "locked")
    assert "digests" not in document
    [account] = arena.database["otp_sessions.accounts"].find(FAILED)
    assert account["failures"] == MAX_ATTEMPTS
    assert arena.site.verify(session_id, code).status == 403
    assert arena.database.calls.count_documents({}) == 0


@pytest.mark.parametrize("repetition", AGAIN)
def test_right_code_a_hundred_times_at_once_signs_in_once(arena: Arena, repetition: int) -> None:
    session_id, code = arena.start()

    answers = arena.guess(session_id, [code] * 100)

    assert outcomes(answers) == {(200, "success"): 1, (400, "alreadyVerified"): 99}
    calls = Counter(call["handler"] for call in arena.database.calls.find())
    assert calls == {"get_user": 1, "verify_success": 1}
    document = arena.stored(session_id)
    assert (document["attempts"], document["status"]) == (0, "verified")


@pytest.mark.parametrize("arena", ["gthread"], indirect=True)
@pytest.mark.parametrize("repetition", AGAIN)
def test_wrong_code_beside_the_right_one_never_reopens_a_session(
    arena: Arena, repetition: int
) -> None:
    overtaken = 0
    for _ in range(200):
        session_id, code = arena.start()
        [wrong] = other_codes(code, 1)
        pair = random.sample([code, wrong], 2)

        seen = outcomes(arena.guess(session_id, pair))

        document = arena.stored(session_id)
        assert document["status"] == "verified"
        assert "digests" not in document
        wrong_came_first = document["attempts"] == 1
        assert seen == {
            (200, "success"): 1,
            ((401, "invalid_code") if wrong_came_first else (400, "alreadyVerified")): 1,
        }
        overtaken += wrong_came_first != (pair[0] == wrong)
        assert outcomes(arena.guess(session_id, [code, wrong])) == {(400, "alreadyVerified"): 2}
    assert overtaken, "every guess was judged in the order of sending: this was no race"


@pytest.mark.parametrize("arena", ["gthread"], indirect=True)
@pytest.mark.parametrize("repetition", AGAIN)
def test_right_code_among_many_guesses_wins_no_more_than_its_share(
    arena: Arena, repetition: int
) -> None:
    """Many guesses at once must not buy more than max_attempts of them.

    The right code stands at a random place among 200 guesses, so it is among the three that are
    judged with a chance of 3/200. In 20 rounds that is 0.3 wins on average, and 6 wins or more
    have a chance of 3.7e-7 (binomial); with 100 verdicts a session instead of three it would be
    97.9 %. Each round also counts its verdicts, exactly.
    """
    wins = 0
    for _ in range(20):
        session_id, code = arena.start()
        codes = [*other_codes(code, GUESSES - 1), code]
        random.shuffle(codes)

        seen = outcomes(arena.guess(session_id, codes))

        document = arena.stored(session_id)
        won = seen.pop((200, "success"), 0)
        wins += won
        if won:
            assert document["attempts"] < MAX_ATTEMPTS
            rejected, refused = document["attempts"], (400, "alreadyVerified")
            assert document["status"] == "verified"
        else:
            assert document["attempts"] == MAX_ATTEMPTS
            rejected, refused = MAX_ATTEMPTS - 1, (403, "locked")
            assert document["status"] == "locked"
        assert won <= 1
        assert seen[401, "invalid_code"] == rejected
        assert seen[refused] == GUESSES - won - rejected
    assert wins < 6
