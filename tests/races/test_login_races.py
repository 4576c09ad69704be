"""Refresh tokens and ends of logins in many requests at once against four processes."""

from __future__ import annotations

import random
import sys
import uuid
from collections.abc import Iterator

import pytest
from flask_jwt_extended import create_access_token, decode_token
from support.processes import PROCESSES, Processes
from support.servers import NO_LIMITS, Answer, Site, post_bytes, send_together
from support.world import World, build_world

pytestmark = [
    pytest.mark.races,
    pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system"),
]

ROUNDS = 10


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


def test_token_sent_fifty_times_at_once_keeps_the_login_until_an_old_one_comes(
    served: Processes,
) -> None:
    _, token = sign_in(served)
    won = winners(served.together(*[post("/otp/refresh", token)] * 50))
    assert len(won) == 50
    [(access, newest)] = winners(served.together(post("/otp/refresh", won[0][1])))
    assert lives(served, access, newest)

    assert winners(served.together(post("/otp/refresh", won[1][1]))) == []

    for tokens in (*won, (access, newest)):
        assert not lives(served, *tokens)


@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(ROUNDS))
def test_successors_that_race_with_each_other_leave_nobody_signed_in(
    served: Processes, repetition: int
) -> None:
    _, token = sign_in(served)
    successors = [new for _, new in winners(served.together(*[post("/otp/refresh", token)] * 8))]
    won = winners(served.together(*(post("/otp/refresh", new) for new in successors)))
    assert len(won) <= 1  # the first one, and the second ended the login
    for tokens in won:
        assert not lives(served, *tokens)
    assert served.database["otp_sessions.logins"].count_documents({"endedAt": None}) == 0


@pytest.fixture
def own(mongo_uri_of_module: str) -> Iterator[World]:
    """The same application in this process."""
    world = build_world(mongo_uri_of_module, REFRESH_TOKEN=True)
    yield world
    world.close()


def test_end_of_all_logins_counts_to_the_millisecond_in_every_process(
    served: Processes, own: World
) -> None:
    with own.app.app_context():
        own.otp.end_logins("7")
        [mark] = served.database["otp_sessions.logins"].find({"endedBefore": {"$exists": True}})
        tokens = [
            create_access_token(
                "7",
                additional_claims={
                    "otp_verified_at": round(mark["endedBefore"].timestamp() * 1000) + later
                },
            )
            for later in (-1, 1)
        ]
        refused = [own.otp.is_logged_out(decode_token(token)) for token in tokens]
    assert refused == [True, False]
    for port in served.site.ports * PROCESSES:
        headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        seen = [Site(port).send("GET", "/me", headers=header).status for header in headers]
        assert seen == [401, 200]


def test_login_after_the_end_of_the_others_works_and_those_before_do_not(
    served: Processes, own: World
) -> None:
    person = f"{uuid.uuid4().hex}@example.com"

    def sign_in_again() -> tuple[str, str]:
        run = uuid.uuid4().hex
        session_id = served.site.initiate(person, "email", payload={"run": run})
        [sent] = served.database.outbox.find({"payload.run": run})
        data = served.site.verify(session_id, sent["code"]).json["data"]
        return data["token"], data["refreshToken"]

    before = [sign_in_again()]
    for _ in range(ROUNDS):
        with own.app.app_context():
            assert own.otp.end_logins(person) == 1
        tokens = sign_in_again()
        assert not any(lives(served, *old) for old in before)
        headers = {"Authorization": f"Bearer {tokens[0]}"}
        assert served.site.send("GET", "/me", headers=headers).status == 200
        before.append(tokens)


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
