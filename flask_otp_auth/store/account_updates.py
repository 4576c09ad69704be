"""The update pipelines that decide, in the document of an account, what it may do."""

from __future__ import annotations

from datetime import timedelta

from .account import (
    DAMAGED,
    FIRST_WAIT,
    LONGEST_COUNT,
    LONGEST_RESERVATION,
    LONGEST_WAIT,
    MOST_OPEN,
    SKEW,
    AccountRules,
    Event,
    is_sound,
    read,
    written,
)
from .expressions import Expression, Stage, earlier, later, milliseconds, switch, where

_MOST_FAILED_AT = 1000
# A correct code is settled at once or not at all, so the times of older failures are not needed.
_FAILED_AT_KEPT = timedelta(minutes=1)


def admit(rules: AccountRules) -> list[Stage]:
    """Return the stages that admit a send with the attempts of its session, or say why not.

    Their variables are ``$$now``, the UTC time of the request, ``$$counts``, whether the limits on
    sends apply, and ``$$session``, which wants to reserve ``$$tries`` attempts until ``$$until``. A
    resend reserves none.
    """
    # An index past the end is missing; adding to it gives null, which $max skips.
    free_at = [later({"$arrayElemAt": ["$sends", n - 1]}, window) for n, window in rules.sends]
    left = {"$subtract": [rules.bound, {"$add": ["$failures", {"$sum": "$open.tries"}]}]}
    is_full = {"$gte": [{"$size": "$open"}, MOST_OPEN]}
    no_tries = {"$and": [{"$gt": ["$$tries", 0]}, {"$or": [{"$lt": ["$left", 1]}, is_full]}]}
    event = switch(
        ({"$gte": ["$failures", rules.bound]}, Event.DISABLED.value),
        ({"$gt": ["$lockedUntil", "$$now"]}, Event.LOCKED.value),
        ({"$gt": [{"$max": "$freeAt"}, "$$now"]}, Event.LIMITED.value),
        (no_tries, Event.RESERVED.value),
        default=Event.SENT.value,
    )
    return [
        *read(rules),
        {"$set": {"freeAt": {"$cond": ["$$counts", free_at, []]}, "left": left}},
        {"$set": {"event": event}},
        {"$set": _admitted(rules)},
        *written(rules, "left", "freeAt"),
    ]


