"""One refresh token in many requests at once against four processes: never two living tokens."""

from __future__ import annotations

import random
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from servers import Answer, Site, gunicorn, post_bytes, send_together

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

PROCESSES = 4
ROUNDS = 10
AT_ONCE = 40


def post(path: str, token: str) -> bytes:
    return post_bytes(path, {}, {"Authorization": f"Bearer {token}"})


@dataclass
class Arena:
    """Four processes, and what their sender wrote."""

    site: Site
    database: Database[dict[str, Any]]

    def sign_in(self) -> tuple[str, str]:
        run = uuid.uuid4().hex
        session_id = self.site.initiate(f"{run}@example.com", "email", payload={"run": run})
        [sent] = self.database.outbox.find({"payload.run": run})
        data = self.site.verify(session_id, sent["code"]).json["data"]
        return data["token"], data["refreshToken"]

    def together(self, *requests: bytes) -> list[Answer]:
        return send_together(self.site, requests)

    def lives(self, access: str, refresh: str) -> bool:
        """Whether either of two tokens is good for anything."""
        seen = self.site.send("GET", "/me", headers={"Authorization": f"Bearer {access}"}).status
        [again] = self.together(post("/otp/refresh", refresh))
        assert {seen, again.status} <= {200, 401}
        return 200 in (seen, again.status)


@pytest.fixture
def arena(mongo_uri: str, tmp_path: Path) -> Iterator[Arena]:
    served = gunicorn(mongo_uri, tmp_path / "log", workers=PROCESSES, REFRESH="1")
    with served as site, MongoClient(mongo_uri) as client:
        yield Arena(site, client.get_default_database())


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
        access, token = arena.sign_in()
        won = winners(arena.together(*[post("/otp/refresh", token)] * AT_ONCE))
        assert len(won) == 1
        assert not arena.lives(access, token)
        assert not arena.lives(*won[0])


@pytest.mark.slow
def test_old_and_living_token_at_once_leave_nobody_signed_in(arena: Arena) -> None:
    for _ in range(ROUNDS):
        _, old = arena.sign_in()
        [(_, living)] = winners(arena.together(post("/otp/refresh", old)))
        requests = [post("/otp/refresh", token) for token in [old, living] * 4]
        random.shuffle(requests)
        won = winners(arena.together(*requests))
        assert len(won) <= 1
        assert not arena.lives(*won[0]) if won else True
        assert arena.database["otp_sessions.families"].count_documents({"endedAt": None}) == 0


@pytest.mark.slow
def test_logout_that_races_with_a_refresh_leaves_nobody_signed_in(arena: Arena) -> None:
    for _ in range(ROUNDS):
        access, token = arena.sign_in()
        requests = [post("/otp/refresh", token), post("/otp/logout", access)]
        random.shuffle(requests)
        answers = arena.together(*requests)
        assert {answer.status for answer in answers} <= {200, 204, 401}
        for answer in answers:
            if answer.status == 200:
                data = answer.json["data"]
                assert not arena.lives(data["token"], data["refreshToken"])
        assert not arena.lives(access, token)


@pytest.mark.slow
def test_one_request_at_a_time_keeps_the_login_over_all_processes(arena: Arena) -> None:
    _, token = arena.sign_in()
    seen = set()
    for _ in range(PROCESSES * 5):
        [answer] = arena.together(post("/otp/refresh", token))
        [(access, token)] = winners([answer])
        seen.add(answer.headers["X-Process"])
        headers = {"Authorization": f"Bearer {access}"}
        assert arena.site.send("GET", "/me", headers=headers).status == 200
    assert len(seen) > 1, "one process answered everything"
