"""Random operations on one account and its devices, by servers whose clocks differ."""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database
from stored import Account, Documents
from support.world import NOW

from flask_otp_auth.store.account import Event
from flask_otp_auth.types import AccountId

DISABLE_AFTER = 20
CLOCKS_DIFFER = 12  # seconds, before and behind
COUNTED_WITHIN = timedelta(seconds=3)
TTL = 300  # seconds
TRUSTED = timedelta(days=30)
YEAR = timedelta(days=365)
LIMITS = [(3, timedelta(seconds=60)), (40, timedelta(days=1))]
DAMAGE: list[dict[str, Any]] = [
    {"failures": "many"},
    {"sends": 5},
    {"open": [{"tries": -1}]},
    {"lockedUntil": "soon"},
    {"lastFailureAt": 0},
]


@dataclass
class Open:
    """A session of the walk, with the attempts that its admission granted."""

    name: str
    account: AccountId
    tries: int
    asked_at: datetime
    expires_at: datetime


@dataclass
class Walk:
    """The account, and what the walk expects of it, by the time of the database."""

    account: Account
    documents: Documents
    random: random.Random
    now: datetime = NOW
    open: list[Open] = field(default_factory=list)
    devices: list[AccountId] = field(default_factory=list)
    # Wrong codes since the last right one, and the last of them, of each account or device.
    in_a_row: Counter[AccountId] = field(default_factory=Counter)
    last_failure: dict[AccountId, datetime] = field(default_factory=dict)
    sends: dict[AccountId, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    uncounted: list[tuple[Open, datetime]] = field(default_factory=list)
    unsettled: list[tuple[Open, datetime]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def clock(self) -> datetime:
        """Return the time by the clock of some server."""
        return self.now + timedelta(seconds=self.random.uniform(-CLOCKS_DIFFER, CLOCKS_DIFFER))

    def step(self) -> None:
        """Do something, and check what has to hold after everything."""
        operations = {
            self.ask: 30,
            self.guess: 40,
            self.count: 30,
            self.sign_in: 4,
            self.fail_to_send: 3,
            self.send_again: 5,
            self.pass_time: 25,
            self.clean_up: 3,
            self.attack: 4,
            self.unlock: 1.5,
            self.forget: 0.3,
            self.damage: 0.3,
        }
        [operation] = self.random.choices(list(operations), list(operations.values()))
        operation()
        self.done[operation.__name__] += 1
        self.check()

    def ask(self) -> None:
        asking = self.random.sample(self.devices, min(len(self.devices), self.random.randrange(3)))
        name, now = f"session {self.random.random()}", self.clock()
        damaged = self.is_damaged()
        tries = self.random.randint(1, 5)
        admission = self.account.ask(now, *asking, session=name, tries=tries)
        self.done[f"ask: {admission.event}"] += 1
        if admission.account == self.account.id and damaged:
            assert admission.event is Event.DISABLED
        if admission.event is Event.SENT:
            assert 1 <= admission.tries <= tries
            assert admission.account in (self.account.id, *asking)
            expires_at = now + timedelta(seconds=TTL)
            session = Open(name, admission.account, admission.tries, now, expires_at)
            self.open.append(session)
            self.sends[admission.account].append(self.now)

    def guess(self) -> None:
        """Have the verdict judge a wrong code, and count it later, within the time for that."""
        if not self.open:
            return
        session = self.random.choice(self.open)
        if self.clock() >= session.expires_at:
            self.open.remove(session)
            return
        self.uncounted.append((session, self.now))
        self.in_a_row[session.account] += 1
        self.last_failure[session.account] = self.now
        session.tries -= 1
        if session.tries == 0:
            self.open.remove(session)

    def attack(self) -> None:
        """Open as many sessions as there are, and guess at all of them at once."""
        for _ in range(self.random.randrange(12)):
            self.ask()
        for _ in range(self.random.randrange(40)):
            self.guess()

    def count(self) -> None:
        """Have the verdicts reach the account, in any order."""
        store = self.account.store
        calls = [(store.record_failure, *verdict) for verdict in self.uncounted]
        calls += [(store.settle, *verdict) for verdict in self.unsettled]
        self.random.shuffle(calls)
        for call, session, judged_at in calls:
            call(session.account, session.name, judged_at=judged_at, now=self.clock())
        self.uncounted.clear()
        self.unsettled.clear()

    def sign_in(self) -> None:
        if not self.open:
            return
        session = self.open.pop(self.random.randrange(len(self.open)))
        if self.random.random() < 0.8:  # else the database is away, and nothing is settled
            self.unsettled.append((session, self.now))
        self.in_a_row[session.account] = 0
        device = self.account.store.trust(session.account, self.clock() + TRUSTED)
        self.devices = [*(known for known in self.devices if known != device), device]

    def fail_to_send(self) -> None:
        """Give back the last session, whose code was certainly or perhaps not sent."""
        if not self.open or self.open[-1].asked_at < self.now - timedelta(seconds=60):
            return
        if any(session is self.open[-1] for session, _ in self.uncounted):
            return  # nobody is told the id of a session whose code was not sent
        session = self.open.pop()
        is_certain = self.random.random() < 0.5
        self.account.store.give_back(
            session.account,
            sent_at=session.asked_at if is_certain else None,
            session_id=session.name,
        )
        if is_certain and self.sends[session.account]:
            self.sends[session.account].pop()

    def send_again(self) -> None:
        if not self.open:
            return
        session = self.random.choice(self.open)
        again = self.account.store.admit([session.account], now=self.clock())
        if again.event is Event.SENT:
            self.sends[again.account].append(self.now)

    def pass_time(self) -> None:
        self.count()  # which no server delays for longer than the time for it
        [seconds] = self.random.choices(
            [self.random.uniform(0, 40), 400, 86_400, 366 * 86_400], [90, 8, 1, 0.2]
        )
        self.now += timedelta(seconds=seconds)

    def clean_up(self) -> None:
        """Do what the TTL index does."""
        self.documents.delete_many({"expireAt": {"$lte": self.now}})

    def unlock(self) -> None:
        self.count()
        if self.is_damaged():  # what its open sessions have reserved is lost with the document
            self.open = [session for session in self.open if session.account != self.account.id]
        self.account.store.unlock(self.account.id, self.clock())
        self.in_a_row.clear()
        self.sends.clear()
        assert not self.is_damaged()

    def forget(self) -> None:
        self.count()
        self.account.store.forget_devices(self.account.id)
        assert self.documents.count_documents({"trustedUntil": {"$exists": True}}) == 0

    def damage(self) -> None:
        damage = self.random.choice(DAMAGE)
        self.documents.update_one({"_id": str(self.account.id)}, {"$set": damage})

    def is_damaged(self) -> bool:
        records = self.account.store.find(self.account.id, self.now)
        return any(record.is_damaged for record in records if record.account.device is None)

    def check(self) -> None:
        for account, failures in self.in_a_row.items():
            if self.now - self.last_failure.get(account, NOW) > YEAR - timedelta(minutes=1):
                self.in_a_row[account] = 0
            else:
                assert failures <= DISABLE_AFTER, account
        for account, sends in self.sends.items():
            for most, window in self.account.store.rules.sends:
                since = self.now - window + timedelta(seconds=2 * CLOCKS_DIFFER)
                recent = [sent for sent in sends if sent > since]
                assert len(recent) <= most, account
        assert self.documents.count_documents({"trustedUntil": {"$exists": True}}) <= 10


@pytest.mark.parametrize("threshold", [6, None], ids=["waits and limits", "the bound alone"])
@pytest.mark.parametrize(
    "steps", [500, pytest.param(8_000, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_no_walk_gets_more_guesses_sends_or_devices_than_the_bounds_say(
    steps: int, threshold: int | None, database: Database[dict[str, Any]], documents: Documents
) -> None:
    given = os.environ.get("OTP_WALK_SEED") or ("1" if steps == 500 else None)
    seed = int(given) if given else random.SystemRandom().randrange(2**32)
    print(f"\nOTP_WALK_SEED={seed}")
    account = Account(
        database,
        LIMITS if threshold else (),
        threshold=threshold,
        disable_after=DISABLE_AFTER,
        count_within=COUNTED_WITHIN,
    )
    walk = Walk(account, documents, random.Random(seed))

    for _ in range(steps):
        walk.step()

    print(dict(walk.done))
    assert walk.done["ask: sent"] > steps / 50
