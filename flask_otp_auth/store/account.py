"""An account: its rules, its answers, and how every update reads and leaves its document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ..types import AccountId
from .expressions import Expression, Stage, has_type, is_list_of, later, where

#: The first wait after failures; each of the next is twice as long, up to the longest.
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(seconds=900)
#: The failures that a damaged document counts as: above every bound, so that it stays locked.
DAMAGED = 2**31 - 1
#: Failures that have not disabled an account are forgotten so long after the last of them.
FAILURES_LAPSE = timedelta(days=365)
#: A reservation that ends later than this comes from a server whose clock is ahead, and is ignored.
LONGEST_RESERVATION = timedelta(hours=2)
#: The longest time that a count is expected to take after its verdict, whatever the timeout.
LONGEST_COUNT = timedelta(minutes=30)
#: The open sessions that an account can have; only an application without limits can reach this.
MOST_OPEN = 1000
#: The trusted devices that an account can have; one more takes the place of the longest unused.
MOST_DEVICES = 10
#: A document is kept for this much longer than what it holds, since the clocks of servers differ.
SKEW = timedelta(minutes=1)


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

    @property
    def bound(self) -> int:
        """The number of consecutive failures at which an account is disabled."""
        return DAMAGED if self.disable_after is None else self.disable_after


@dataclass(frozen=True, slots=True)
class Reservation:
    """The attempts that a new session asks for.

    :param session_id: the id of the session.
    :param tries: how many attempts.
    :param expires_at: the UTC time at which the session expires.
    """

    session_id: str
    tries: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer of an account to a request for a code.

    :param account: the account, or the trusted device, whose document answered.
    :param event: ``SENT``, or why the request is refused.
    :param tries: the attempts granted to the session, at most as many as it asked for.
    :param retry_at: the UTC time from which a refused request may succeed, or ``None`` if waiting
        does not help.
    :param settle: whether a correct code has to update the account.
    :param limit: the index, in the limits on sends, of the one that lasts longest, or -1.
    """

    account: AccountId
    event: Event
    tries: int
    retry_at: datetime | None
    settle: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Failure:
    """What a wrong code did to its account.

    :param event: ``FAILED``, ``WAITING`` or ``DISABLED``.
    :param failures: consecutive wrong codes, including this one.
    :param open_sessions: the ids of the sessions that have attempts left.
    """

    event: Event
    failures: int
    open_sessions: Sequence[str]


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is stored of an account, or of one of its trusted devices.

    :param account: the account or the device.
    :param sends: the UTC times of the last sends, at most as many as a limit allows, newest first.
    :param failures: consecutive wrong codes.
    :param locked_until: the UTC time before which no new code is sent, or ``None``.
    :param reserved_tries: the attempts that open sessions have reserved.
    :param is_damaged: whether the document cannot be understood; it is then disabled.
    """

    account: AccountId
    sends: Sequence[datetime]
    failures: int
    locked_until: datetime | None
    reserved_tries: int
    is_damaged: bool


def is_sound() -> Expression:
    """Return the condition that every field has the type that the rules expect."""
    failures = {"$ifNull": ["$failures", 0]}
    # Only a number lies between two numbers.
    tries = {"$and": [{"$gte": ["$$this.tries", 0]}, {"$lte": ["$$this.tries", DAMAGED]}]}
    dates = ("$lockedUntil", "$clearedAt", "$lastFailureAt", "$usedAt", "$trustedUntil")
    return {
        "$and": [
            {"$gte": [failures, 0]},
            {"$lte": [failures, DAMAGED]},
            {"$ne": [{"$type": "$failures"}, "null"]},
            {"$setIsSubset": [[{"$type": field} for field in dates], ["missing", "date"]]},
            is_list_of("$sends", has_type("$$this", "date")),
            is_list_of("$failedAt", has_type("$$this", "date")),
            is_list_of("$open", {"$and": [has_type("$$this.until", "date"), tries]}),
        ]
    }


def read(rules: AccountRules) -> list[Stage]:
    """Return the stages with which every update begins, also that of a document that is missing.

    They remove what has expired. A send in the future comes from a server whose clock is ahead, and
    counts as now; a lock is cut to the longest wait. A damaged document becomes a disabled one.
    ``$$now`` is the UTC time of the request.
    """
    is_open = {
        "$and": [
            {"$gt": ["$$this.until", "$$now"]},
            {"$lt": ["$$this.until", later("$$now", LONGEST_RESERVATION)]},
        ]
    }
    is_waiting = {"$gt": ["$lockedUntil", "$$now"]}
    locked_until = {"$min": ["$lockedUntil", later("$$now", LONGEST_WAIT)]}
    stays = {"$gte": ["$failures", rules.bound]}
    is_recent = {"$gt": [later("$lastFailureAt", FAILURES_LAPSE), "$$now"]}
    has_no_time = has_type("$lastFailureAt", "missing")
    counts = {"$or": [has_no_time, is_recent, stays]}
    return [
        {"$replaceWith": {"$cond": [is_sound(), "$$ROOT", {"_id": "$_id", "failures": DAMAGED}]}},
        {
            "$set": {
                "failures": {"$cond": [counts, {"$ifNull": ["$failures", 0]}, 0]},
                "lastFailureAt": {
                    "$cond": [has_no_time, "$$REMOVE", {"$min": ["$lastFailureAt", "$$now"]}]
                },
                "sends": {
                    "$map": {
                        "input": {"$ifNull": ["$sends", []]},
                        "in": {"$min": ["$$this", "$$now"]},
                    }
                },
                "open": where({"$ifNull": ["$open", []]}, is_open),
                "lockedUntil": {"$cond": [is_waiting, locked_until, "$$REMOVE"]},
            }
        },
    ]


def written(rules: AccountRules, *scratch: str) -> list[Stage]:
    """Return the last stages of an update: when the TTL index may delete the document.

    That is never while it is disabled, or has failures without a time. A trusted device is of no
    use without its token, so its document does not outlive the token for its failures.

    :param scratch: fields that only the update itself needed.
    """
    longest = max((window for _, window in rules.sends), default=timedelta())
    last_failure = {"$cond": [{"$gt": ["$failures", 0]}, "$lastFailureAt", None]}
    held = [
        later({"$first": "$sends"}, longest),
        {"$max": "$open.until"},
        "$lockedUntil",
        later(last_failure, FAILURES_LAPSE),
        "$trustedUntil",
        "$$now",
    ]
    has_no_time = has_type("$lastFailureAt", "missing")
    stays = {
        "$and": [
            has_type("$trustedUntil", "missing"),
            {"$gt": ["$failures", 0]},
            {"$or": [{"$gte": ["$failures", rules.bound]}, has_no_time]},
        ]
    }
    expire_at = {"$cond": [stays, "$$REMOVE", later({"$max": held}, SKEW)]}
    return [{"$set": {"expireAt": expire_at, **dict.fromkeys(scratch, "$$REMOVE")}}]
