"""An attacker with many addresses, patience and a clock, against the default configuration.

The bounds, for one identifier (``OTP_AUTH_IDENTIFIER_LIMITS`` and ``OTP_AUTH_MAX_ATTEMPTS``):

* 20 sends a day, each worth 3 guesses at one code: 60 guesses in the 24 hours from the first send.
  A resend gives no tries, only one more code for the tries there are, so it is worth the same.
* A session lives for 300 s, so up to 5 that were opened just before some 24 hours begin can be
  guessed within them: no 24 hours at all see more than (20 + 5) * 3 = 75 guesses.
* The 100th failure in a row disables the identifier.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest
import time_machine
from support.world import NOW, MakeWorld, World

DAY = 86_400.0
CODES = 10**6
A_DAY, ANY_24_HOURS, IN_A_ROW = 60, 75, 100
TICK = 0.01
LAST_MOMENT = 2 * TICK
VICTIM = {"identifier": "+46701234567", "method": "sms"}


@dataclass
class Open:
    """A session that still takes guesses."""

    id: str
    last_moment: float
    tries: int = 3
    codes: int = 1
    resends: int = 2


@dataclass
class Guess:
    """A guess that was judged, and how many codes would have been right."""

    at: float
    codes: int


@dataclass
class Attacker:
    """Asks from a new address each time, and knows the documented rules."""

    world: World
    clock: time_machine.Traveller
    now: float = NOW.timestamp()
    began: float | None = None
    disabled: bool = False
    sends: int = 0
    sessions: list[Open] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    networks: count[int] = field(default_factory=count)

    def wait(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 2)
        self.clock.move_to(self.now, tick=False)
        self.sessions = [one for one in self.sessions if one.tries and one.last_moment >= self.now]

    def open(self) -> float | None:
        """Ask for a code; return the seconds to wait, or ``None`` once there is one."""
        answer = self._post("/otp/initiate", VICTIM)
        if answer.status_code == 200:
            self._sent()
            self.sessions.append(
                Open(answer.json["data"]["sessionId"], self.now + 300 - LAST_MOMENT)
            )
            return None
        assert answer.status_code == 429
        return self._refused(answer)

    def resend(self, session: Open) -> float | None:
        answer = self._post("/otp/resend", {"sessionId": session.id})
        if answer.status_code == 200:
            self._sent()
            session.codes += 1
            session.resends -= 1
            return None
        assert answer.json["error"]["code"] != "tooManyResends"
        return self._refused(answer)

    def guess(self, session: Open, times: int = 3) -> None:
        taken = {sent.code for sent in self.world.outbox}
        wrong = next(code for code in map("{:06d}".format, range(CODES)) if code not in taken)
        while times and session.tries:
            times -= 1
            answer = self._post("/otp/verify", {"sessionId": session.id, "code": wrong})
            data = answer.json["data"]
            assert data["status"] in ("invalid_code", "locked")
            session.tries = data["remainingAttempts"]
            self.guesses.append(Guess(self.now, session.codes))
        self.wait(0)

    def guess_all(self) -> None:
        for session in list(self.sessions):
            self.guess(session)

    def _post(self, path: str, body: dict[str, str]):
        network = next(self.networks)
        address = f"2001:db8:{network >> 16:x}:{network & 0xFFFF:x}::1"
        return self.world.client.post(path, json=body, environ_base={"REMOTE_ADDR": address})

    def _sent(self) -> None:
        self.sends += 1
        self.began = self.now if self.began is None else self.began

    def _refused(self, answer) -> float:
        if "Retry-After" not in answer.headers:
            self.disabled = True
            return float("inf")
        return int(answer.headers["Retry-After"]) + TICK

    @property
    def first_day(self) -> int:
        assert self.began is not None
        return sum(guess.at < self.began + DAY for guess in self.guesses)

    @property
    def worst_24_hours(self) -> int:
        return max(
            sum(last.at - DAY < guess.at <= last.at for guess in self.guesses)
            for last in self.guesses
        )


def at_once(attacker: Attacker) -> None:
    """Guess each code the moment it may be."""
    wait = attacker.open()
    attacker.guess_all()
    if wait is not None and not attacker.disabled:
        attacker.wait(wait)


def hoard(attacker: Attacker) -> None:
    """Open all the sessions that may be open together, and guess just before the first ends."""
    wait = attacker.open()
    _wait_or_guess(attacker, wait)


def save_up(attacker: Attacker) -> None:
    """Guess at once up to the last guess before the disabling one, then hoard sessions for it."""
    (at_once if len(attacker.guesses) < IN_A_ROW - 1 else hoard)(attacker)


def hoard_with_resends(attacker: Attacker) -> None:
    """Have three codes in each session before guessing, and sessions side by side."""
    session = next((one for one in attacker.sessions if one.resends), None)
    wait = attacker.open() if session is None else attacker.resend(session)
    _wait_or_guess(attacker, wait)


def _wait_or_guess(attacker: Attacker, wait: float | None) -> None:
    if wait is None:
        return
    if attacker.sessions and attacker.now + wait > attacker.sessions[0].last_moment:
        attacker.wait(attacker.sessions[0].last_moment - attacker.now)
        attacker.guess_all()
    elif not attacker.disabled:
        attacker.wait(wait)


def at_random(seed: int) -> Callable[[Attacker], None]:
    chance = random.Random(seed)

    def step(attacker: Attacker) -> None:
        session = chance.choice(attacker.sessions) if attacker.sessions else None
        deed = chance.choices(["open", "resend", "guess", "wait", "linger"], [4, 2, 3, 1, 1])[0]
        wait: float | None = None
        if deed == "open":
            wait = attacker.open()
        elif deed == "resend" and session and session.resends:
            wait = attacker.resend(session)
        elif deed == "guess" and session:
            attacker.guess(session, chance.randint(1, 3))
        elif deed == "linger" and session:
            wait = session.last_moment - attacker.now
        else:
            wait = chance.uniform(0, 60)
        if wait is not None and not attacker.disabled:
            attacker.wait(max(0.0, min(wait, chance.choice([1.0, 30.0, DAY]))))

    return step


def run_until_disabled(attacker: Attacker, step: Callable[[Attacker], None]) -> None:
    while not attacker.disabled:
        step(attacker)
        assert attacker.now < NOW.timestamp() + 60 * DAY, "nobody stops this attacker"
    attacker.guess_all()
    judged = attacker.world.sessions.aggregate(
        [{"$group": {"_id": None, "attempts": {"$sum": "$attempts"}}}]
    )
    assert next(judged)["attempts"] == len(attacker.guesses)


def report(name: str, attacker: Attacker) -> None:
    """Print the arithmetic: each guess is right with a chance of live codes / 10^6."""
    assert attacker.began is not None
    days = (attacker.guesses[-1].at - attacker.began) / DAY
    day = sum(guess.codes for guess in attacker.guesses if guess.at < attacker.began + DAY) / CODES
    whole = sum(guess.codes for guess in attacker.guesses) / CODES
    print(
        f"\n{name}: {attacker.sends} sends, {len(attacker.guesses)} guesses in {days:.2f} days, "
        f"then disabled; {attacker.first_day} in the first day, {attacker.worst_24_hours} in the "
        f"worst 24 hours\n"
        f"  chance in the first day: sum of codes / 10^6 = {day:.4%}\n"
        f"  chance until disabled, and so in a year if the owner never signs in: {whole:.4%}\n"
        f"  chance in a year if the owner signs in every day, which clears the count: "
        f"1 - (1 - {day:.6f})^365 = {1 - (1 - day) ** 365:.2%}"
    )


@pytest.fixture
def attacker(make_world: MakeWorld, clock: time_machine.Traveller) -> Attacker:
    return Attacker(make_world(guarded=True), clock)


@pytest.mark.parametrize(
    "greed", [at_once, hoard, save_up, hoard_with_resends], ids=lambda greed: greed.__name__
)
def test_an_account_survives_a_greedy_guesser(
    greed: Callable[[Attacker], None], attacker: Attacker
) -> None:
    run_until_disabled(attacker, greed)

    report(greed.__name__, attacker)
    assert attacker.first_day <= A_DAY
    assert attacker.worst_24_hours <= ANY_24_HOURS
    assert len(attacker.guesses) <= IN_A_ROW


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_an_account_survives_a_guesser_without_a_plan(seed: int, attacker: Attacker) -> None:
    run_until_disabled(attacker, at_random(seed))

    report(f"seed {seed}", attacker)
    assert attacker.first_day <= A_DAY
    assert attacker.worst_24_hours <= ANY_24_HOURS
    assert len(attacker.guesses) <= IN_A_ROW


def test_the_worst_24_hours_that_can_be_chosen_see_75_guesses(attacker: Attacker) -> None:
    """Five sessions are opened just before, kept, and their sends are free again just in time."""

    def open_five_and_guess_at(last_moment: float) -> None:
        while len(attacker.sessions) < 5:
            wait = attacker.open()
            if wait is not None:
                attacker.wait(wait)
        attacker.wait(last_moment - attacker.now)
        attacker.guess_all()

    start = attacker.now
    open_five_and_guess_at(attacker.now + 300 - LAST_MOMENT)
    window = attacker.guesses[0].at
    for quarter in (1, 2, 3):
        attacker.wait(start + quarter * DAY / 4 - attacker.now)
        open_five_and_guess_at(attacker.now + 200)
    attacker.wait(start + DAY + TICK - attacker.now)
    open_five_and_guess_at(window + DAY - TICK)

    within = [guess for guess in attacker.guesses if window <= guess.at < window + DAY]
    print(f"\nworst 24 hours: {len(within)} guesses, chance {len(within) / CODES:.4%}")
    assert len(within) == attacker.worst_24_hours == ANY_24_HOURS


def test_the_owner_who_signs_in_every_day_does_not_give_a_guesser_more_a_day(
    attacker: Attacker,
) -> None:
    """Each right code clears the count, so nothing but the send limits is left against guessing."""
    for day in range(1, 4):
        until = NOW.timestamp() + day * DAY
        before = len(attacker.guesses)
        while attacker.now < until and len(attacker.guesses) - before < 45:
            hoard(attacker)
        assert not attacker.disabled
        while (wait := attacker.open()) is not None:
            attacker.wait(wait)
        owners = attacker.sessions.pop()
        answer = attacker.world.verify(owners.id, attacker.world.code)
        assert answer.json["data"]["status"] == "success"
        attacker.guess_all()
        attacker.wait(max(0.0, until - attacker.now))

    assert attacker.first_day <= A_DAY
    assert attacker.worst_24_hours <= ANY_24_HOURS
    assert len(attacker.guesses) > IN_A_ROW
