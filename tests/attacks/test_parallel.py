"""Four server processes attacked all at once: limits and counts are one for all of them."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import time_machine
from support.processes import Processes
from support.servers import Answer
from support.world import FAILED, MakeWorld, World

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

SESSIONS = 5
TRIES = 3
_numbers = count(1)
_networks = count(1)


@pytest.fixture(scope="module")
def served(
    mongo_uri_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    log = tmp_path_factory.mktemp("attacks") / "gunicorn.log"
    with Processes.serve(mongo_uri_of_module, log) as running:
        yield running


@pytest.fixture
def world(served: Processes, make_world: MakeWorld) -> World:
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


def wrong_codes(code: str, amount: int) -> list[str]:
    return [f"{(int(code) + offset) % 1_000_000:06d}" for offset in range(1, amount + 1)]


def guess_together(served: Processes, guesses: list[tuple[str, str]]) -> list[Answer]:
    guesses = random.sample(guesses, len(guesses))
    return served.post_together(
        [
            ("/otp/verify", {"sessionId": session_id, "code": code}, address)
            for (session_id, code), address in zip(guesses, addresses(len(guesses)), strict=True)
        ]
    )


def failures_of(served: Processes) -> Counter[int]:
    found = served.database["otp_sessions.accounts"].find(FAILED)
    return Counter(document["failures"] for document in found)


def initiates(identifiers: list[str], clients: list[str]) -> list[tuple[str, dict[str, str], str]]:
    return [
        ("/otp/initiate", {"identifier": identifier, "method": "sms"}, client)
        for identifier, client in zip(identifiers, clients, strict=True)
    ]


@pytest.mark.parametrize("guesses", [2, 24])
def test_an_account_is_not_worn_down_by_guessing_many_sessions_in_parallel(
    guesses: int, served: Processes, world: World, number: str
) -> None:
    sessions = open_sessions(world, number)
    before = failures_of(served)

    answers = guess_together(
        served, [(id_, wrong) for id_, code in sessions for wrong in wrong_codes(code, guesses)]
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
    served: Processes, world: World
) -> None:
    numbers = [f"+467099{digits:05d}" for digits in range(8)]
    guesses = [
        (id_, wrong_codes(code, 1)[0])
        for number in numbers
        for id_, code in open_sessions(world, number)
    ]
    before = failures_of(served)

    answers = guess_together(served, guesses)

    assert {answer.status for answer in answers} == {401}
    assert failures_of(served) - before == Counter({SESSIONS: len(numbers)})


def test_the_owner_signs_in_with_the_right_code_while_others_lock_the_account(
    served: Processes, world: World, number: str
) -> None:
    (owners, code), *others = open_sessions(world, number)
    flood = [(id_, wrong) for id_, code in others for wrong in wrong_codes(code, 10)]

    answers = guess_together(served, [*flood, (owners, code)])

    [signed_in] = [answer for answer in answers if answer.status == 200]
    assert signed_in.json["data"]["status"] == "success"


def test_a_phone_gets_one_message_however_many_addresses_ask_at_once(
    served: Processes, number: str
) -> None:
    answers = served.post_together(initiates([number] * 100, addresses(100)))

    assert Counter(answer.status for answer in answers) == Counter({200: 1, 429: 99})
    assert served.database.outbox.count_documents({"identifier": number}) == 1


def test_one_address_cannot_run_up_a_bill_by_asking_for_many_numbers_at_once(
    served: Processes,
) -> None:
    numbers = [f"+467088{digits:05d}" for digits in range(60)]
    [warmed_up] = addresses(1)
    served.post_together(initiates(["+46708899999"], [warmed_up]))

    answers = served.post_together(initiates(numbers, [warmed_up] * 60))

    assert Counter(answer.status for answer in answers) == Counter({200: 9, 429: 51})
    sent = served.database.outbox.count_documents({"identifier": {"$in": numbers}})
    assert sent == 9


def test_nobody_is_turned_away_when_a_household_signs_in_at_once(served: Processes) -> None:
    refused: list[Answer] = []
    for household in range(8):
        numbers = [f"+46707{household:02d}{person:04d}" for person in range(10)]
        answers = served.post_together(initiates(numbers, addresses(1) * 10))
        refused += [answer for answer in answers if answer.status != 200]

    assert [(answer.status, answer.headers["Retry-After"]) for answer in refused] == []


def test_a_phone_gets_one_message_however_many_ask_to_resend_at_once(
    served: Processes, world: World, number: str
) -> None:
    [(session_id, _)] = open_sessions(world, number, 1)

    answers = served.post_together(
        [("/otp/resend", {"sessionId": session_id}, address) for address in addresses(60)]
    )

    assert Counter(answer.status for answer in answers) == Counter({200: 1, 429: 59})
    assert served.database.outbox.count_documents({"identifier": number}) == 1


def test_a_locked_account_gets_no_message_however_many_ask_at_once(
    served: Processes, world: World, number: str
) -> None:
    sessions = open_sessions(world, number, 2)
    guess_together(
        served, [(id_, wrong) for id_, code in sessions for wrong in wrong_codes(code, 3)]
    )

    answers = served.post_together(initiates([number] * 60, addresses(60)))

    assert {(answer.status, answer.json["error"]["code"]) for answer in answers} == {
        (429, "identifierLocked")
    }
    assert served.database.outbox.count_documents({"identifier": number}) == 0
