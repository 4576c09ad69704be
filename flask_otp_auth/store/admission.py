"""The update that admits one more code to an account, or says why not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .account import AccountRules, Event, bound, expire_at, later, read
from .expressions import Stage, switch

#: Sessions that an account can have open; reached only where the host switched the limits off.
MOST_OPEN = 1000


def admit(rules: AccountRules, sends: Sequence[tuple[int, timedelta]]) -> list[Stage]:
    """Return the stages that admit a send, with the tries of its session, or say why not.

    :param sends: the limits that this send is under.
    """
    now = "$ask.now"
    # Past the end of the list there is nothing, and adding to nothing gives null, which $max skips.
    free_at = [later({"$arrayElemAt": ["$sends", n - 1]}, window) for n, window in sends]
    left = {"$subtract": [bound(rules), {"$add": ["$failures", {"$sum": "$open.tries"}]}]}
    no_tries = {
        "$and": [
            {"$gt": ["$ask.tries", 0]},
            {"$or": [{"$lt": ["$left", 1]}, {"$gte": [{"$size": "$open"}, MOST_OPEN]}]},
        ]
    }
    event = switch(
        ({"$gte": ["$failures", bound(rules)]}, Event.DISABLED.value),
        ({"$gt": ["$lockedUntil", now]}, Event.LOCKED.value),
        ({"$gt": ["$limitedUntil", now]}, Event.LIMITED.value),
        (no_tries, Event.RESERVED.value),
        default=Event.SENT.value,
    )
    waited = {"$max": ["$lockedUntil", "$limitedUntil"]}
    retry_at = switch(
        ({"$in": ["$event", [Event.SENT.value, Event.DISABLED.value]]}, "$$REMOVE"),
        ({"$eq": ["$event", Event.RESERVED.value]}, {"$min": "$open.until"}),
        default=waited,
    )
    return [
        *read(),
        {"$set": {"limitedUntil": {"$max": free_at} if free_at else None, "left": left}},
        {"$set": {"event": event}},
        {"$set": {"limit": {"$indexOfArray": [free_at, "$limitedUntil"]}}},
        {"$set": {"retryAt": retry_at, "granted": {"$min": ["$ask.tries", "$left"]}}},
        {"$set": _admitted(rules, is_counted=bool(sends))},
        {"$set": {"expireAt": expire_at(rules)}},
        {"$unset": ["ask", "left", "limitedUntil"]},
    ]


def _admitted(rules: AccountRules, *, is_counted: bool) -> Stage:
    """Return the fields that an admitted send changes."""
    is_sent = {"$eq": ["$event", Event.SENT.value]}
    reservation = {
        "session": "$ask.session",
        "tries": "$granted",
        "until": "$ask.until",
    }
    reserves = {"$and": [is_sent, {"$gt": ["$ask.tries", 0]}, rules.counts_failures]}
    reserved = {"$add": [{"$sum": "$open.tries"}, "$granted"]}
    fields = {
        "open": {"$cond": [reserves, {"$concatArrays": ["$open", [reservation]]}, "$open"]},
        # With half of the tries reserved, a right code has to give those of its session back.
        "settle": {
            "$or": [
                {"$gt": ["$failures", 0]},
                {"$gt": [reserved, bound(rules) // 2]},
                {"$gte": [{"$size": "$open"}, MOST_OPEN // 2]},
            ]
        },
    }
    if is_counted:
        most = max(n for n, _ in rules.sends)
        newest = {"$slice": [{"$concatArrays": [["$ask.now"], "$sends"]}, most]}
        fields["sends"] = {"$cond": [is_sent, newest, "$sends"]}
    return fields
