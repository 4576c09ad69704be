"""One refresh token in many requests at once against four processes: never two living tokens."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import pytest
from arena import PROCESSES, Arena, arena_on
from servers import Answer, Site, post_bytes, send_together

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

ROUNDS = 10
AT_ONCE = 40


def post(path: str, token: str) -> bytes:
    return post_bytes(path, {}, {"Authorization": f"Bearer {token}"})


def sign_in(arena: Arena) -> tuple[str, str]:
    """Sign in and return the access and the refresh token."""
    data = arena.site.verify(*arena.start()).json["data"]
    return data["token"], data["refreshToken"]


def lives(arena: Arena, access: str, refresh: str) -> bool:
    """Whether either of two tokens is good for anything."""
    seen = arena.site.send("GET", "/me", headers={"Authorization": f"Bearer {access}"}).status
    [again] = arena.together(post("/otp/refresh", refresh))
    assert {seen, again.status} <= {200, 401}
    return 200 in (seen, again.status)


@pytest.fixture(scope="module")
def processes(
    mongo_uri_of_module: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    log = tmp_path_factory.mktemp("arena") / "gunicorn.log"
    with arena_on(mongo_uri_of_module, log, REFRESH="1") as arena:
        yield arena


@pytest.fixture
def arena(processes: Arena) -> Arena:
    return processes.emptied()


def winners(answers: list[Answer]) -> list[tuple[str, str]]:
    """Return the tokens that were given out; every other answer is a refusal."""
    assert {answer.status for answer in answers} <= {200, 401}
    for answer in answers:
        if answer.status == 401:
            assert answer.json["error"]["code"] == "invalidRefreshToken"
    data = [answer.json["data"] for answer in answers if answer.status == 200]
    return [(tokens["token"], tokens["refreshToken"]) for tokens in data]


def test_stolen_token_that_races_with_its_owner_leaves_nobody_signed_in(arena: Arena) -> None:
    for _ in range(ROUNDS):
        access, token = sign_in(arena)
        won = winners(arena.together(*[post("/otp/refresh", token)] * AT_ONCE))
        assert len(won) == 1
        assert not lives(arena, access, token)
        assert not lives(arena, *won[0])


@pytest.mark.slow
def test_old_and_living_token_at_once_leave_nobody_signed_in(arena: Arena) -> None:
    for _ in range(ROUNDS):
        _, old = sign_in(arena)
        [(_, living)] = winners(arena.together(post("/otp/refresh", old)))
        requests = [post("/otp/refresh", token) for token in [old, living] * 4]
        random.shuffle(requests)
        won = winners(arena.together(*requests))
        assert len(won) <= 1
        assert not lives(arena, *won[0]) if won else True
        assert arena.database["otp_sessions.logins"].count_documents({"endedAt": None}) == 0


@pytest.mark.slow
def test_logout_that_races_with_a_refresh_leaves_nobody_signed_in(arena: Arena) -> None:
    for _ in range(ROUNDS):
        access, token = sign_in(arena)
        requests = [post("/otp/refresh", token), post("/otp/logout", access)]
        random.shuffle(requests)
        answers = arena.together(*requests)
        assert {answer.status for answer in answers} <= {200, 204, 401}
        for answer in answers:
            if answer.status == 200:
                data = answer.json["data"]
                assert not lives(arena, data["token"], data["refreshToken"])
        assert not lives(arena, access, token)


@pytest.mark.slow
def test_one_request_at_a_time_keeps_the_login_over_all_processes(arena: Arena) -> None:
    _, token = sign_in(arena)
    seen = set()
    for port in arena.site.ports * 5:
        [answer] = send_together(Site(port), [post("/otp/refresh", token)])
        [(access, token)] = winners([answer])
        seen.add(answer.headers["X-Process"])
        headers = {"Authorization": f"Bearer {access}"}
        assert arena.site.send("GET", "/me", headers=headers).status == 200
    assert len(seen) == PROCESSES
