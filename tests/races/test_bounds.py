"""Four processes and one account: how many messages it gets, and how many wrong codes it takes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.processes import Processes
from support.redis_server import Redis, needs_redis
from support.servers import NO_LIMITS, Answer
from support.world import SECRET_KEY

from flask_otp_auth.codes import derive_key
from flask_otp_auth.store.account import AccountRules
from flask_otp_auth.store.accounts import AccountStore

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

DISABLE_AFTER, TRIES = 100, 3
_numbers = count(1)
_hosts = count(1)


class Attacked(Processes):
    """Four processes, what they store of an account, and requests to them all at once."""

    def post(self, *posts: tuple[str, Any]) -> list[Answer]:
        """Send all at once, each from an address of its own."""
        hosts = [next(_hosts) for _ in posts]
        return self.post_together(
            [
                (path, body, f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::1")
                for n, (path, body) in zip(hosts, posts, strict=True)
            ]
        )

    def seed(self, number: str, failures: int) -> None:
        """Have an account begin with so many failures."""
        document = {"_id": self._key_of(number), "failures": failures}
        self.database["otp_sessions.accounts"].insert_one(document)

    def failures(self, number: str) -> int:
        """Return how many failures in a row are counted for an account."""
        found = self.database["otp_sessions.accounts"].find_one({"_id": self._key_of(number)})
        assert found is not None
        return int(found["failures"])

    def _key_of(self, number: str) -> str:
        key = derive_key(SECRET_KEY.encode(), "flask-otp-auth accounts")
        rules = AccountRules((), None, None, TRIES)
        store = AccountStore(self.database, "otp_sessions.accounts", key=key, rules=rules)
        return str(store.id_of(number.removeprefix("+")))

    def judged(self, number: str) -> int:
        """Return how many wrong codes an account has had."""
        sessions = self.database.otp_sessions.find({"identifier": number})
        return sum(session["attempts"] for session in sessions)


def initiate(number: str) -> tuple[str, Any]:
    return "/otp/initiate", {"identifier": number, "method": "sms"}


def wrong_codes(session_id: str, amount: int) -> list[tuple[str, Any]]:
    # Codes have six digits, so none of these is right.
    return [
        ("/otp/verify", {"sessionId": session_id, "code": f"no {guess}"}) for guess in range(amount)
    ]


def opened(answers: list[Answer]) -> list[str]:
    return [
        answer.json["data"]["sessionId"]
        for answer in answers
        if answer.status == 200 and "sessionId" in answer.json["data"]
    ]


ROUNDS = [pytest.param(8, id="8"), pytest.param(300, id="300", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def unlimited(
    mongo_uri_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    with Attacked.serve(
        mongo_uri_of_module, tmp_path_factory.mktemp("unlimited") / "gunicorn.log", **NO_LIMITS
    ) as processes:
        yield processes


@pytest.mark.parametrize("rounds", ROUNDS)
def test_no_race_of_initiates_beside_the_last_guesses_takes_more_wrong_codes_than_allowed(
    unlimited: Attacked, rounds: int
) -> None:
    """Seeded at 97 failures, so that three more wrong codes are the last ones."""
    for _ in range(rounds):
        number = f"+467011{next(_numbers):05d}"
        unlimited.seed(number, DISABLE_AFTER - TRIES)
        sessions: list[str] = []
        for _wave in range(4):
            guesses = [guess for id_ in sessions for guess in wrong_codes(id_, TRIES + 1)]
            sessions = opened(unlimited.post(*guesses, *[initiate(number)] * 5))

        assert unlimited.judged(number) == TRIES
        assert unlimited.failures(number) == DISABLE_AFTER


def test_five_initiates_at_once_share_the_tries_that_are_left(unlimited: Attacked) -> None:
    number = f"+467011{next(_numbers):05d}"
    unlimited.seed(number, 97)

    answers = unlimited.post(*[initiate(number)] * 5)

    assert Counter(answer.status for answer in answers) == {200: 1, 429: 4}
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.json["error"]["code"] for answer in refused} == {"identifierLocked"}
    assert all(int(answer.headers["Retry-After"]) > 300 for answer in refused)


def test_an_account_without_a_bound_on_its_sends_has_one_on_wrong_codes(
    unlimited: Attacked,
) -> None:
    """From nothing: a hundred sessions at once, and all their tries at once."""
    number = f"+467011{next(_numbers):05d}"
    sessions = opened(unlimited.post(*[initiate(number)] * 100))
    assert len(sessions) == 34

    for _ in range(2):
        guesses = [guess for id_ in sessions for guess in wrong_codes(id_, TRIES)]
        unlimited.post(*guesses, *[initiate(number)] * 20)

    assert unlimited.judged(number) == unlimited.failures(number) == DISABLE_AFTER


@pytest.fixture
def redis_uri(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("redis")
    with Redis(tmp_path) as redis:
        yield redis.uri


@pytest.mark.parametrize(
    "store",
    [
        "the host's memory",
        *(pytest.param(store, marks=pytest.mark.slow) for store in ("none", "MongoDB")),
        pytest.param("Redis", marks=[pytest.mark.slow, needs_redis]),
    ],
)
def test_a_phone_gets_one_message_however_many_ask_at_once_wherever_clients_are_counted(
    store: str, mongo_uri: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    env = {}
    if store == "none":
        env["FLASK_OTP_AUTH_CLIENT_LIMITS"] = "null"
    elif store == "the host's memory":
        env["LIMITER"] = "yes"
    elif store == "Redis":
        env["FLASK_RATELIMIT_STORAGE_URI"] = request.getfixturevalue("redis_uri")
    with Attacked.serve(mongo_uri, tmp_path / "gunicorn.log", **env) as processes:
        answers = processes.post(*[initiate("+46701234567")] * 100)

        assert Counter(answer.status for answer in answers) == {200: 1, 429: 99}
        assert processes.database.outbox.count_documents({}) == 1
        assert len({answer.headers["X-Process"] for answer in answers}) == 4
        refused = [answer for answer in answers if answer.status == 429]
        assert all(1 <= int(answer.headers["Retry-After"]) <= 30 for answer in refused)