def _admitted(rules: AccountRules) -> Stage:
    """Return the fields to set according to the event of an admission."""
    is_sent = {"$eq": ["$event", Event.SENT.value]}
    granted = {"$min": ["$$tries", "$left"]}
    reservation = {"session": "$$session", "tries": granted, "until": "$$until"}
    reserves = {"$and": [is_sent, {"$gt": ["$$tries", 0]}]} if rules.counts_failures else False
    most = max((n for n, _ in rules.sends), default=1)
    newest = {"$slice": [{"$concatArrays": [["$$now"], "$sends"]}, most]}
    return {
        "granted": granted,
        "open": {"$cond": [reserves, {"$concatArrays": ["$open", [reservation]]}, "$open"]},
        "retryAt": switch(
            (is_sent, "$$REMOVE"),
            ({"$eq": ["$event", Event.DISABLED.value]}, "$$REMOVE"),
            ({"$eq": ["$event", Event.RESERVED.value]}, {"$min": "$open.until"}),
            default={"$max": ["$lockedUntil", {"$max": "$freeAt"}]},
        ),
        # If half of the attempts are reserved, a correct code has to release those of its session.
        "settle": {
            "$or": [
                {"$gt": ["$failures", 0]},
                {"$lt": ["$left", rules.bound // 2 + 1]},
                {"$gte": [{"$size": "$open"}, MOST_OPEN // 2]},
            ]
        },
        "sends": {"$cond": [{"$and": [is_sent, "$$counts", bool(rules.sends)]}, newest, "$sends"]},
        "limit": {"$indexOfArray": ["$freeAt", {"$max": "$freeAt"}]},
    }


def fail(rules: AccountRules) -> list[Stage]:
    """Return the stages that turn a reserved attempt of a session into a failure.

    Their variables are ``$$session``, whose code was judged at ``$$judgedAt``, and ``$$now``. A
    failure that was judged before the last correct code is not counted, whichever of the two gets
    here first. One that seems to be older than that by more than a count can take was judged after
    it, by a clock that has been set back since.
    """
    slowest = min(rules.count_within, LONGEST_COUNT)
    counts = {
        "$or": [
            {"$not": [{"$lt": ["$$judgedAt", "$clearedAt"]}]},
            {"$lt": ["$$judgedAt", earlier("$clearedAt", slowest)]},
        ]
    }
    one_more = {
        "failures": {"$min": [DAMAGED, {"$add": ["$failures", 1]}]},
        "failedAt": _failed_at(),
        "lastFailureAt": "$$now",
    }
    over = {"$subtract": ["$failures", rules.lockout_threshold or 0]}
    begins = rules.lockout_threshold is not None and {
        "$and": [{"$gte": [over, 0]}, {"$eq": [{"$mod": [over, rules.step]}, 0]}]
    }
    event = switch(
        ({"$not": ["$counts"]}, Event.FAILED.value),
        ({"$gte": ["$failures", rules.bound]}, Event.DISABLED.value),
        (begins, Event.WAITING.value),
        default=Event.FAILED.value,
    )
    is_waiting = {"$eq": ["$event", Event.WAITING.value]}
    doubled = {"$pow": [2, {"$divide": [over, rules.step]}]}
    wait = {"$multiply": [milliseconds(FIRST_WAIT), doubled]}
    until = {"$add": ["$$now", {"$min": [milliseconds(LONGEST_WAIT), wait]}]}
    return [
        *read(rules),
        {"$set": {"counts": counts, "open": _with_a_try_less()}},
        {"$replaceWith": {"$mergeObjects": ["$$ROOT", {"$cond": ["$counts", one_more, {}]}]}},
        {"$set": {"event": event}},
        {"$set": {"lockedUntil": {"$cond": [is_waiting, until, _kept("$lockedUntil")]}}},
        *written(rules, "counts", "retryAt"),
    ]


def _kept(field: str) -> Expression:
    return {"$ifNull": [field, "$$REMOVE"]}


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
        *read(rules),
        {
            "$set": {
                "failures": {"$cond": [is_damaged, DAMAGED, {"$size": after}]},
                "failedAt": after,
                "clearedAt": {"$max": ["$clearedAt", "$$judgedAt"]},
                "open": _without_the_session(),
            }
        },
        {"$set": {"lockedUntil": {"$cond": [is_over, "$$REMOVE", _kept("$lockedUntil")]}}},
        *written(rules, "event", "retryAt"),
    ]


def _without_the_session() -> Expression:
    return where("$open", {"$ne": ["$$this.session", "$$session"]})


def give_back() -> list[Stage]:
    """Return the stages that remove the send at ``$$sentAt`` and what ``$$session`` reserved.

    Without a ``$$sentAt`` or a ``$$session`` it is only the other of the two. A damaged document
    stays damaged.
    """
    sends = {"$cond": [{"$isArray": ["$sends"]}, "$sends", []]}
    others = where({"$range": [0, {"$size": sends}]}, {"$ne": ["$$this", "$place"]})
    kept = {"$map": {"input": others, "in": {"$arrayElemAt": [sends, "$$this"]}}}
    return [
        {"$set": {"place": {"$indexOfArray": [sends, "$$sentAt"]}}},
        {
            "$set": {
                "sends": {"$cond": [{"$isArray": ["$sends"]}, kept, "$sends"]},
                "open": {"$cond": [{"$isArray": ["$open"]}, _without_the_session(), "$open"]},
                "place": "$$REMOVE",
            }
        },
    ]


def unlock() -> list[Stage]:
    """Return the stages that clear failures, lock and sends, but keep the reservations."""
    device = {"usedAt": "$usedAt", "trustedUntil": "$trustedUntil"}
    kept = {"open": {"$ifNull": ["$open", []]}, **device}
    return [
        {
            "$replaceWith": {
                "$mergeObjects": [{"_id": "$_id", "open": []}, {"$cond": [is_sound(), kept, {}]}]
            }
        },
        {
            "$set": {
                "clearedAt": "$$NOW",
                "failures": 0,
                "sends": [],
                "failedAt": [],
                "expireAt": {"$max": [later("$$now", LONGEST_RESERVATION), "$trustedUntil"]},
            }
        },
    ]


def trust() -> list[Stage]:
    """Return the stages that make or renew the document of a device trusted until ``$$until``.

    The time of its use is that of the database, so that all servers agree on the longest unused.
    """
    expire_at = {"$max": ["$expireAt", later("$$until", SKEW)]}
    return [{"$set": {"usedAt": "$$NOW", "trustedUntil": "$$until", "expireAt": expire_at}}]
