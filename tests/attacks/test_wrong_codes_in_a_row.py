"""No allowed option lets a patient attacker try more wrong codes in a row than the bound says."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import time_machine
from support.world import MakeWorld, World

NUMBER = "+46701234567"
REVIEWER = {NUMBER: {"code": "246810", "until": "2050-02-01"}}
ONE_EACH_MINUTE = "60 per hour"
OPTIONS: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "an hour to guess ten times": {"CODE_TTL": 3600, "MAX_ATTEMPTS": 10},
    "disabled after 10": {"DISABLE_AFTER": 10},
    "disabled after 7, which no session divides": {"DISABLE_AFTER": 7},
    "sixty codes an hour": {"IDENTIFIER_LIMITS": ONE_EACH_MINUTE},
    "any number of codes": {"IDENTIFIER_LIMITS": None},
    "a test identifier": {"TEST_IDENTIFIERS": REVIEWER},
    "no waits": {"LOCKOUT_THRESHOLD": None, "IDENTIFIER_LIMITS": None},
}


def open_all(world: World, clock: time_machine.Traveller, most: float) -> list[str] | None:
    """Open sessions for as long as the first of them lives; ``None`` if no time opens one."""
    opened: list[str] = []
    spent = 0.0
    while True:
        answer = world.client.post("/otp/initiate", json={"identifier": NUMBER, "method": "sms"})
        if answer.status_code == 200:
            opened.append(answer.json["data"]["sessionId"])
            continue
        if "Retry-After" not in answer.headers:
            return opened or None
        wait = int(answer.headers["Retry-After"])
        if opened and spent + wait >= most:
            return opened
        clock.shift(wait)
        spent = spent + wait if opened else 0.0


@pytest.mark.parametrize("name", OPTIONS)
def test_no_more_wrong_codes_in_a_row_are_judged_than_the_bound_says(
    name: str, make_world: MakeWorld, clock: time_machine.Traveller
) -> None:
    options = {"CLIENT_LIMITS": None, **OPTIONS[name]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these are warned about
        world = make_world(guarded=True, **options)
    ttl, tries = options.get("CODE_TTL", 300), options.get("MAX_ATTEMPTS", 3)

    while (sessions := open_all(world, clock, ttl)) is not None:
        for session_id in sessions:
            for guess in range(tries + 1):
                world.verify(session_id, f"no {guess}")

    judged = sum(session["attempts"] for session in world.sessions.find())
    assert judged == options.get("DISABLE_AFTER", 100)
    [account] = world.accounts.find()
    assert account["failures"] == judged


def test_a_slow_database_lets_no_new_session_have_the_tries_of_a_late_count(
    make_world: MakeWorld,
) -> None:
    world = make_world(guarded=True, DB_TIMEOUT=600)
    world.initiate(NUMBER)
    [account] = world.accounts.find()
    [session] = world.sessions.find()
    assert (account["open"][0]["until"] - session["expiresAt"]).total_seconds() >= 600
