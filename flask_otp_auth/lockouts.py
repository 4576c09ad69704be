"""LockoutStore: failures in a row per identifier over all its sessions; wait, disable, unlock."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from bson import Int64
from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database

from .exceptions import IdentifierLocked
from .store.database import bounded, durable
from .store.verdict import switch as _switch

_FIRST_WAIT = 30
_LONGEST_WAIT = 900
# The failures of a document that is not of our making: above any bound, so that it stays locked.
_BROKEN = 2**31 - 1
# Doublings after which the wait is the longest; keeps the power small whatever the count is.
_DOUBLINGS = (_LONGEST_WAIT // _FIRST_WAIT).bit_length()


@dataclass(frozen=True, slots=True)
class Lockout:
    """Failures in a row of one identifier.

    :param failures: wrong codes since the last right one or the last unlock.
    :param locked_until: UTC time before which no new code is given, or ``None``.
    :param disabled: no new code is given until an unlock or a right code.
    :param begins: whether the failure just counted began a wait or disabled the identifier.
    """

    failures: int
    locked_until: datetime | None
    disabled: bool
    begins: bool = False

    def wait(self, now: datetime) -> float | None:
        """Return the seconds for which no new code is given, or ``None`` if one may be."""
        if self.locked_until is None or self.locked_until <= now:
            return None
        return (self.locked_until - now).total_seconds()


class LockoutStore:
    """The lockouts of one application: a document for each identifier with failures in a row.

    It lies in the collection of the send limits, so that both can be asked in one command.

    Waits double with each further *step* of failures: one wrong code after a wait is over does
    not bring the next. NIST SP 800-63B-4, section 3.2.2, asks for a bound of at most 100
    consecutive failures and names waiting as a way to spare the owner from it.

    :param key: of the HMAC that identifiers are stored under.
    :param threshold: failures in a row at which the first wait begins, or ``None``.
    :param disable_after: failures in a row at which the identifier is disabled, or ``None``.
    :param step: failures from one wait to the next.
    :param timeout: seconds that the database gets for one call.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        name: str,
        *,
        key: bytes,
        threshold: int | None,
        disable_after: int | None,
        step: int,
        timeout: float,
    ) -> None:
        self._collection = durable(database, name)
        self._key = key
        self._threshold = threshold
        self._disable_after = disable_after
        self._step = step
        self._timeout = timeout

    @property
    def enabled(self) -> bool:
        """Whether failures are counted at all."""
        return self._threshold is not None or self._disable_after is not None

    def find(self, identifier: str) -> Lockout | None:
        """Return the failures in a row, or ``None`` if there are none."""
        if not self.enabled:
            return None
        with bounded(self._timeout):
            document = self._collection.find_one({"_id": self._id(identifier)})
        return None if document is None else _lockout(document)

    def look(self, identifier: str, now: datetime) -> Lockout | None:
        """Return the failures in a row, or ``None`` if there are none.

        :raises IdentifierLocked: there are so many that it gets no new code now.
        """
        lockout = self.find(identifier)
        if lockout is None:
            return None
        wait = lockout.wait(now)
        if lockout.disabled or wait is not None:
            raise IdentifierLocked(retry_after=None if lockout.disabled else wait)
        return lockout

    def stop(self, identifier: str) -> UpdateOne:
        """Return the step of a command that goes no further if there are failures in a row."""
        return UpdateOne({"_id": self._id(identifier)}, {"$unset": {"_id": ""}})

    def record_failure(self, identifier: str, now: datetime) -> Lockout | None:
        """Count one wrong code, in one operation, and return where that leaves the identifier."""
        if not self.enabled:
            return None
        with bounded(self._timeout):
            document = self._collection.find_one_and_update(
                {"_id": self._id(identifier)},
                self._failure(now),
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        lockout = _lockout(document or {})
        return replace(lockout, begins=self._begins_at(lockout.failures))

    def budget(self, lockout: Lockout | None) -> int | None:
        """Return the wrong codes left until the identifier is disabled; ``None`` is no bound."""
        if self._disable_after is None:
            return None
        return self._disable_after - (lockout.failures if lockout else 0)

    def clear(self, identifier: str) -> bool:
        """Forget the failures of an identifier; return whether there were any."""
        with bounded(self._timeout):
            deleted = self._collection.delete_one({"_id": self._id(identifier)})
        return deleted.deleted_count == 1

    def _id(self, identifier: str) -> str:
        return "lockout:" + hmac.digest(self._key, identifier.encode(), "sha256").hex()

    def _begins_at(self, failures: int) -> bool:
        if failures == self._disable_after:
            return True
        over = failures - (self._threshold or failures + 1)
        return over >= 0 and over % self._step == 0

    def _failure(self, now: datetime) -> list[Mapping[str, Any]]:
        counts = {"$in": [{"$type": "$failures"}, ["int", "long"]]}
        is_new = {"$eq": [{"$type": "$lastFailureAt"}, "missing"]}
        failures = _switch(
            (counts, {"$add": ["$failures", 1]}),
            ({"$and": [is_new, {"$eq": [{"$type": "$failures"}, "missing"]}]}, 1),
            default=_BROKEN,
        )
        over = {"$subtract": ["$failures", self._threshold or 0]}
        begins: Any = self._threshold is not None and {
            "$and": [{"$gte": [over, 0]}, {"$eq": [{"$mod": [over, self._step]}, 0]}]
        }
        disables: Any = self._disable_after is not None and {
            "$gte": ["$failures", self._disable_after]
        }
        until = {"$add": [now, {"$multiply": [self._seconds(over), 1000]}]}
        return [
            {"$set": {"failures": failures, "lastFailureAt": now}},
            {
                "$set": {
                    "lockedUntil": {"$cond": [begins, until, {"$ifNull": ["$lockedUntil", None]}]},
                    "disabled": {
                        "$or": [
                            {"$ifNull": ["$disabled", False]},
                            disables,
                            {"$eq": ["$failures", _BROKEN]},
                        ]
                    },
                }
            },
        ]

    def _seconds(self, over: Mapping[str, Any]) -> Mapping[str, Any]:
        doublings = {"$min": [_DOUBLINGS, {"$divide": [over, self._step]}]}
        return {"$min": [_LONGEST_WAIT, {"$multiply": [_FIRST_WAIT, {"$pow": [2, doublings]}]}]}


def _lockout(document: Mapping[str, Any]) -> Lockout:
    """Read a stored lockout; one that cannot be understood locks for good."""
    failures, until = document.get("failures"), document.get("lockedUntil")
    sound = (
        type(failures) in (int, Int64)
        and type(document.get("disabled")) is bool
        and (until is None or isinstance(until, datetime))
    )
    if not sound:
        return Lockout(_BROKEN, None, disabled=True)
    return Lockout(int(cast(int, failures)), until, disabled=bool(document["disabled"]))
