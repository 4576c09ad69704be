"""What the tests of the store put into the database: a pending session, and an account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database
from support.world import NOW

from flask_otp_auth.store.account import AccountRules, Admission, Event, Failure, Reservation
from flask_otp_auth.store.accounts import AccountStore
from flask_otp_auth.types import AccountId, Session

Documents = Collection[dict[str, Any]]

PHONE = "+46701234567"
ID = "0123456789abcdef" * 2
OTHER_ID = "fedcba9876543210" * 2
RIGHT, RIGHT_OF_OLD_KEY, WRONG = b"r" * 32, b"o" * 32, b"w" * 32
EXPIRES = NOW + timedelta(seconds=300)
TTL = timedelta(seconds=300)
_sessions = count(1)


def new_session(**changes: Any) -> Session:
    return Session(
        **{
            "session_id": ID,
            "identifier": PHONE,
            "method": "sms",
            "status": "pending",
            "attempts": 0,
            "max_attempts": 3,
            "created_at": NOW,
            "expires_at": EXPIRES,
            "verified_at": None,
            "payload": None,
            **changes,
        }
    )


class Account:
    """One account under rules of its own, asked at times that the test names."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        sends: Sequence[tuple[int, timedelta]] = (),
        *,
        threshold: int | None = None,
        disable_after: int | None = None,
        step: int = 3,
        count_within: timedelta = timedelta(seconds=3),
        name: str = "user@example.com",
    ) -> None:
        rules = AccountRules(sends, threshold, disable_after, step, count_within)
        self.store = AccountStore(database, "accounts", key=b"k" * 32, rules=rules)
        self.id = self.store.id_of(name)

    @property
    def stored(self) -> dict[str, Any]:
        """The document of the account."""
        document = self.store.collection.find_one({"_id": str(self.id)})
        assert document is not None
        return document

    def ask(
        self,
        now: datetime = NOW,
        *devices: AccountId,
        session: str = "",
        tries: int = 3,
        ttl: timedelta = TTL,
    ) -> Admission:
        session = session or f"session {next(_sessions)}"
        reserve = Reservation(session, tries, now + ttl)
        return self.store.admit([self.id, *devices], now=now, reserve=reserve)

    def fail(self, session: str = "s", judged_at: datetime = NOW, now: datetime = NOW) -> Failure:
        return self.store.record_failure(self.id, session, judged_at=judged_at, now=now)

    def succeed(self, session: str = "s", judged_at: datetime = NOW, now: datetime = NOW) -> None:
        self.store.settle(self.id, session, judged_at=judged_at, now=now)

    def wait_of(self, now: datetime = NOW, **keywords: Any) -> float:
        """Return 0 if a send was let through, else the seconds to wait."""
        found = self.ask(now, **keywords)
        if found.event is Event.SENT:
            return 0
        assert found.retry_at is not None
        return (found.retry_at - now).total_seconds()


Make = Callable[..., Account]


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
