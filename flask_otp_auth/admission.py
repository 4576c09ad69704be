"""Whether one more code may be sent: the client's limits, the lockout, the identifier's limits."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Protocol

from .database import RETRY_AFTER
from .exceptions import IdentifierLocked, ServiceUnavailable
from .limit_mongo import MongoWindows, count, stop_at
from .limits import Bucket, Buckets, Windows
from .lockouts import Lockout, LockoutStore

_log = logging.getLogger("flask_otp_auth")

# Each of the three steps can stop for what it asks, and once more because another request made
# the same document at that moment.
_TURNS = 6


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
    """Looks at lockouts, where there are no limits."""

    def __init__(self, lockouts: LockoutStore) -> None:
        self._lockouts = lockouts

    def admit(
        self,
        identifier: str,
        client: str | None,  # noqa: ARG002
        now: datetime,
    ) -> Lockout | None:
        """Look at the lockout; the client does not matter."""
        lockout = self._lockouts.find(identifier)
        if lockout is None:
            return None
        wait = lockout.wait(now)
        if lockout.disabled or wait is not None:
            raise IdentifierLocked(retry_after=None if lockout.disabled else wait)
        return lockout


class CountedElsewhere(Unlimited):
    """Counts sends in a store of another kind than that of the lockouts."""

    def __init__(self, lockouts: LockoutStore, buckets: Buckets, windows: Windows) -> None:
        super().__init__(lockouts)
        self._buckets = buckets
        self._windows = windows

    def admit(self, identifier: str, client: str | None, now: datetime) -> Lockout | None:
        """Look at the lockout first, to count in all buckets at once."""
        of_client = self._buckets.of_client(client)
        try:
            lockout = super().admit(identifier, client, now)
        except IdentifierLocked:
            self._windows.take(of_client, now)
            raise
        self._windows.take([*of_client, *self._buckets.of_identifier(identifier)], now)
        return lockout


class CountedBeside(Unlimited):
    """Counts sends in the collection of the lockouts, and asks about both in one command."""

    def __init__(self, lockouts: LockoutStore, buckets: Buckets, windows: MongoWindows) -> None:
        super().__init__(lockouts)
        self._buckets = buckets
        self._windows = windows

    def admit(self, identifier: str, client: str | None, now: datetime) -> Lockout | None:
        """Take the steps in turn; where they stop, see why, and go on from there."""
        # Where there is no bucket, the step is the look at the lockout.
        steps: list[Bucket | None] = [*self._buckets.of_client(client)]
        if self._lockouts.enabled:
            steps.append(None)
        steps += self._buckets.of_identifier(identifier)
        if not any(steps):
            return super().admit(identifier, client, now)
        lockout, id_ = None, self._lockouts.id_of(identifier)
        for _ in range(_TURNS):
            stopped = self._windows.run(
                [stop_at(id_) if step is None else count(step, now) for step in steps]
            )
            if stopped is None:
                return lockout
            steps = steps[stopped:]
            if steps[0] is not None:
                self._windows.check(steps[0], now)
                continue
            lockout = super().admit(identifier, client, now)
            steps = steps[1:]
            if not steps:
                return lockout
        failure = ServiceUnavailable(retry_after=RETRY_AFTER)
        _log.error("limits: no end after %s turns [error %s]", _TURNS, failure.id)
        raise failure
