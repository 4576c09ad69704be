"""The document of an account: its rules, its events, and how every operation reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from .expressions import INTEGER, Expression, Stage, has_type, is_list_of, where

#: The longest wait between two codes after failures.
LONGEST_WAIT = timedelta(seconds=900)
#: The failures of a damaged document: above every bound, so that it stays locked.
DAMAGED = 2**31 - 1
#: A clock that is ahead by more than this must not keep tries reserved for longer.
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
    """

    sends: Sequence[tuple[int, timedelta]]
    lockout_threshold: int | None
    disable_after: int | None
    step: int

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
    """Return whether every field is of the type that the rules below expect."""
    reservation = {
        "$and": [
            has_type("$$this.until", "date"),
            has_type("$$this.tries", *INTEGER),
            {"$gte": ["$$this.tries", 0]},
        ]
    }
    is_date = has_type("$$this", "date")
    return {
        "$and": [
            has_type("$failures", "missing", *INTEGER),
            {"$gte": [{"$ifNull": ["$failures", 0]}, 0]},
            has_type("$lockedUntil", "missing", "date"),
            has_type("$clearedAt", "missing", "date"),
            is_list_of("$sends", is_date),
            is_list_of("$failedAt", is_date),
            is_list_of("$open", reservation),
        ]
    }


def read() -> list[Stage]:
    """Return the stages that bring a document, or none, into the form that the others work on.

    A time in the future comes from a clock that is ahead, and counts as now; what has lapsed is
    dropped. A damaged document becomes one that is disabled.
    """
    now = "$ask.now"
    lapses = {"$min": ["$$this.until", later(now, LONGEST_RESERVATION)]}
    reservations = {
        "$map": {
            "input": {"$ifNull": ["$open", []]},
            "in": {"$mergeObjects": ["$$this", {"until": lapses}]},
        }
    }
    sends = {"$map": {"input": {"$ifNull": ["$sends", []]}, "in": {"$min": ["$$this", now]}}}
    locked_until = {"$min": ["$lockedUntil", later(now, LONGEST_WAIT)]}

    def if_sound(value: Expression, otherwise: Expression) -> Expression:
        return {"$cond": ["$sound", value, otherwise]}

    return [
        {"$set": {"sound": is_sound()}},
        {
            "$set": {
                "failures": if_sound({"$ifNull": ["$failures", 0]}, DAMAGED),
                "failedAt": if_sound({"$ifNull": ["$failedAt", []]}, []),
                "sends": if_sound(sends, []),
                "open": if_sound(where(reservations, {"$gt": ["$$this.until", now]}), []),
                "lockedUntil": {
                    "$cond": [
                        {"$and": ["$sound", {"$gt": ["$lockedUntil", now]}]},
                        locked_until,
                        "$$REMOVE",
                    ]
                },
                "clearedAt": if_sound("$clearedAt", "$$REMOVE"),
                "sound": "$$REMOVE",
            }
        },
    ]


def bound(rules: AccountRules) -> int:
    """Return the failures in a row at which an account is disabled."""
    return rules.disable_after if rules.disable_after is not None else DAMAGED


def expire_at(rules: AccountRules) -> Expression:
    """Return when the TTL index may delete a document: not while failures or a lock stand in it."""
    longest = max((window for _, window in rules.sends), default=timedelta())
    held = [
        later({"$arrayElemAt": ["$sends", 0]}, longest),
        {"$max": "$open.until"},
        "$ask.now",
    ]
    waits = {"$or": [{"$gt": ["$failures", 0]}, has_type("$lockedUntil", "date")]}
    return {"$cond": [waits, "$$REMOVE", later({"$max": held}, _SKEW)]}
