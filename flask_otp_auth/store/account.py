"""The document of an account: its rules, its events, and how every operation reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from .expressions import Expression, Stage, has_type, is_list_of, where

#: The longest wait between two codes after failures.
LONGEST_WAIT = timedelta(seconds=900)
#: The failures of a damaged document: above every bound, so that it stays locked.
DAMAGED = 2**31 - 1
#: A reservation beyond this comes from a clock that is ahead, and does not count.
LONGEST_RESERVATION = timedelta(hours=2)
# For servers whose clocks differ: a document outlives by this much what it holds.
_SKEW = timedelta(minutes=1)


class Event(StrEnum):
    """What one operation did to an account; written by it into the document itself."""

    #: One more code may be sent.
    SENT = "sent"
    #: A send limit is used up.
    LIMITED = "limited"
    #: A wait after too many failures is not over.
    LOCKED = "locked"
    #: No code before an unlock.
    DISABLED = "disabled"
    #: Open sessions hold all tries that are left before the account would be disabled.
    RESERVED = "reserved"
    #: A failure was counted, and changed nothing else.
    FAILED = "failed"
    #: A failure was counted, and a wait begins.
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What one application allows an account.

    :param sends: so many sends in any window of that length, for each limit.
    :param lockout_threshold: failures in a row at which the first wait begins, or ``None``.
    :param disable_after: failures in a row that are never exceeded, or ``None``.
    :param step: failures from one wait to the next.
    :param count_within: how long a guess can take from its verdict to its count.
    """

    sends: Sequence[tuple[int, timedelta]]
    lockout_threshold: int | None
    disable_after: int | None
    step: int
    count_within: timedelta = timedelta(seconds=3)

    @property
    def are_off(self) -> bool:
        """Whether there is nothing that an account could be refused for."""
        return not self.sends and not self.counts_failures

    @property
    def counts_failures(self) -> bool:
        """Whether wrong codes have any consequence for the account."""
        return self.lockout_threshold is not None or self.disable_after is not None


def milliseconds(time: timedelta) -> int:
    """Return a time as MongoDB adds it to a date."""
    return time // timedelta(milliseconds=1)


def later(moment: Expression, by: timedelta) -> Expression:
    """Return the time that is *by* after *moment*, or null if there is no such moment."""
    return {"$add": [moment, milliseconds(by)]}


def earlier(moment: Expression, by: timedelta) -> Expression:
    """Return the time that is *by* before *moment*."""
    return {"$subtract": [moment, milliseconds(by)]}


def is_sound() -> Expression:
    """Return whether every field is of the type that the rules expect."""
    failures = {"$ifNull": ["$failures", 0]}
    is_date = has_type("$$this", "date")
    # Only a number lies between two numbers.
    tries = {"$and": [{"$gte": ["$$this.tries", 0]}, {"$lte": ["$$this.tries", DAMAGED]}]}
    reservation = {"$and": [has_type("$$this.until", "date"), tries]}
    return {
        "$and": [
            {"$gte": [failures, 0]},
            {"$lte": [failures, DAMAGED]},
            {"$ne": [{"$type": "$failures"}, "null"]},
            has_type("$lockedUntil", "missing", "date"),
            has_type("$clearedAt", "missing", "date"),
            is_list_of("$sends", is_date),
            is_list_of("$failedAt", is_date),
            is_list_of("$open", reservation),
        ]
    }


def read() -> list[Stage]:
    """Return the stages that bring a document, or none, into the form that the others work on.

    What has lapsed is dropped. A send in the future comes from a clock that is ahead, and counts as
    now; a lock in the future is no longer than the longest one. A damaged document becomes one that
    is disabled. ``$$now`` is the UTC time of the request.
    """
    sends = {"$map": {"input": {"$ifNull": ["$sends", []]}, "in": {"$min": ["$$this", "$$now"]}}}
    is_open = {
        "$and": [
            {"$gt": ["$$this.until", "$$now"]},
            {"$lt": ["$$this.until", later("$$now", LONGEST_RESERVATION)]},
        ]
    }
    locked_until = {"$min": ["$lockedUntil", later("$$now", LONGEST_WAIT)]}
    damaged = {"_id": "$_id", "failures": DAMAGED}
    return [
        {"$replaceWith": {"$cond": [is_sound(), "$$ROOT", damaged]}},
        {
            "$set": {
                "failures": {"$ifNull": ["$failures", 0]},
                "sends": sends,
                "open": where({"$ifNull": ["$open", []]}, is_open),
                "lockedUntil": {
                    "$cond": [{"$gt": ["$lockedUntil", "$$now"]}, locked_until, "$$REMOVE"]
                },
            }
        },
    ]


def bound(rules: AccountRules) -> int:
    """Return the failures in a row at which an account is disabled."""
    return rules.disable_after if rules.disable_after is not None else DAMAGED


def expire_at(rules: AccountRules) -> Expression:
    """Return when the TTL index may delete a document: not while failures or a lock stand in it."""
    longest = max((window for _, window in rules.sends), default=timedelta())
    held = [later({"$first": "$sends"}, longest), {"$max": "$open.until"}, "$$now"]
    stays = {"$or": [{"$gt": ["$failures", 0]}, {"$gt": ["$lockedUntil", "$$now"]}]}
    return {"$cond": [stays, "$$REMOVE", later({"$max": held}, _SKEW)]}
