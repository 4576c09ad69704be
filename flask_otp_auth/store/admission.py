"""The updates of an account document: each decides and writes what it decided, in one operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from .expressions import INTEGER, Expression, Stage, encoded, has_type, is_list_of, switch, where

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(seconds=900)
#: The failures of a damaged document: above every bound, so that it stays locked.
DAMAGED = 2**31 - 1
# A clock that is ahead by more than this must not keep tries reserved for longer.
_LONGEST_RESERVATION = timedelta(hours=2)
# Bounds of the lists in one document; reached only where the host switched the limits off.
_MOST_OPEN = 1000
_MOST_FAILED_AT = 1000
# A right code is settled at once or not at all, so older failures need no time of their own.
_FAILED_AT_KEPT = timedelta(minutes=1)
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


@dataclass(frozen=True, slots=True)
class Updates:
    """The stages of every update of an account document under the same rules.

    Each list is preceded by a stage that sets ``ask``: what the call is about.
    """

    rules: AccountRules
    admit: list[Stage] = field(init=False)
    admit_unlimited: list[Stage] = field(init=False)
    fail: list[Stage] = field(init=False)
    settle: list[Stage] = field(init=False)
    give_back: list[Stage] = field(init=False)
    unlock: list[Stage] = field(init=False)

    def __post_init__(self) -> None:
        for name, stages in (
            ("admit", _admit(self.rules, self.rules.sends)),
            ("admit_unlimited", _admit(self.rules, ())),
            ("fail", _fail(self.rules)),
            ("settle", _settle(self.rules)),
            ("give_back", _give_back()),
            ("unlock", _unlock()),
        ):
            object.__setattr__(self, name, encoded(stages))


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)


def _later(moment: Expression, by: timedelta) -> Expression:
    return {"$add": [moment, _milliseconds(by)]}


def _earlier(moment: Expression, by: timedelta) -> Expression:
    return {"$subtract": [moment, _milliseconds(by)]}


def _is_sound() -> Expression:
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


def _read() -> list[Stage]:
    """Return the stages that bring a document, or none, into the form that the others work on.

    A time in the future comes from a clock that is ahead, and counts as now; what has lapsed is
    dropped. A damaged document becomes one that is disabled.
    """
    now = "$ask.now"
    lapses = {"$min": ["$$this.until", _later(now, _LONGEST_RESERVATION)]}
    reservations = {
        "$map": {
            "input": {"$ifNull": ["$open", []]},
            "in": {"$mergeObjects": ["$$this", {"until": lapses}]},
        }
    }
    sends = {"$map": {"input": {"$ifNull": ["$sends", []]}, "in": {"$min": ["$$this", now]}}}
    locked_until = {"$min": ["$lockedUntil", _later(now, LONGEST_WAIT)]}

    def if_sound(value: Expression, otherwise: Expression) -> Expression:
        return {"$cond": ["$sound", value, otherwise]}

    return [
        {"$set": {"sound": _is_sound()}},
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


def _bound(rules: AccountRules) -> int:
    return rules.disable_after if rules.disable_after is not None else DAMAGED


def _expire_at(rules: AccountRules) -> Expression:
    """Return when the TTL index may delete a document: not while failures or a lock stand in it."""
    longest = max((window for _, window in rules.sends), default=timedelta())
    held = [
        _later({"$arrayElemAt": ["$sends", 0]}, longest),
        {"$max": "$open.until"},
        "$ask.now",
    ]
    waits = {"$or": [{"$gt": ["$failures", 0]}, has_type("$lockedUntil", "date")]}
    return {"$cond": [waits, "$$REMOVE", _later({"$max": held}, _SKEW)]}


def _admit(rules: AccountRules, sends: Sequence[tuple[int, timedelta]]) -> list[Stage]:
    """Return the stages that admit a send, with the tries of its session, or say why not.

    :param sends: the limits that this send is under.
    """
    now = "$ask.now"
    # Past the end of the list there is nothing, and adding to nothing gives null, which $max skips.
    free_at = [_later({"$arrayElemAt": ["$sends", n - 1]}, window) for n, window in sends]
    left = {"$subtract": [_bound(rules), {"$add": ["$failures", {"$sum": "$open.tries"}]}]}
    no_tries = {
        "$and": [
            {"$gt": ["$ask.tries", 0]},
            {"$or": [{"$lt": ["$left", 1]}, {"$gte": [{"$size": "$open"}, _MOST_OPEN]}]},
        ]
    }
    event = switch(
        ({"$gte": ["$failures", _bound(rules)]}, Event.DISABLED.value),
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
        *_read(),
        {"$set": {"limitedUntil": {"$max": free_at} if free_at else None, "left": left}},
        {"$set": {"event": event}},
        {"$set": {"retryAt": retry_at, "granted": {"$min": ["$ask.tries", "$left"]}}},
        {"$set": _admitted(rules, is_counted=bool(sends))},
        {"$set": {"expireAt": _expire_at(rules)}},
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
                {"$gt": [reserved, _bound(rules) // 2]},
                {"$gte": [{"$size": "$open"}, _MOST_OPEN // 2]},
            ]
        },
    }
    if is_counted:
        most = max(n for n, _ in rules.sends)
        newest = {"$slice": [{"$concatArrays": [["$ask.now"], "$sends"]}, most]}
        fields["sends"] = {"$cond": [is_sent, newest, "$sends"]}
    return fields


def _fail(rules: AccountRules) -> list[Stage]:
    """Return the stages that move one try of a session from reserved to failed.

    A failure that was judged before the right code that cleared the account last is not counted,
    whichever of the two arrives here first.
    """
    counts = {"$not": [{"$lt": ["$ask.judgedAt", "$clearedAt"]}]}
    one_less = {"$max": [0, {"$subtract": ["$$this.tries", 1]}]}
    tries = {"$cond": [{"$eq": ["$$this.session", "$ask.session"]}, one_less, "$$this.tries"]}
    moved = {"$map": {"input": "$open", "in": {"$mergeObjects": ["$$this", {"tries": tries}]}}}
    recent = where("$failedAt", {"$gt": ["$$this", _earlier("$ask.judgedAt", _FAILED_AT_KEPT)]})
    failed_at = {"$slice": [{"$concatArrays": [["$ask.judgedAt"], recent]}, _MOST_FAILED_AT]}
    over = {"$subtract": ["$failures", rules.lockout_threshold or 0]}
    begins = rules.lockout_threshold is not None and {
        "$and": [{"$gte": [over, 0]}, {"$eq": [{"$mod": [over, rules.step]}, 0]}]
    }
    event = switch(
        ({"$not": ["$counts"]}, Event.FAILED.value),
        ({"$gte": ["$failures", _bound(rules)]}, Event.DISABLED.value),
        (begins, Event.WAITING.value),
        default=Event.FAILED.value,
    )
    is_waiting = {"$eq": ["$event", Event.WAITING.value]}
    until = {"$add": ["$ask.now", _wait({"$divide": [over, rules.step]})]}
    return [
        *_read(),
        {"$set": {"counts": counts, "open": where(moved, {"$gt": ["$$this.tries", 0]})}},
        {
            "$set": {
                "failures": {
                    "$cond": [
                        "$counts",
                        {"$min": [DAMAGED, {"$add": ["$failures", 1]}]},
                        "$failures",
                    ]
                },
                "failedAt": {"$cond": ["$counts", failed_at, "$failedAt"]},
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
        {"$set": {"expireAt": _expire_at(rules)}},
        {"$unset": ["ask", "counts", "retryAt"]},
    ]


def _wait(doublings: Expression) -> Expression:
    """Return the milliseconds of a wait that doubles from the first to the longest."""
    most = (LONGEST_WAIT // FIRST_WAIT).bit_length()  # keeps the power small
    wait = {"$multiply": [_milliseconds(FIRST_WAIT), {"$pow": [2, {"$min": [doublings, most]}]}]}
    return {"$min": [_milliseconds(LONGEST_WAIT), wait]}


def _settle(rules: AccountRules) -> list[Stage]:
    """Return the stages that a right code runs: failures judged before it are forgotten.

    The tries of its session are given back. What was judged at the same moment or later still
    counts, so that no wrong code is lost in a race.
    """
    after = where("$failedAt", {"$gte": ["$$this", "$ask.judgedAt"]})
    is_damaged = {"$gte": ["$failures", DAMAGED]}
    is_over = {"$lt": ["$failures", rules.lockout_threshold or 1]}
    return [
        *_read(),
        {
            "$set": {
                "failures": {"$cond": [is_damaged, DAMAGED, {"$size": after}]},
                "failedAt": after,
                "clearedAt": {"$max": ["$clearedAt", "$ask.judgedAt"]},
                "open": where("$open", {"$ne": ["$$this.session", "$ask.session"]}),
            }
        },
        {
            "$set": {
                "lockedUntil": {
                    "$cond": [is_over, "$$REMOVE", {"$ifNull": ["$lockedUntil", "$$REMOVE"]}]
                }
            }
        },
        {"$set": {"expireAt": _expire_at(rules)}},
        {"$unset": ["ask", "event", "retryAt"]},
    ]


def _give_back() -> list[Stage]:
    """Return the stages that take one send back, with the tries of its session."""
    sends = {"$cond": [{"$isArray": ["$sends"]}, "$sends", []]}
    others = where({"$range": [0, {"$size": sends}]}, {"$ne": ["$$this", "$place"]})
    kept = {"$map": {"input": others, "in": {"$arrayElemAt": [sends, "$$this"]}}}
    reservations = where("$open", {"$ne": ["$$this.session", "$ask.session"]})
    return [
        {"$set": {"place": {"$indexOfArray": [sends, "$ask.now"]}}},
        {
            "$set": {
                "sends": {"$cond": [{"$isArray": ["$sends"]}, kept, "$sends"]},
                "open": {"$cond": [{"$isArray": ["$open"]}, reservations, "$open"]},
            }
        },
        {"$unset": ["ask", "place"]},
    ]


def _unlock() -> list[Stage]:
    """Return the stages that forget failures and sends, and keep what open sessions reserved."""
    return [
        {"$set": {"sound": _is_sound()}},
        {
            "$set": {
                "open": {"$cond": ["$sound", {"$ifNull": ["$open", []]}, []]},
                "clearedAt": "$$NOW",
                "failures": 0,
                "sends": [],
                "failedAt": [],
                "expireAt": _later("$ask.now", _LONGEST_RESERVATION),
            }
        },
        {"$unset": ["ask", "sound", "lockedUntil", "event", "retryAt"]},
    ]
