"""Nobody learns who has an account: the same bytes, and the same times, for everybody."""

from __future__ import annotations

import http.client
import json
import math
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask_pymongo import PyMongo
from support.servers import HOST, JSON, PATIENCE, Site, threaded
from support.world import FAILED, SECRET_KEY, MakeWorld, World

from flask_otp_auth import FlaskOtpAuth

KNOWN, UNKNOWN, DISABLED = "+46701234561", "+46701234562", "+46701234563"
SILENT = {"SEND_TO_UNKNOWN": False, "SEND_IN_BACKGROUND": True}
MODES = [
    pytest.param({}, id="codes go to everybody"),
    pytest.param(SILENT, id="codes go to users, in the background"),
]


def world_with_users(make_world: MakeWorld, **options: Any) -> World:
    world = make_world(guarded=True, CLIENT_LIMITS=None, **options)
    users = {KNOWN: {"id": 1, "active": True}, DISABLED: {"id": 2, "active": False}}

    @world.otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        user = users.get(identifier)
        if user is None or not user["active"]:
            return None
        return user

    return world


def raw(site: Site, path: str, body: Any) -> bytes:
    """Return a whole answer, less its Date, with what is drawn at random made the same."""
    connection = http.client.HTTPConnection(HOST, site.port, timeout=PATIENCE)
    connection.request("POST", path, json.dumps(body), JSON)
    answer = connection.getresponse()
    lines = [f"{answer.version} {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.getheaders() if name != "Date"]
    text = "\n".join([*lines, "", answer.read().decode()])
    connection.close()
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "<session>", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text).encode()


def session_of(world: World, identifier: str) -> str:
    found = world.sessions.find_one({"identifier": identifier}, sort=[("createdAt", -1)])
    assert found is not None
    return found["_id"]


def trace(
    world: World, site: Site, identifier: str, clock: time_machine.Traveller
) -> list[tuple[str, bytes]]:
    """Go through all that a stranger sees without the code."""
    seen: list[tuple[str, bytes]] = []
    ask = {"identifier": identifier, "method": "sms"}

    def post(what: str, path: str, body: Any) -> None:
        seen.append((what, raw(site, path, body)))

    def guess(what: str, code: str = "1234567") -> None:
        post(what, "/otp/verify", {"sessionId": session_of(world, identifier), "code": code})

    def resend(what: str) -> None:
        post(what, "/otp/resend", {"sessionId": session_of(world, identifier)})

    post("initiate", "/otp/initiate", ask)
    post("initiate in the cooldown", "/otp/initiate", ask)
    resend("resend in the cooldown")
    guess("wrong code")
    clock.shift(31)
    resend("resend")
    clock.shift(31)
    resend("second resend")
    clock.shift(31)
    resend("one resend too many")
    guess("second wrong code")
    guess("last wrong code")
    guess("locked")
    resend("resend of a locked session")
    post("initiate again", "/otp/initiate", ask)
    clock.shift(300)
    guess("expired")
    resend("resend of an expired session")
    post("initiate a third time", "/otp/initiate", ask)
    for n in range(3):
        guess(f"wrong code {n} before the lockout")
    post("initiate in the lockout", "/otp/initiate", ask)
    clock.shift(timedelta(hours=2))
    world.accounts.update_many(FAILED, {"$set": {"failures": 100}})
    post("initiate of a disabled identifier", "/otp/initiate", ask)
    world.accounts.delete_many(FAILED)
    return seen


