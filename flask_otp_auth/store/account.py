"""The document of an account: its rules, its events, and how every update reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from .expressions import Expression, Stage, has_type, is_list_of, where

#: The longest wait for a new code after failures.
LONGEST_WAIT = timedelta(seconds=900)
#: The failures that a damaged document counts as: above every bound, so that it stays locked.
DAMAGED = 2**31 - 1
#: A reservation that ends later than this comes from a server whose clock is ahead, and is ignored.
LONGEST_RESERVATION = timedelta(hours=2)
#: The longest time that a count is expected to take after its verdict, whatever the timeout.
LONGEST_COUNT = timedelta(minutes=30)
# A document is kept for this much longer than what it holds, since the clocks of servers differ.
_SKEW = timedelta(minutes=1)


class Event(StrEnum):
    """What an update did to an account; the update writes it into the document."""

    #: One more code may be sent.
    SENT = "sent"
    #: A limit on sends has been reached.
    LIMITED = "limited"
    #: A wait after too many failures is not over.
    LOCKED = "locked"
    #: No code may be sent before an unlock.
    DISABLED = "disabled"
    #: Open sessions have reserved all attempts that are left before the account is disabled.
    RESERVED = "reserved"
    #: A failure was counted, or is older than a correct code, and has no other consequence.
    FAILED = "failed"
    #: A failure was counted, and a wait begins.
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What one application allows an account.

    :param sends: the limits, each as a number of sends and the window in which no more may be sent.
    :param lockout_threshold: consecutive failures at which the first wait begins, or ``None``.
    :param disable_after: consecutive failures at which the account is disabled, or ``None``.
    :param step: failures from one wait to the next.
    :param count_within: how long it can take to count a failure after its verdict.
    """

    sends: Sequence[tuple[int, timedelta]]
    lockout_threshold: int | None
    disable_after: int | None
    step: int
    count_within: timedelta = timedelta(seconds=3)

    @property
    def are_off(self) -> bool:
        """Whether there is no reason for which an account could be refused a code."""
        return not self.sends and not self.counts_failures

    @property
    def counts_failures(self) -> bool:
        """Whether wrong codes have any consequences for an account."""
        return self.lockout_threshold is not None or self.disable_after is not None


def milliseconds(time: timedelta) -> int:
    """Return a duration in milliseconds, as MongoDB adds it to a date."""
    return time // timedelta(milliseconds=1)


def later(moment: Expression, by: timedelta) -> Expression:
    """Return the time *by* after *moment*; it is null if *moment* is missing."""
    return {"$add": [moment, milliseconds(by)]}


def earlier(moment: Expression, by: timedelta) -> Expression:
    """Return the time *by* before *moment*."""
    return {"$subtract": [moment, milliseconds(by)]}


def is_sound() -> Expression:
    """Return the condition that every field has the type that the rules expect."""
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
    """Return the stages with which every update begins, also that of a document that is missing.

    They remove what has expired. A send in the future comes from a server whose clock is ahead, and
    counts as now; a lock is cut to the longest wait. A damaged document becomes a disabled one.
    ``$$now`` is the UTC time of the request.
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
    """Return the number of consecutive failures at which an account is disabled."""
    return rules.disable_after if rules.disable_after is not None else DAMAGED


def expire_at(rules: AccountRules) -> Expression:
    """Return when the TTL index may delete a document: never while it has failures or a lock."""
    longest = max((window for _, window in rules.sends), default=timedelta())
    held = [later({"$first": "$sends"}, longest), {"$max": "$open.until"}, "$$now"]
    stays = {"$or": [{"$gt": ["$failures", 0]}, {"$gt": ["$lockedUntil", "$$now"]}]}
    return {"$cond": [stays, "$$REMOVE", later({"$max": held}, _SKEW)]}
