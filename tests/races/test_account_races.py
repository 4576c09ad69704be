"""Four processes and one account: how many messages it gets, and how many wrong codes it takes."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import time_machine
from support.processes import Processes
from support.redis_server import Redis, needs_redis
from support.servers import NO_LIMITS, Answer
from support.world import FAILED, SECRET_KEY, MakeWorld, World

from flask_otp_auth.codes import derive_key
from flask_otp_auth.store.account import AccountRules
from flask_otp_auth.store.accounts import AccountStore

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

DISABLE_AFTER, TRIES, SESSIONS = 100, 3, 5
_numbers = count(1)
_hosts = count(1)
_networks = count(1)


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
    # Codes have six digits, so none of these is right, and each counts as a try.
    return [
        ("/otp/verify", {"sessionId": session_id, "code": f"{guess:05d}"})
        for guess in range(amount)
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


def assert_one_message(served: Attacked, number: str) -> None:
    answers = served.post(*[initiate(number)] * 100)

    assert Counter(answer.status for answer in answers) == {200: 1, 429: 99}
    assert served.database.outbox.count_documents({"identifier": number}) == 1
    assert len({answer.headers["X-Process"] for answer in answers}) == 4
    refused = [answer for answer in answers if answer.status == 429]
    assert all(1 <= int(answer.headers["Retry-After"]) <= 30 for answer in refused)


@pytest.mark.slow
@pytest.mark.parametrize(
    "store", ["none", "the host's memory", pytest.param("Redis", marks=needs_redis)]
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
        assert_one_message(processes, "+46701234567")


@pytest.fixture(scope="module")
def served(
    mongo_uri_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    log = tmp_path_factory.mktemp("attacks") / "gunicorn.log"
    with Attacked.serve(mongo_uri_of_module, log) as running:
        yield running


@pytest.fixture
def world(served: Attacked, make_world: MakeWorld) -> World:
    """An application inside the test, over the database of the processes."""
    return make_world(guarded=True, config={"MONGO_URI": served.uri})


@pytest.fixture
def number() -> str:
    return f"+467012{next(_numbers):05d}"


def addresses(amount: int) -> list[str]:
    """Return client addresses that no limit has seen before."""
    network = next(_networks)
    return [f"2001:db8:{network:x}:{host:x}::1" for host in range(amount)]


def open_sessions(world: World, identifier: str, amount: int = SESSIONS) -> list[tuple[str, str]]:
    """Open sessions as fast as the limits allow, the last one 36 s ago; return ids and codes."""
    opened = []
    start = datetime.now(UTC) - timedelta(seconds=36 + 31 * (amount - 1))
    with time_machine.travel(start, tick=False) as clock:
        for address in addresses(amount):
            answer = world.client.post(
                "/otp/initiate",
                json={"identifier": identifier, "method": "sms"},
                environ_base={"REMOTE_ADDR": address},
            )
            assert answer.status_code == 200, answer.text
            opened.append((answer.json["data"]["sessionId"], world.code))
            clock.shift(31)
    return opened


def other_codes(code: str, amount: int) -> list[str]:
    """Return codes that are wrong for the session of *code*."""
    return [f"{(int(code) + offset) % 1_000_000:06d}" for offset in range(1, amount + 1)]


def guess_together(served: Attacked, guesses: list[tuple[str, str]]) -> list[Answer]:
    guesses = random.sample(guesses, len(guesses))
    return served.post_together(
        [
            ("/otp/verify", {"sessionId": session_id, "code": code}, address)
            for (session_id, code), address in zip(guesses, addresses(len(guesses)), strict=True)
        ]
    )


def failures_of(served: Attacked) -> Counter[int]:
    found = served.database["otp_sessions.accounts"].find(FAILED)
    return Counter(document["failures"] for document in found)


def initiates(identifiers: list[str], clients: list[str]) -> list[tuple[str, dict[str, str], str]]:
    return [
        ("/otp/initiate", {"identifier": identifier, "method": "sms"}, client)
        for identifier, client in zip(identifiers, clients, strict=True)
    ]


@pytest.mark.parametrize("guesses", [2, 24])
def test_an_account_is_not_worn_down_by_guessing_many_sessions_in_parallel(
    guesses: int, served: Attacked, world: World, number: str
) -> None:
    sessions = open_sessions(world, number)
    before = failures_of(served)

    answers = guess_together(
        served, [(id_, wrong) for id_, code in sessions for wrong in other_codes(code, guesses)]
    )

    judged = min(guesses, TRIES) * SESSIONS
    told = min(guesses, TRIES - 1) * SESSIONS  # the last try of a session is told as locked
    assert Counter(answer.status for answer in answers) == Counter(
        {401: told, 403: guesses * SESSIONS - told}
    )
    stored = [served.database.otp_sessions.find_one({"_id": id_}) for id_, _ in sessions]
    assert sum(session["attempts"] for session in stored) == judged
    assert failures_of(served) - before == Counter({judged: 1})
    [refused] = served.post_together(initiates([number], addresses(1)))
    assert refused.json["error"]["code"] == "identifierLocked"


def test_no_failure_is_lost_when_the_first_ones_of_many_accounts_come_at_once(
    served: Attacked, world: World
) -> None:
    numbers = [f"+467099{digits:05d}" for digits in range(8)]
    guesses = [
        (id_, other_codes(code, 1)[0])
        for number in numbers
        for id_, code in open_sessions(world, number)
    ]
    before = failures_of(served)

    answers = guess_together(served, guesses)

    assert {answer.status for answer in answers} == {401}
    assert failures_of(served) - before == Counter({SESSIONS: len(numbers)})


def test_the_owner_signs_in_with_the_right_code_while_others_lock_the_account(
    served: Attacked, world: World, number: str
) -> None:
    (owners, code), *others = open_sessions(world, number)
    flood = [(id_, wrong) for id_, code in others for wrong in other_codes(code, 10)]

    answers = guess_together(served, [*flood, (owners, code)])

    [signed_in] = [answer for answer in answers if answer.status == 200]
    assert signed_in.json["data"]["status"] == "success"


def test_a_phone_gets_one_message_however_many_addresses_ask_at_once(
    served: Attacked, number: str
) -> None:
    assert_one_message(served, number)


def test_one_address_cannot_run_up_a_bill_by_asking_for_many_numbers_at_once(
    served: Attacked,
) -> None:
    numbers = [f"+467088{digits:05d}" for digits in range(60)]
    [warmed_up] = addresses(1)
    served.post_together(initiates(["+46708899999"], [warmed_up]))

    answers = served.post_together(initiates(numbers, [warmed_up] * 60))

    assert Counter(answer.status for answer in answers) == Counter({200: 9, 429: 51})
    sent = served.database.outbox.count_documents({"identifier": {"$in": numbers}})
    assert sent == 9


def test_nobody_is_turned_away_when_a_household_signs_in_at_once(served: Attacked) -> None:
    refused: list[Answer] = []
    for household in range(8):
        numbers = [f"+46707{household:02d}{person:04d}" for person in range(10)]
        answers = served.post_together(initiates(numbers, addresses(1) * 10))
        refused += [answer for answer in answers if answer.status != 200]

    assert [(answer.status, answer.headers["Retry-After"]) for answer in refused] == []


def test_a_phone_gets_one_message_however_many_ask_to_resend_at_once(
    served: Attacked, world: World, number: str
) -> None:
    [(session_id, _)] = open_sessions(world, number, 1)

    answers = served.post_together(
        [("/otp/resend", {"sessionId": session_id}, address) for address in addresses(60)]
    )

    assert Counter(answer.status for answer in answers) == Counter({200: 1, 429: 59})
    assert served.database.outbox.count_documents({"identifier": number}) == 1


def test_a_locked_account_gets_no_message_however_many_ask_at_once(
    served: Attacked, world: World, number: str
) -> None:
    sessions = open_sessions(world, number, 2)
    guess_together(
        served, [(id_, wrong) for id_, code in sessions for wrong in other_codes(code, 3)]
    )

    answers = served.post_together(initiates([number] * 60, addresses(60)))

    assert {(answer.status, answer.json["error"]["code"]) for answer in answers} == {
        (429, "identifierLocked")
    }
    assert served.database.outbox.count_documents({"identifier": number}) == 0