@pytest.mark.parametrize("options", MODES)
def test_a_stranger_cannot_tell_an_account_from_none_byte_for_byte(
    options: dict[str, Any], make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = world_with_users(make_world, **options)
    with threaded(world.app) as site:
        known, unknown, disabled = (
            trace(world, site, identifier, clock) for identifier in (KNOWN, UNKNOWN, DISABLED)
        )

    assert unknown == known
    assert disabled == known
    statuses = [answer.split()[1] for _, answer in known]
    assert statuses == [
        *(b"200", b"429", b"429", b"401", b"200", b"200", b"429", b"401", b"403", b"403", b"404"),
        *(b"200", b"403", b"403", b"200", b"401", b"401", b"403", b"429", b"429"),
    ]
    if options:
        world.app.extensions["otp_auth"].background.drain()
        assert {sent.identifier for sent in world.outbox} == {KNOWN}
    else:
        assert {sent.identifier for sent in world.outbox} == {KNOWN, UNKNOWN, DISABLED}


@pytest.mark.parametrize("sender", ["returns False", "raises"])
def test_a_stranger_cannot_tell_an_account_from_none_by_a_sender_that_fails(
    sender: str, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = world_with_users(make_world, **SILENT)

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        if sender == "raises":
            raise ConnectionError("the provider is away")
        return False

    with threaded(world.app) as site:
        answers = []
        for identifier in (KNOWN, UNKNOWN):
            ask = {"identifier": identifier, "method": "sms"}
            seen = [raw(site, "/otp/initiate", ask) for _ in range(2)]
            world.app.extensions["otp_auth"].background.drain()
            guess = {"sessionId": session_of(world, identifier), "code": "1234567"}
            seen.append(raw(site, "/otp/verify", guess))
            clock.shift(31)
            seen.append(raw(site, "/otp/resend", {"sessionId": guess["sessionId"]}))
            world.app.extensions["otp_auth"].background.drain()
            seen.append(raw(site, "/otp/verify", guess))
            answers.append(seen)

    assert b" 200 " in answers[0][0]
    assert answers[0] == answers[1]


def test_a_stranger_cannot_tell_an_account_from_none_while_no_more_codes_can_wait(
    make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    world = world_with_users(make_world, **SILENT)
    go_on = threading.Event()

    @world.otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        return go_on.wait(PATIENCE)

    background = world.app.extensions["otp_auth"].background
    with world.app.app_context():
        for _ in range(204):
            background.reserve().run(lambda: go_on.wait(PATIENCE))
    try:
        with threaded(world.app) as site:
            answers = [
                raw(site, "/otp/initiate", {"identifier": identifier, "method": "sms"})
                for identifier in (KNOWN, UNKNOWN)
            ]
    finally:
        go_on.set()
        background.drain()

    # Time goes by between the two, and the wait that they tell grows with it.
    answers = [re.sub(rb'(Retry-After: |"retryAfter":)[0-9]+', rb"\1n", each) for each in answers]
    assert answers[0] == answers[1]
    assert b" 503 " in answers[0]
    assert b"Retry-After: n\n" in answers[0]


def rank_sum_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how likely such a difference of ranks is by chance (Mann and Whitney, two-sided)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, 1) if group == 0)
    n, m = len(one), len(other)
    mean, deviation = n * (n + m + 1) / 2, math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(ranks - mean) / deviation / math.sqrt(2))


def test_the_rank_test_sees_a_difference_and_no_other() -> None:
    chance = random.Random(7)
    same = [[chance.gauss(10, 1) for _ in range(300)] for _ in range(2)]
    shifted = [value + 0.5 for value in same[1]]

    assert rank_sum_p(*same) > 0.01
    assert rank_sum_p(same[0], shifted) < 1e-6
    assert rank_sum_p([1, 2], [1.5, 2.5]) == pytest.approx(0.4386, abs=1e-3)


def timed_world(mongo_uri: str, sender_seconds: float, **options: Any) -> Flask:
    app = Flask("timed")
    app.config.update(SECRET_KEY=SECRET_KEY, MONGO_URI=mongo_uri, OTP_AUTH_CLIENT_LIMITS=None)
    app.config.update({f"OTP_AUTH_{key}": value for key, value in options.items()})
    otp = FlaskOtpAuth()
    otp.init_app(app, mongo=PyMongo(app))

    @otp.send_code_handler
    def send_code(code: str, identifier: str, method: str, payload: Any) -> bool:
        time.sleep(sender_seconds)
        return True

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> Any:
        return None if identifier.startswith("nobody") else {"id": identifier}

    return app


def times_of(site: Site, pairs: int, pause: float) -> tuple[list[float], list[float]]:
    """Ask for known and unknown users in random order; return the seconds until the answers."""
    chance = random.Random(11)
    times: dict[str, list[float]] = {"someone": [], "nobody": []}
    asked = [name for name in times for _ in range(pairs)]
    chance.shuffle(asked)
    warm_up = [("warmup", n) for n in range(10)]
    for name, n in warm_up + [(name, n) for n, name in enumerate(asked)]:
        start = time.perf_counter()
        site.initiate(f"{name:x<7}{n:04d}@example.com", "email")
        seconds = time.perf_counter() - start
        times.get(name, []).append(seconds)
        time.sleep(pause)
    return times["someone"], times["nobody"]


def closing(app: Flask) -> Callable[[], None]:
    return app.extensions["otp_auth"].mongo.cx.close


@pytest.mark.slow
def test_a_stranger_cannot_tell_an_account_from_none_by_the_clock(mongo_uri: str) -> None:
    app = timed_world(mongo_uri, 0.5, **SILENT)
    with threaded(app) as site:
        known, unknown = times_of(site, pairs=200, pause=0.06)
    app.extensions["otp_auth"].background.drain()
    closing(app)()

    p = rank_sum_p(known, unknown)
    medians = [sorted(times)[100] * 1000 for times in (known, unknown)]
    print(f"\nknown {medians[0]:.2f} ms, unknown {medians[1]:.2f} ms, p = {p:.3f}")
    assert max(medians) < 250
    assert p > 0.001


@pytest.mark.slow
def test_the_clock_would_tell_if_the_answer_waited_for_the_sender(mongo_uri: str) -> None:
    app = timed_world(mongo_uri, 0.02, SEND_TO_UNKNOWN=False)
    with threaded(app) as site:
        known, unknown = times_of(site, pairs=40, pause=0)
    closing(app)()

    assert rank_sum_p(known, unknown) < 1e-6
