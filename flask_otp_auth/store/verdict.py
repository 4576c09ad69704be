"""The atomic verdict: the update that decides everything about a typed code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from .expressions import INTEGER, Expression, encoded, has_type, switch


class Outcome(StrEnum):
    """What a typed code did to its session; the verdict writes it into the document."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    LOCKED = "locked"
    EXPIRED = "expired"
    USED = "used"
    UNREADABLE = "unreadable"

    @property
    def is_judged(self) -> bool:
        """Whether the typed code was compared with the codes of its session."""
        return self in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.EXHAUSTED)


_STATUS_AFTER = {
    Outcome.ACCEPTED: "verified",
    Outcome.REJECTED: "pending",
    Outcome.EXHAUSTED: "locked",
    Outcome.LOCKED: "locked",
    Outcome.EXPIRED: "expired",
    Outcome.USED: "verified",
    Outcome.UNREADABLE: "pending",
}


def verdict_pipeline(candidates: Sequence[bytes] | None, now: datetime) -> list[Mapping[str, Any]]:
    """Return the update that decides on a guess.

    It is a single operation on one document, so that no other guess can come between the check and
    the update. It writes the outcome to ``verdict``, which the caller reads from the document that
    the same operation returns. So a caller can tell its own verification from an earlier one.

    :param candidates: the digests under which the guessed code may be stored, or ``None`` for what
        cannot be a code and costs no attempt.
    :param now: UTC time of the request.
    """
    digests = None if candidates is None else list(candidates)
    return [{"$set": {"guess": {"digests": digests, "at": now}}}, *_JUDGEMENT]


def _judgement() -> list[Mapping[str, Any]]:
    """Return the stages that decide on ``guess``."""
    failed = {"$in": ["$verdict", [Outcome.REJECTED.value, Outcome.EXHAUSTED.value]]}
    accepted = {"$eq": ["$verdict", Outcome.ACCEPTED.value]}
    judged = {"$or": [failed, accepted]}
    pending = {"$in": ["$verdict", [Outcome.REJECTED.value, Outcome.UNREADABLE.value]]}
    return [
        {"$set": {"verdict": _verdict()}},
        {
            "$set": {
                "status": switch(
                    *(
                        ({"$eq": ["$verdict", outcome.value]}, status)
                        for outcome, status in _STATUS_AFTER.items()
                    ),
                    default="locked",
                ),
                "attempts": {"$cond": [failed, {"$add": ["$attempts", 1]}, "$attempts"]},
                "verifiedAt": {"$cond": [accepted, "$guess.at", "$verifiedAt"]},
                # By the clock of the database, so that the guesses of all servers are in order.
                "judgedAt": {"$cond": [judged, "$$NOW", "$judgedAt"]},
                "digests": {"$cond": [pending, "$digests", "$$REMOVE"]},
                "guess": "$$REMOVE",
            }
        },
    ]


def _verdict() -> Expression:
    """Return the outcome of ``guess``. Nothing else decides on it.

    A field that does not have the expected type never helps the guess.
    """
    in_time = {"$and": [has_type("$expiresAt", "date"), {"$lt": ["$guess.at", "$expiresAt"]}]}
    tries_left = {
        "$and": [
            has_type("$attempts", *INTEGER),
            has_type("$maxAttempts", *INTEGER),
            {"$gte": ["$attempts", 0]},
            {"$lt": ["$attempts", "$maxAttempts"]},
        ]
    }
    matches = {
        "$cond": [
            {"$isArray": "$digests"},
            {"$ne": [{"$setIntersection": ["$digests", "$guess.digests"]}, []]},
            False,
        ]
    }
    last_try = {"$gte": [{"$add": ["$attempts", 1]}, "$maxAttempts"]}
    return switch(
        ({"$eq": ["$status", "verified"]}, Outcome.USED.value),
        ({"$eq": ["$status", "expired"]}, Outcome.EXPIRED.value),
        ({"$ne": ["$status", "pending"]}, Outcome.LOCKED.value),
        ({"$not": [in_time]}, Outcome.EXPIRED.value),
        ({"$not": [tries_left]}, Outcome.LOCKED.value),
        ({"$eq": ["$guess.digests", None]}, Outcome.UNREADABLE.value),
        (matches, Outcome.ACCEPTED.value),
        (last_try, Outcome.EXHAUSTED.value),
        default=Outcome.REJECTED.value,
    )


_JUDGEMENT = encoded(_judgement())
