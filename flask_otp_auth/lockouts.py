"""LockoutStore: failures in a row per identifier over all its sessions; wait, disable, unlock."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database

from .database import bounded, durable

_FIRST_WAIT = 30
_LONGEST_WAIT = 900
# Doublings after which the wait is the longest; keeps the power small whatever the count is.
_DOUBLINGS = (_LONGEST_WAIT // _FIRST_WAIT).bit_length()


@dataclass(frozen=True, slots=True)
class Lockout:
    """Failures in a row of one identifier.

    :param failures: wrong codes since the last right one or the last unlock.
    :param locked_until: UTC time before which no new code is given, or ``None``.
    :param disabled: no new code is given until an unlock or a right code.
    :param locked_at: UTC time of the failure that began the last wait, or disabled it.
    """

    failures: int
    locked_until: datetime | None
    disabled: bool
    locked_at: datetime | None

    def began_at(self, now: datetime) -> bool:
        """Whether the failure counted at *now* began a wait or disabled the identifier."""
        return self.locked_at == now

    def wait(self, now: datetime) -> float | None:
        """Return the seconds for which no new code is given, or ``None`` if one may be."""
        if self.locked_until is None or self.locked_until <= now:
            return None
        return (self.locked_until - now).total_seconds()


class LockoutStore:
    """The lockouts of one application, in a collection with one document an identifier.

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
        return None if document is None else _lockout(document)

    def clear(self, identifier: str) -> bool:
        """Forget the failures of an identifier; return whether there were any."""
        with bounded(self._timeout):
            deleted = self._collection.delete_one({"_id": self._id(identifier)})
        return deleted.deleted_count == 1

    def _id(self, identifier: str) -> str:
        return hmac.digest(self._key, identifier.encode(), "sha256").hex()

    def _failure(self, now: datetime) -> list[Mapping[str, Any]]:
        failures = {"$add": [{"$ifNull": ["$failures", 0]}, 1]}
        over = {"$subtract": ["$failures", self._threshold or 0]}
        waits = {"$and": [{"$gte": [over, 0]}, {"$eq": [{"$mod": [over, self._step]}, 0]}]}
        begins: Any = self._threshold is not None and waits
        disables: Any = self._disable_after is not None and {
            "$gte": ["$failures", self._disable_after]
        }
        until = {"$add": [now, {"$multiply": [self._seconds(over), 1000]}]}
        return [
            {"$set": {"failures": failures, "lastFailureAt": now}},
            {
                "$set": {
                    "lockedUntil": {"$cond": [begins, until, {"$ifNull": ["$lockedUntil", None]}]},
                    "lockedAt": {
                        "$cond": [
                            {"$or": [begins, {"$and": [disables, {"$ne": ["$disabled", True]}]}]},
                            now,
                            {"$ifNull": ["$lockedAt", None]},
                        ]
                    },
                    "disabled": {"$or": [{"$ifNull": ["$disabled", False]}, disables]},
                }
            },
        ]

    def _seconds(self, over: Mapping[str, Any]) -> Mapping[str, Any]:
        doublings = {"$min": [_DOUBLINGS, {"$divide": [over, self._step]}]}
        return {"$min": [_LONGEST_WAIT, {"$multiply": [_FIRST_WAIT, {"$pow": [2, doublings]}]}]}


def _lockout(document: Mapping[str, Any]) -> Lockout:
    locked_until = document.get("lockedUntil")
    return Lockout(
        failures=document["failures"],
        # What is not a time cannot say when the lock ends: it stays for good.
        locked_until=(
            locked_until
            if locked_until is None or isinstance(locked_until, datetime)
            else datetime.max.replace(tzinfo=UTC)
        ),
        disabled=document["disabled"] is not False,
        locked_at=document.get("lockedAt"),
    )
