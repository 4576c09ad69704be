"""Parallel guesses on one session against four processes: the verdict stays one at a time."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from support.processes import PROCESSES, Processes
from support.servers import NO_LIMITS, Answer
from support.world import FAILED

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

MAX_ATTEMPTS = 3
GUESSES = 200
AGAIN = [
    pytest.param(0),
    *(pytest.param(repetition, marks=pytest.mark.slow) for repetition in range(1, 10)),
]


@pytest.fixture(scope="module", params=[pytest.param("sync", marks=pytest.mark.slow), "gthread"])
def processes(
    request: pytest.FixtureRequest,
    mongo_uri_of_module: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Processes]:
    log = tmp_path_factory.mktemp("races") / "gunicorn.log"
    options = {**NO_LIMITS, "worker_class": request.param}
    with Processes.serve(mongo_uri_of_module, log, **options) as served:
        yield served


@pytest.fixture
def served(processes: Processes) -> Processes:
    return processes.emptied()


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
def test_two_hundred_guesses_at_once_get_three_verdicts(served: Processes, repetition: int) -> None:
    session_id, code = served.start()

    answers = served.guess(session_id, other_codes(code, GUESSES))

    assert outcomes(answers) == {(401, "invalid_code"): 2, (403, "locked"): 198}
    left = [answer.json["data"]["remainingAttempts"] for answer in answers]
    assert Counter(left) == {2: 1, 1: 1, 0: 198}
    assert len({answer.headers["X-Process"] for answer in answers}) == PROCESSES
    document = served.stored(session_id)
    assert (document["attempts"], document["status"]) == (MAX_ATTEMPTS, "locked")
    assert "digests" not in document
    [account] = served.database["otp_sessions.accounts"].find(FAILED)
    assert account["failures"] == MAX_ATTEMPTS
    assert served.site.verify(session_id, code).status == 403
    assert served.database.calls.count_documents({}) == 0


@pytest.mark.parametrize("repetition", AGAIN)
def test_right_code_a_hundred_times_at_once_signs_in_once(
    served: Processes, repetition: int
) -> None:
    session_id, code = served.start()

    answers = served.guess(session_id, [code] * 100)

    assert outcomes(answers) == {(200, "success"): 1, (400, "alreadyVerified"): 99}
    calls = Counter(call["handler"] for call in served.database.calls.find())
    assert calls == {"get_user": 1, "verify_success": 1}
    document = served.stored(session_id)
    assert (document["attempts"], document["status"]) == (0, "verified")


@pytest.mark.parametrize("processes", ["gthread"], indirect=True)
@pytest.mark.parametrize("repetition", AGAIN)
def test_wrong_code_beside_the_right_one_never_reopens_a_session(
    served: Processes, repetition: int
) -> None:
    overtaken = 0
    for _ in range(100):
        session_id, code = served.start()
        [wrong] = other_codes(code, 1)
        pair = random.sample([code, wrong], 2)

        seen = outcomes(served.guess(session_id, pair))

        document = served.stored(session_id)
        assert document["status"] == "verified"
        assert "digests" not in document
        wrong_came_first = document["attempts"] == 1
        assert seen == {
            (200, "success"): 1,
            ((401, "invalid_code") if wrong_came_first else (400, "alreadyVerified")): 1,
        }
        overtaken += wrong_came_first != (pair[0] == wrong)
        assert outcomes(served.guess(session_id, [code, wrong])) == {(400, "alreadyVerified"): 2}
    assert overtaken, "every guess was judged in the order of sending: this was no race"


@pytest.mark.parametrize("processes", ["gthread"], indirect=True)
@pytest.mark.parametrize("repetition", AGAIN)
def test_right_code_among_many_guesses_wins_no_more_than_its_share(
    served: Processes, repetition: int
) -> None:
    """Many guesses at once must not buy more than max_attempts of them.

    The right code stands at a random place among 200 guesses, so it is among the three that are
    judged with a chance of 3/200. In 12 rounds that is 0.18 wins on average, and 5 wins or more
    have a chance of 5.5e-7 (binomial); with 100 verdicts a session instead of three it would be
    80.6 %. Each round also counts its verdicts, exactly.
    """
    wins = 0
    for _ in range(12):
        session_id, code = served.start()
        codes = [*other_codes(code, GUESSES - 1), code]
        random.shuffle(codes)

        seen = outcomes(served.guess(session_id, codes))

        document = served.stored(session_id)
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
    assert wins < 5
