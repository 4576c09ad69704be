"""The update of an account that admits a request for a code, or says why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .account import AccountRules, Event, bound, expire_at, later, read
from .expressions import Stage, switch

#: The open sessions that an account can have; only an application without limits can reach this.
MOST_OPEN = 1000


def admit(rules: AccountRules, sends: Sequence[tuple[int, timedelta]]) -> list[Stage]:
    """Return the stages that admit a send with the attempts of its session, or say why not.

    Their variables are ``$$now``, the UTC time of the request, and ``$$session``, which wants to
    reserve ``$$tries`` attempts until ``$$until``. A resend reserves none.

    :param rules: what an account is allowed.
    :param sends: the limits that apply to this send.
    """
    # An index past the end is missing; adding to it gives null, which $max skips.
    free_at = [later({"$arrayElemAt": ["$sends", n - 1]}, window) for n, window in sends]
    left = {"$subtract": [bound(rules), {"$add": ["$failures", {"$sum": "$open.tries"}]}]}
    no_tries = {
        "$and": [
            {"$gt": ["$$tries", 0]},
            {"$or": [{"$lt": ["$left", 1]}, {"$gte": [{"$size": "$open"}, MOST_OPEN]}]},
        ]
    }
    event = switch(
        ({"$gte": ["$failures", bound(rules)]}, Event.DISABLED.value),
        ({"$gt": ["$lockedUntil", "$$now"]}, Event.LOCKED.value),
        ({"$gt": [{"$max": "$freeAt"}, "$$now"]}, Event.LIMITED.value),
        (no_tries, Event.RESERVED.value),
        default=Event.SENT.value,
    )
    return [
        *read(),
        {"$set": {"freeAt": free_at, "left": left}},
        {"$set": {"event": event}},
        {"$set": _decided(rules, is_limited=bool(sends))},
        {"$set": {"expireAt": expire_at(rules), "left": "$$REMOVE", "freeAt": "$$REMOVE"}},
    ]


def _decided(rules: AccountRules, *, is_limited: bool) -> Stage:
    """Return the fields to set according to the event."""
    is_sent = {"$eq": ["$event", Event.SENT.value]}
    granted = {"$min": ["$$tries", "$left"]}
    reservation = {"session": "$$session", "tries": granted, "until": "$$until"}
    reserves = {"$and": [is_sent, {"$gt": ["$$tries", 0]}]} if rules.counts_failures else False
    fields = {
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
                {"$lt": ["$left", bound(rules) // 2 + 1]},
                {"$gte": [{"$size": "$open"}, MOST_OPEN // 2]},
            ]
        },
    }
    if is_limited:
        most = max(n for n, _ in rules.sends)
        newest = {"$slice": [{"$concatArrays": [["$$now"], "$sends"]}, most]}
        fields["sends"] = {"$cond": [is_sent, newest, "$sends"]}
        fields["limit"] = {"$indexOfArray": ["$freeAt", {"$max": "$freeAt"}]}
    return fields
