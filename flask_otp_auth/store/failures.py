"""The updates of an account after its admission: fail, settle, give back and unlock."""

from __future__ import annotations

from datetime import timedelta

from .account import (
    DAMAGED,
    LONGEST_COUNT,
    LONGEST_RESERVATION,
    LONGEST_WAIT,
    AccountRules,
    Event,
    bound,
    earlier,
    expire_at,
    is_sound,
    later,
    milliseconds,
    read,
)
from .expressions import Expression, Stage, switch, where

#: The first wait after failures; each of the next is twice as long, up to the longest.
FIRST_WAIT = timedelta(seconds=30)
_MOST_FAILED_AT = 1000
# A correct code is settled at once or not at all, so the times of older failures are not needed.
_FAILED_AT_KEPT = timedelta(minutes=1)


def fail(rules: AccountRules) -> list[Stage]:
    """Return the stages that turn a reserved attempt of a session into a failure.

    Their variables are ``$$session``, whose code was judged at ``$$judgedAt``, and ``$$now``. A
    failure that was judged before the last correct code is not counted, whichever of the two gets
    here first.
    """
    over = {"$subtract": ["$failures", rules.lockout_threshold or 0]}
    begins = rules.lockout_threshold is not None and {
        "$and": [{"$gte": [over, 0]}, {"$eq": [{"$mod": [over, rules.step]}, 0]}]
    }
    event = switch(
        ({"$not": ["$counts"]}, Event.FAILED.value),
        ({"$gte": ["$failures", bound(rules)]}, Event.DISABLED.value),
        (begins, Event.WAITING.value),
        default=Event.FAILED.value,
    )
    is_waiting = {"$eq": ["$event", Event.WAITING.value]}
    until = {"$add": ["$$now", _wait({"$divide": [over, rules.step]})]}
    return [
        *read(),
        {"$set": {"counts": _counts(rules), "open": _with_a_try_less()}},
        {
            "$set": {
                "failures": {
                    "$cond": [
                        "$counts",
                        {"$min": [DAMAGED, {"$add": ["$failures", 1]}]},
                        "$failures",
                    ]
                },
                "failedAt": {"$cond": ["$counts", _failed_at(), "$failedAt"]},
            }
        },
        {"$set": {"event": event}},
        {
            "$set": {
                "lockedUntil": {
                    "$cond": [is_waiting, until, {"$ifNull": ["$lockedUntil", "$$REMOVE"]}]
                }
            }
        },
        {"$set": {"expireAt": expire_at(rules), "counts": "$$REMOVE", "retryAt": "$$REMOVE"}},
    ]


def _counts(rules: AccountRules) -> Expression:
    """Return whether a failure was judged after the correct code that cleared the account last.

    A failure that seems to be older than that by more than a count can take was judged after it,
    by a clock that has been set back since.
    """
    slowest = min(rules.count_within, LONGEST_COUNT)
    return {
        "$or": [
            {"$not": [{"$lt": ["$$judgedAt", "$clearedAt"]}]},
            {"$lt": ["$$judgedAt", earlier("$clearedAt", slowest)]},
        ]
    }


def _with_a_try_less() -> Expression:
    """Return the reservations with one attempt less for the session, and without empty ones."""
    one_less = {"$max": [0, {"$subtract": ["$$this.tries", 1]}]}
    tries = {"$cond": [{"$eq": ["$$this.session", "$$session"]}, one_less, "$$this.tries"]}
    moved = {"$map": {"input": "$open", "in": {"$mergeObjects": ["$$this", {"tries": tries}]}}}
    return where(moved, {"$gt": ["$$this.tries", 0]})


def _failed_at() -> Expression:
    """Return the times of the recent failures, including this one."""
    recent = {"$gt": ["$$this", earlier("$$judgedAt", _FAILED_AT_KEPT)]}
    earlier_ones = where({"$ifNull": ["$failedAt", []]}, recent)
    return {"$slice": [{"$concatArrays": [["$$judgedAt"], earlier_ones]}, _MOST_FAILED_AT]}


def _wait(doublings: Expression) -> Expression:
    """Return the milliseconds of a wait after so many doublings, at most the longest wait."""
    most = (LONGEST_WAIT // FIRST_WAIT).bit_length()  # keeps the power small
    wait = {"$multiply": [milliseconds(FIRST_WAIT), {"$pow": [2, {"$min": [doublings, most]}]}]}
    return {"$min": [milliseconds(LONGEST_WAIT), wait]}


def settle(rules: AccountRules) -> list[Stage]:
    """Return the stages that clear the failures from before a correct code.

    They also release the attempts of its session. Failures that were judged at the same moment or
    later still count, so that no wrong code is lost in a race. The variables are those of
    :func:`fail`.
    """
    after = where({"$ifNull": ["$failedAt", []]}, {"$gte": ["$$this", "$$judgedAt"]})
    is_damaged = {"$gte": ["$failures", DAMAGED]}
    is_over = {"$lt": ["$failures", rules.lockout_threshold or 1]}
    return [
        *read(),
        {
            "$set": {
                "failures": {"$cond": [is_damaged, DAMAGED, {"$size": after}]},
                "failedAt": after,
                "clearedAt": {"$max": ["$clearedAt", "$$judgedAt"]},
                "open": where("$open", {"$ne": ["$$this.session", "$$session"]}),
            }
        },
        {
            "$set": {
                "lockedUntil": {
                    "$cond": [is_over, "$$REMOVE", {"$ifNull": ["$lockedUntil", "$$REMOVE"]}]
                }
            }
        },
        {"$set": {"expireAt": expire_at(rules), "event": "$$REMOVE", "retryAt": "$$REMOVE"}},
    ]


def give_back() -> list[Stage]:
    """Return the stages that remove the send at ``$$sentAt`` and what ``$$session`` reserved."""
    sends = {"$cond": [{"$isArray": ["$sends"]}, "$sends", []]}
    others = where({"$range": [0, {"$size": sends}]}, {"$ne": ["$$this", "$place"]})
    kept = {"$map": {"input": others, "in": {"$arrayElemAt": [sends, "$$this"]}}}
    reservations = where("$open", {"$ne": ["$$this.session", "$$session"]})
    return [
        {"$set": {"place": {"$indexOfArray": [sends, "$$sentAt"]}}},
        {
            "$set": {
                "sends": {"$cond": [{"$isArray": ["$sends"]}, kept, "$sends"]},
                "open": {"$cond": [{"$isArray": ["$open"]}, reservations, "$open"]},
            }
        },
        {"$unset": "place"},
    ]


def unlock() -> list[Stage]:
    """Return the stages that clear failures, lock and sends, but keep the reservations."""
    return [
        {"$set": {"sound": is_sound()}},
        {
            "$set": {
                "open": {"$cond": ["$sound", {"$ifNull": ["$open", []]}, []]},
                "clearedAt": "$$NOW",
                "failures": 0,
                "sends": [],
                "failedAt": [],
                "expireAt": later("$$now", LONGEST_RESERVATION),
            }
        },
        {"$unset": ["sound", "lockedUntil", "event", "retryAt"]},
    ]
