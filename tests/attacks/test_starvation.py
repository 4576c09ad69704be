"""Strangers who use up what an account may have, day after day, and the owner in between."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from support.world import NOW, MakeWorld, World

DAY = 86_400.0
YEAR = 365 * 86_400
OWNER = {"identifier": "+46701234567", "method": "sms"}
EVERY = 4_600.0  # seconds between the owner's requests: 18 a day, within the owner's own limits


class Strangers:
    """They ask the moment that a send is free, as the answers tell them, and may guess too."""

    def __init__(self, world: World, *, guess: bool) -> None:
        self._world = world
        self._guess = guess
        self.next = NOW.timestamp()
        self.sends = self.refusals = self.guesses = 0

    def act(self, now: float) -> None:
        """Ask, guess at what was sent, and note when to come back."""
        answer = self._world.client.post("/otp/initiate", json=OWNER)
        if answer.status_code == 200:
            self.sends += 1
            session_id = answer.json["data"]["sessionId"]
            while self._guess:
                data = self._world.verify(session_id, self._world.wrong_code).json["data"]
                self.guesses += 1
                if data["status"] == "locked":
                    break
            answer = self._world.client.post("/otp/initiate", json=OWNER)
        self.refusals += 1
        assert answer.status_code == 429
        self.next = now + int(answer.headers.get("Retry-After", DAY))


def besiege(
    world: World, clock: time_machine.Traveller, strangers: Strangers, days: int, token: str | None
) -> tuple[int, int]:
    """Have strangers and the owner ask for *days*; return the owner's (requests, sign-ins)."""
    start = NOW.timestamp() + 60
    owner, asked, signed_in = start + EVERY, 0, 0
    strangers.next = start
    while min(owner, strangers.next) < start + days * DAY:
        now = min(owner, strangers.next)
        clock.move_to(now, tick=False)
        if strangers.next <= owner:  # at the same moment the stranger is quicker
            strangers.act(now)
            continue
        owner += EVERY
        asked += 1
        body: dict[str, Any] = OWNER if token is None else {**OWNER, "deviceToken": token}
        answer = world.client.post("/otp/initiate", json=body)
        if answer.status_code == 200:
            verified = world.verify(answer.json["data"]["sessionId"], world.code)
            signed_in += verified.status_code == 200
    return asked, signed_in


def sign_in(world: World) -> str:
    answer = world.client.post("/otp/initiate", json=OWNER)
    verified = world.verify(answer.json["data"]["sessionId"], world.code)
    return str(verified.json["data"]["deviceToken"])


@pytest.fixture
def world(make_world: MakeWorld, clock: time_machine.Traveller) -> World:
    return make_world(guarded=True, CLIENT_LIMITS=None, TRUSTED_DEVICES=YEAR)


def test_in_five_days_of_strangers_the_owner_gets_every_code_on_a_device_of_theirs(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    strangers = Strangers(world, guess=False)

    asked, signed_in = besiege(world, clock, strangers, 5, token)

    assert signed_in == asked > 90
    assert strangers.refusals > 90
    assert strangers.sends <= 6 * 20


def test_in_five_days_of_strangers_an_owner_without_a_device_hardly_gets_a_code(
    world: World, clock: time_machine.Traveller
) -> None:
    """The residual risk that docs/security.rst states."""
    asked, signed_in = besiege(world, clock, Strangers(world, guess=False), 5, None)

    print(f"\nwithout a device: {signed_in} of {asked} codes in five days")
    assert signed_in < asked / 10


@pytest.mark.slow
def test_strangers_who_hammer_an_account_for_a_month_never_delay_the_owners_device(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    strangers = Strangers(world, guess=True)

    asked, signed_in = besiege(world, clock, strangers, 30, token)

    print(f"\na month: {signed_in} of {asked} codes, {strangers.guesses} guesses of strangers")
    assert signed_in == asked > 500
    assert strangers.guesses == 100  # the bound of wrong codes in a row, and none after it


def test_a_stolen_token_gives_its_thief_the_tries_of_one_device_and_then_those_of_anybody(
    world: World, clock: time_machine.Traveller
) -> None:
    token = sign_in(world)
    thief = {**OWNER, "deviceToken": token}
    now, guesses = NOW.timestamp(), 0
    while True:
        now += 301
        clock.move_to(now, tick=False)
        answer = world.client.post("/otp/initiate", json=thief)
        if answer.status_code == 429:
            if "Retry-After" not in answer.headers:
                break
            now += int(answer.headers["Retry-After"])
            continue
        session_id = answer.json["data"]["sessionId"]
        for _ in range(3):
            status = world.verify(session_id, world.wrong_code).status_code
            guesses += status in (401, 403)
            if status == 403:
                break

    stored = world.accounts.find({}, {"failures": True}).sort("_id", 1)
    assert [document["failures"] for document in stored] == [100, 100]
    assert guesses == 200
