"""One refresh token in many requests at once against four processes: never two living tokens."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import pytest
from support.processes import PROCESSES, Processes
from support.servers import NO_LIMITS, Answer, Site, post_bytes, send_together

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

ROUNDS = 10
AT_ONCE = 40


def post(path: str, token: str) -> bytes:
    return post_bytes(path, {}, {"Authorization": f"Bearer {token}"})


def sign_in(served: Processes) -> tuple[str, str]:
    """Sign in and return the access and the refresh token."""
    data = served.site.verify(*served.start()).json["data"]
    return data["token"], data["refreshToken"]


def lives(served: Processes, access: str, refresh: str) -> bool:
    """Whether either of two tokens is good for anything."""
    seen = served.site.send("GET", "/me", headers={"Authorization": f"Bearer {access}"}).status
    [again] = served.together(post("/otp/refresh", refresh))
    assert {seen, again.status} <= {200, 401}
    return 200 in (seen, again.status)


@pytest.fixture(scope="module")
def processes(
    mongo_uri_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    log = tmp_path_factory.mktemp("races") / "gunicorn.log"
    options = {**NO_LIMITS, "FLASK_OTP_AUTH_REFRESH_TOKEN": "true"}
    with Processes.serve(mongo_uri_of_module, log, **options) as served:
        yield served


@pytest.fixture
def served(processes: Processes) -> Processes:
    return processes.emptied()


def winners(answers: list[Answer]) -> list[tuple[str, str]]:
    """Return the tokens that were given out; every other answer is a refusal."""
    assert {answer.status for answer in answers} <= {200, 401}
    for answer in answers:
        if answer.status == 401:
            assert answer.json["error"]["code"] == "invalidRefreshToken"
    data = [answer.json["data"] for answer in answers if answer.status == 200]
    return [(tokens["token"], tokens["refreshToken"]) for tokens in data]


def test_stolen_token_that_races_with_its_owner_leaves_nobody_signed_in(served: Processes) -> None:
    for _ in range(ROUNDS):
        access, token = sign_in(served)
        won = winners(served.together(*[post("/otp/refresh", token)] * AT_ONCE))
        assert len(won) == 1
        assert not lives(served, access, token)
        assert not lives(served, *won[0])


@pytest.mark.slow
def test_old_and_living_token_at_once_leave_nobody_signed_in(served: Processes) -> None:
    for _ in range(ROUNDS):
        _, old = sign_in(served)
        [(_, living)] = winners(served.together(post("/otp/refresh", old)))
        requests = [post("/otp/refresh", token) for token in [old, living] * 4]
        random.shuffle(requests)
        won = winners(served.together(*requests))
        assert len(won) <= 1
        assert not lives(served, *won[0]) if won else True
        assert served.database["otp_sessions.logins"].count_documents({"endedAt": None}) == 0


@pytest.mark.slow
def test_logout_that_races_with_a_refresh_leaves_nobody_signed_in(served: Processes) -> None:
    for _ in range(ROUNDS):
        access, token = sign_in(served)
        requests = [post("/otp/refresh", token), post("/otp/logout", access)]
        random.shuffle(requests)
        answers = served.together(*requests)
        assert {answer.status for answer in answers} <= {200, 204, 401}
        for answer in answers:
            if answer.status == 200:
                data = answer.json["data"]
                assert not lives(served, data["token"], data["refreshToken"])
        assert not lives(served, access, token)


@pytest.mark.slow
def test_one_request_at_a_time_keeps_the_login_over_all_processes(served: Processes) -> None:
    _, token = sign_in(served)
    seen = set()
    for port in served.site.ports * 5:
        [answer] = send_together(Site(port), [post("/otp/refresh", token)])
        [(access, token)] = winners([answer])
        seen.add(answer.headers["X-Process"])
        headers = {"Authorization": f"Bearer {access}"}
        assert served.site.send("GET", "/me", headers=headers).status == 200
    assert len(seen) == PROCESSES
