"""Rotating the keys over several processes, in the steps that the docs give: nobody notices."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from support.servers import ROOT
from support.world import MakeWorld, World

OLD = "an old key of over 32 bytes, for tests only"
NEW = "a new key of over 32 bytes, for tests only"
PHONE = "+46701234567"


def steps_of_the_docs() -> list[list[str]]:
    """Return the lists of keys in the order in which the docs tell to deploy them."""
    text = (ROOT / "docs" / "configuration.rst").read_text()
    section = text.partition(".. _key-rotation:")[2].partition("\n---")[0]
    lists = re.findall(r'OTP_AUTH_SECRET_KEY"\] = \[(.*)\]', section)
    keys = {"old_key": OLD, "new_key": NEW}
    return [[keys[name.strip()] for name in names.split(",")] for names in lists]


STEPS = [[OLD], *steps_of_the_docs()]
BESIDE = [pair for both in pairwise(STEPS) for pair in (both, both[::-1])]


def processes(make_world: MakeWorld, pair: tuple[list[str], list[str]], **options: object):
    return [make_world(SECRET_KEY=keys, **options) for keys in pair]


def test_the_docs_give_the_steps() -> None:
    assert len(STEPS) == 4
    assert STEPS[-1] == [NEW]


@pytest.mark.parametrize("pair", BESIDE)
def test_a_code_of_one_process_is_right_in_the_next(make_world: MakeWorld, pair) -> None:
    sends, verifies = processes(make_world, pair)
    session_id = sends.initiate(PHONE)
    assert verifies.verify(session_id, sends.code).status_code == 200


@pytest.mark.parametrize("pair", BESIDE[:4])
def test_until_the_last_step_a_lock_and_a_cooldown_hold_in_all_processes(
    make_world: MakeWorld, pair, clock
) -> None:
    options = {"LOCKOUT_THRESHOLD": 3, "DISABLE_AFTER": 4, "IDENTIFIER_LIMITS": "1 per 30 seconds"}
    one, other = processes(make_world, pair, **options)
    body = {"identifier": PHONE, "method": "sms"}

    def ask(world: World) -> str:
        return world.client.post("/otp/initiate", json=body).json["error"]["code"]

    session_id = one.initiate(PHONE)
    assert ask(other) == "tooManyRequests"
    for _ in range(3):
        one.verify(session_id, "0000")
    clock.shift(15)
    assert ask(other) == ask(one) == "identifierLocked"


@pytest.mark.parametrize("pair", BESIDE[:4])
def test_until_the_last_step_a_client_has_one_share_in_all_processes(
    make_world: MakeWorld, pair, clock
) -> None:
    one, other = processes(make_world, pair, CLIENT_LIMITS="2 per hour")

    def ask(world: World, n: int) -> int:
        body = {"identifier": f"user{n}@example.com", "method": "email"}
        return world.client.post("/otp/initiate", json=body).status_code

    answers = [ask(world, n) for n, world in enumerate([one, other, one, other])]

    assert answers == [200, 200, 429, 429]


def test_a_new_key_in_front_at_once_would_be_wrong_elsewhere(make_world: MakeWorld) -> None:
    """Why there are steps: the other processes do not know the key yet."""
    sends, verifies = processes(make_world, ([NEW, OLD], [OLD]))
    session_id = sends.initiate(PHONE)
    assert verifies.verify(session_id, sends.code).status_code == 401
