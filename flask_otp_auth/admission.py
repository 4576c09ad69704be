"""Whether one more code may be sent: the client's limits, the lockout, the identifier's limits."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pymongo import UpdateOne

from .exceptions import IdentifierLocked, ServiceUnavailable
from .limit_mongo import MongoWindows, count
from .limits import Bucket, Buckets, Windows
from .lockouts import Lockout, LockoutStore
from .store.database import RETRY_AFTER

_log = logging.getLogger("flask_otp_auth")

# Each of the three steps can stop for what it asks, and once more because another request made
# the same document at that moment.
_TURNS = 6


@dataclass(frozen=True, slots=True)
class _Step:
    """An update; *bucket* is whose limits it asks, none at the look for a lockout."""

    update: UpdateOne
    bucket: Bucket | None = None


class Admission(Protocol):
    """Lets sends through, or not.

    The client goes first, so that a refused client cannot use up the sends of an identifier; then
    the lockout, which is only read, so that asking while it lasts costs the owner no send.
    """

    def admit(self, identifier: str, client: str | None, now: datetime) -> Lockout | None:
        """Count one send, and return the failures of *identifier*, ``None`` if there are none.

        :param client: the address of the client; ``None`` for a call from Python.
        :raises TooManyRequests: a limit is used up.
        :raises IdentifierLocked: too many wrong codes in a row.
        :raises ServiceUnavailable: the limits or the lockouts cannot be asked.
        """


class Unlimited:
    """Looks at the lockout, where there are no limits."""

    def __init__(self, lockouts: LockoutStore) -> None:
        self._lockouts = lockouts

    def admit(
        self,
        identifier: str,
        client: str | None,  # noqa: ARG002
        now: datetime,
    ) -> Lockout | None:
        """Look at the lockout; the client does not matter."""
        return self._lockouts.look(identifier, now)


class CountedBeside:
    """Counts sends in the collection of the lockouts, and asks about both in one command."""

    def __init__(self, lockouts: LockoutStore, windows: MongoWindows, buckets: Buckets) -> None:
        self._lockouts = lockouts
        self._windows = windows
        self._buckets = buckets

    def admit(self, identifier: str, client: str | None, now: datetime) -> Lockout | None:
        """Take the steps in turn; where they stop, see why, and go on from there."""
        steps = self._steps(identifier, client, now)
        if not any(step.bucket for step in steps):
            return self._lockouts.look(identifier, now)
        lockout = None
        for _ in range(_TURNS):
            sends = sum(step.bucket is not None for step in steps)
            stopped = self._windows.run([step.update for step in steps], sends)
            if stopped is None:
                return lockout
            steps = steps[stopped:]
            refusing = steps[0].bucket
            if refusing is not None:
                self._windows.check(refusing, now)
                continue
            lockout = self._lockouts.look(identifier, now)
            steps = steps[1:]
            if not steps:
                return lockout
        failure = ServiceUnavailable(retry_after=RETRY_AFTER)
        _log.error("limits: no end after %s turns [error %s]", _TURNS, failure.id)
        raise failure

    def _steps(self, identifier: str, client: str | None, now: datetime) -> list[_Step]:
        of_client = self._buckets.of_client(client)
        of_identifier = self._buckets.of_identifier(identifier)
        steps = [_Step(count(bucket, now), bucket) for bucket in of_client]
        if self._lockouts.enabled:
            steps.append(_Step(self._lockouts.stop(identifier)))
        return steps + [_Step(count(bucket, now), bucket) for bucket in of_identifier]


class CountedElsewhere:
    """Counts sends in a store of another kind than that of the lockouts."""

    def __init__(self, lockouts: LockoutStore, windows: Windows, buckets: Buckets) -> None:
        self._lockouts = lockouts
        self._windows = windows
        self._buckets = buckets

    def admit(self, identifier: str, client: str | None, now: datetime) -> Lockout | None:
        """Look at the lockout first, to count in all buckets at once."""
        of_client = self._buckets.of_client(client)
        try:
            lockout = self._lockouts.look(identifier, now)
        except IdentifierLocked:
            self._windows.take(of_client, now)
            raise
        self._windows.take([*of_client, *self._buckets.of_identifier(identifier)], now)
        return lockout
