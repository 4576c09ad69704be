"""The points about the database: whether it can be reached, its clock, and its indexes."""

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

# A reservation outlasts its session by 30 s to allow for clocks that differ.
_LARGE_DIFFERENCE = timedelta(seconds=10)
_SMALL_DIFFERENCE = timedelta(seconds=1)
_MAKE = "Run: flask otp create-indexes"


def mongodb(_: Flask, state: AppState) -> Iterator[Point]:
    """Check that the database answers, that its clock is right, and that the indexes exist."""
    try:
        with reaching_database(state):
            before = utc_now()
            hello = state.database.command("hello")
            after = utc_now()
    except OtpAuthError:
        yield failed(
            "database",
            f"it did not answer within {state.settings.db_timeout:g} s",
            "Make sure that MongoDB is up, that MONGO_URI is correct, and that its user may "
            "read the database.",
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
    """Check the difference between the clocks of the database and of this machine.

    :param theirs: the UTC time of the database.
    :param ours: the UTC time of this machine at the same moment.
    """
    difference = abs(theirs - ours)
    why = f"the clock of the database differs from ours by {difference.total_seconds():.1f} s"
    what_to_do = "Use NTP to set the clocks of all machines."
    if difference > _LARGE_DIFFERENCE:
        return failed("clock", why, what_to_do)
    if difference > _SMALL_DIFFERENCE:
        return warned("clock", why, what_to_do)
    return passed("clock", why)


def indexes(state: AppState) -> Iterator[Point]:
    """Check the indexes that delete old documents and find the sessions of an identifier."""
    sessions = indexes_of(state.sessions.collection)
    keep = state.settings.keep_sessions
    retention = sessions.get((("createdAt", 1),))
    if retention is None:
        yield failed("retention", "no index deletes old sessions", _MAKE)
    elif retention != keep:
        yield failed(
            "retention",
            f"sessions are deleted after {retention} s, but OTP_AUTH_KEEP_SESSIONS is {keep}",
            _MAKE,
        )
    else:
        yield passed("retention", f"sessions are deleted after {keep} s")
    if (("identifier", 1), ("createdAt", -1)) in sessions:
        yield passed("index of identifiers", "it exists")
    else:
        yield failed(
            "index of identifiers",
            "it is missing, so 'flask otp sessions' reads all sessions",
            _MAKE,
        )
    if indexes_of(state.logins.collection).get((("expireAt", 1),)) == 0:
        yield passed("index of logins", "logins that have ended are deleted")
    else:
        yield failed("index of logins", "no index deletes logins that have ended", _MAKE)
    if indexes_of(state.accounts.collection).get((("expireAt", 1),)) == 0:
        yield passed("index of accounts", "accounts that are no longer needed are deleted")
    else:
        yield failed("index of accounts", "no index deletes accounts that are not needed", _MAKE)


POINTS: tuple[Callable[[Flask, AppState], Iterator[Point]], ...] = (mongodb,)
