"""``flask otp check``: prints the findings, and tries the sender, the Limiter and the database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import click
import pymongo
from flask import Flask
from flask_limiter import Limiter

from .. import findings
from ..clock import utc_now
from ..exceptions import ConfigurationError, OtpAuthError
from ..findings.finding import Finding, Severity, failed, passed, warned
from ..findings.limits import LIMITS_OF_CLIENTS
from ..state import AppState
from ..store.upkeep import indexes_of
from .output import (
    command,
    current_app_object,
    current_state,
    in_words,
    json_option,
    print_json,
    reaching_database,
)

_COLOURS = {Severity.PASS: "green", Severity.WARN: "yellow", Severity.FAIL: "red"}
_CHECK_TIMEOUT = 15  # seconds
# A reservation outlasts its session by 30 s to allow for clocks that differ.
_LARGE_DIFFERENCE = timedelta(seconds=10)
_SMALL_DIFFERENCE = timedelta(seconds=1)
_MAKE = "Run: flask otp create-indexes"


@command("check")
@json_option
def check(as_json: bool) -> None:
    """Check this installation against the production checklist.

    Each point says what was found and, if necessary, what to do. The exit code is 1 if a point
    fails. Warnings do not affect it.
    """
    found = []
    for finding in _look(current_app_object(), current_state()):
        found.append(finding)
        if not as_json:
            _print(finding)
    count = {one: sum(finding.severity is one for finding in found) for one in Severity}
    warnings, is_ready = count[Severity.WARN], not count[Severity.FAIL]
    if as_json:
        points = [
            {
                "name": finding.name,
                "status": finding.severity,
                "why": finding.sentence,
                "what_to_do": finding.advice,
            }
            for finding in found
        ]
        print_json({"passed": is_ready, "points": points})
    else:
        click.echo(
            f"\n{count[Severity.PASS]} passed, {warnings} warning{'s' if warnings != 1 else ''}, "
            f"{count[Severity.FAIL]} failed"
        )
    if not is_ready:
        click.get_current_context().exit(1)


def _print(finding: Finding) -> None:
    status = click.style(finding.severity.upper(), fg=_COLOURS[finding.severity])
    click.echo(f"{status}  {finding.name}: {finding.sentence}")
    if finding.advice:
        click.echo(f"      {finding.advice}")


def _look(app: Flask, state: AppState) -> Iterator[Finding]:
    found = list(findings.look(app, state))
    yield from found
    weak = {finding.name for finding in found}
    if "sender" not in weak:
        yield from _sender(app, state)
    if LIMITS_OF_CLIENTS not in weak:
        yield from _clients(app, state)
    yield from _database(state)


def _sender(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that the sender works, as far as that is possible without sending a message."""
    check = state.handlers.sender_check
    if check is None:
        if "send_code_handler" not in state.handlers.missing():
            yield warned(
                "sender",
                "it has no check(), so it cannot be checked without sending a message",
                "Send one to yourself with 'flask otp send-test IDENTIFIER', or give the sender a "
                "method check(), which is called here.",
            )
        return
    fault = _fault_of(app, check)
    if fault is None:
        yield passed("sender", "its check() succeeded")
    else:
        yield failed(
            "sender",
            fault,
            "Make sure that its provider can be reached from here and accepts the credentials.",
        )


def _fault_of(app: Flask, check: Callable[[], object]) -> str | None:
    """Run the check of a sender, which may hang, and return what is wrong."""
    faults = [f"its check() did not end within {_CHECK_TIMEOUT} s"]

    def run() -> None:
        try:
            with app.app_context():
                is_open = check() is not False
        except ConfigurationError as error:
            faults[:] = [str(error)]
        except Exception as error:
            # The text of the error may contain the URL of a provider with its password.
            faults[:] = [f"its check() failed with {type(error).__name__}"]
        else:
            faults[:] = [] if is_open else ["its check() returned False"]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_CHECK_TIMEOUT)
    return next(iter(faults), None)


def _clients(app: Flask, state: AppState) -> Iterator[Finding]:
    """Check that clients are counted, across all processes."""
    limiter = state.limiter
    if limiter is None:
        return
    if limiter not in app.extensions.get("limiter", ()):
        yield failed(
            LIMITS_OF_CLIENTS,
            "the Limiter that was given to init_app has not been initialised, so requests fail",
            "Call limiter.init_app(app).",
        )
        return
    yield _storage(limiter, state.settings.db_timeout)


def _storage(limiter: Limiter, timeout: float) -> Finding:
    kind = type(limiter.storage).__name__
    try:
        with pymongo.timeout(timeout):  # other storages have timeouts of their own
            is_there = limiter.storage.check()
    except Exception:
        is_there = False
    if is_there:
        return passed(LIMITS_OF_CLIENTS, f"clients are counted in a shared storage ({kind})")
    return failed(
        LIMITS_OF_CLIENTS,
        f"their storage ({kind}) does not answer, so no code is sent",
        "Make sure that the storage is up and can be reached (RATELIMIT_STORAGE_URI, or else "
        "MONGO_URI).",
    )


def _database(state: AppState) -> Iterator[Finding]:
    """Check that the database answers and can be written to, its clock, and its indexes."""
    try:
        with reaching_database(state):
            before = utc_now()
            hello = state.database.command("hello")
            after = utc_now()
            state.sessions.collection.find_one({"_id": ""})
    except OtpAuthError as error:
        yield failed(
            "database",
            in_words(error).removeprefix("database: "),
            "Make sure that MongoDB runs, that MONGO_URI is right, and that its user exists.",
        )
        return
    kind = "replica set" if "setName" in hello else "server"
    yield passed("database", f"a {'cluster' if hello.get('msg') == 'isdbgrid' else kind} answers")
    yield clock(hello["localTime"].replace(tzinfo=UTC), before + (after - before) / 2)
    try:
        with reaching_database(state):
            # No session has an empty id, so nothing is changed.
            state.sessions.collection.update_one({"_id": ""}, {"$set": {"status": "expired"}})
    except OtpAuthError:
        yield failed(
            "writing",
            "the database user may read, but not write, so every request fails",
            "Give the database user the role readWrite.",
        )
    else:
        yield passed("writing", "the database user may write")
    try:
        with reaching_database(state):
            yield from _indexes(state)
    except OtpAuthError:
        yield failed(
            "indexes", "they cannot be listed", "Give the database user the role readWrite."
        )


def clock(theirs: datetime, ours: datetime) -> Finding:
    """Check the difference between the clocks of the database and of this machine.

    :param theirs: the UTC time of the database.
    :param ours: the UTC time of this machine at the same moment.
    """
    difference = abs(theirs - ours)
    why = f"the clock of the database differs from ours by {difference.total_seconds():.1f} s"
    advice = "Use NTP to set the clocks of all machines."
    if difference > _LARGE_DIFFERENCE:
        return failed("clock", why, advice)
    if difference > _SMALL_DIFFERENCE:
        return warned("clock", why, advice)
    return passed("clock", why)


def _indexes(state: AppState) -> Iterator[Finding]:
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
    for name, store in (("logins", state.logins), ("accounts", state.accounts)):
        if indexes_of(store.collection).get((("expireAt", 1),)) == 0:
            yield passed(f"index of {name}", f"{name} that are no longer needed are deleted")
        else:
            yield failed(
                f"index of {name}", f"no index deletes {name} that are no longer needed", _MAKE
            )
