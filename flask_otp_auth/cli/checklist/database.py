"""The points about the database: reachable, with its indexes, and with the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from flask import Flask

from ...clock import utc_now
from ...exceptions import OtpAuthError
from ...state import AppState
from ...store.upkeep import indexes_of
from ..output import reaching_database
from .point import Point, failed, passed, warned

# A reservation outlives its session by 30 s for clocks that differ; more could undo it.
_LARGE_DIFFERENCE = timedelta(seconds=10)
_SMALL_DIFFERENCE = timedelta(seconds=1)
_MAKE = "Run: flask otp create-indexes"


def mongodb(_: Flask, state: AppState) -> Iterator[Point]:
    """See that the database answers, has our time, and has its indexes."""
    try:
        with reaching_database(state):
            before = utc_now()
            hello = state.database.command("hello")
            after = utc_now()
    except OtpAuthError:
        yield failed(
            "database",
            f"it does not answer within {state.settings.db_timeout:g} s",
            "See that MongoDB is up, that MONGO_URI is right, and that its user may read it.",
        )
        return
    kind = "replica set" if "setName" in hello else "cluster" if _is_mongos(hello) else "server"
    yield passed("database", f"a {kind} answers")
    yield clock(hello["localTime"].replace(tzinfo=UTC), before + (after - before) / 2)
    try:
        with reaching_database(state):
            yield from indexes(state)
    except OtpAuthError:
        yield failed(
            "indexes", "they cannot be listed", "Give the database user the role readWrite."
        )


def _is_mongos(hello: dict[str, object]) -> bool:
    return hello.get("msg") == "isdbgrid"


def clock(theirs: datetime, ours: datetime) -> Point:
    """Judge the difference between the clocks of the database and of this machine."""
    difference = abs(theirs - ours)
    seconds = f"{difference.total_seconds():.1f} s"
    what_to_do = "Let NTP set the clocks of all machines."
    if difference > _LARGE_DIFFERENCE:
        return failed("clock", f"that of the database is {seconds} away from ours", what_to_do)
    if difference > _SMALL_DIFFERENCE:
        return warned("clock", f"that of the database is {seconds} away from ours", what_to_do)
    return passed("clock", f"that of the database is {seconds} away from ours")


def indexes(state: AppState) -> Iterator[Point]:
    """See that what is old is deleted, and that the sessions of an identifier are found."""
    sessions = indexes_of(state.sessions.collection)
    keep = state.settings.keep_sessions
    retention = sessions.get((("createdAt", 1),))
    if retention is None:
        yield failed("retention", "no index deletes old sessions", _MAKE)
    elif retention != keep:
        yield failed(
            "retention",
            f"sessions are deleted after {retention} s, and OTP_AUTH_KEEP_SESSIONS is {keep}",
            _MAKE,
        )
    else:
        yield passed("retention", f"sessions are deleted after {keep} s")
    if (("identifier", 1), ("createdAt", -1)) in sessions:
        yield passed("index of identifiers", "it is there")
    else:
        yield failed(
            "index of identifiers", "without it 'flask otp sessions' reads all sessions", _MAKE
        )
    if indexes_of(state.families.collection).get((("expireAt", 1),)) == 0:
        yield passed("index of logins", "logins that are over are deleted")
    else:
        yield failed("index of logins", "no index deletes logins that are over", _MAKE)
    if indexes_of(state.accounts.collection).get((("expireAt", 1),)) == 0:
        yield passed("index of accounts", "accounts that hold nothing any more are deleted")
    else:
        yield failed("index of accounts", "no index deletes accounts that have lapsed", _MAKE)


POINTS: tuple[Callable[[Flask, AppState], Iterator[Point]], ...] = (mongodb,)
