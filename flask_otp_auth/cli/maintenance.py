"""Commands about the installation: ``create-indexes``, ``purge``, ``stats`` and ``openapi``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import click
from pymongo.errors import PyMongoError

from ..clock import utc_now
from ..exceptions import InternalError
from ..openapi import as_text, describe
from ..state import AppState
from ..store import upkeep
from ..store.database import refusal
from ..store.limiter_storage import HostMongoStorage
from .output import (
    command,
    current_app_object,
    current_state,
    json_option,
    print_json,
    print_table,
    reaching_database,
)

_BATCH = 1000
_LOOK_EVERY = 1.0  # seconds


@command("create-indexes")
@json_option
def create_indexes(as_json: bool) -> None:
    """Create the indexes and wait until they are ready.

    Without this command they are created during the first requests. It also makes MongoDB delete
    sessions after the present OTP_AUTH_KEEP_SESSIONS. Run it before a new version goes live. It
    does nothing if all indexes exist.
    """
    state = current_state()
    with reaching_database(state):
        state.database.command("ping")
    works = {
        "sessions": state.sessions.create_indexes,
        "accounts": state.accounts.create_indexes,
        "logins": state.logins.create_indexes,
    }
    if state.limiter is not None and isinstance(state.limiter.storage, HostMongoStorage):
        works["clients"] = state.limiter.storage.create_indexes
    taken = {name: _with_progress(name, work, state) for name, work in works.items()}
    if as_json:
        print_json({"seconds": taken})
        return
    for name, seconds in taken.items():
        click.echo(f"Indexes of the {name}: ready after {seconds} s")


def _with_progress(name: str, work: Callable[[], None], state: AppState) -> float:
    """Run *work* in a thread, report its progress on stderr, and return the seconds it took."""
    begin = time.monotonic()
    errors: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_LOOK_EVERY)
    while thread.is_alive():
        click.echo(f"Making the indexes of the {name}{_progress(state)}", err=True)
        thread.join(_LOOK_EVERY)
    if errors and isinstance(errors[0], PyMongoError):
        # The details of the error may contain a document.
        code = getattr(errors[0], "code", None)
        what = f"{type(errors[0]).__name__} {code}"
        raise InternalError(
            f"The indexes of the {name} cannot be made ({what}): {refusal(errors[0])}"
        )
    if errors:
        raise errors[0]
    return round(time.monotonic() - begin, 3)


def _progress(state: AppState) -> str:
    """Return the progress of the index builds, as far as the server reports it."""
    own = {"$currentOp": {"allUsers": False, "localOps": False}}
    building = {"$match": {"command.createIndexes": {"$exists": True}}}
    try:
        with reaching_database(state):
            found = list(state.database.client.admin.aggregate([own, building]))
    except InternalError:
        return " ..."
    return progress_of([operation.get("progress") for operation in found])


def progress_of(builds: Sequence[Mapping[str, int] | None]) -> str:
    """Return the progress of index builds as text.

    :param builds: ``done`` and ``total`` of each build, where 0 means a total not known yet, or
        ``None`` for a build that reports no progress.
    """
    known = [build for build in builds if build and build["total"]]
    done = [f"{100 * build['done'] / build['total']:.0f} %" for build in known]
    return f": {', '.join(done)}" if done else " ..."


@command("purge")
@click.option(
    "--older-than",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="The age from which sessions are deleted. The default is OTP_AUTH_KEEP_SESSIONS.",
)
@json_option
def purge(older_than: int | None, as_json: bool) -> None:
    """Delete old sessions and unused accounts.

    Only sessions whose code has expired are deleted, and only accounts without recent sends that
    are not disabled and had their last wrong code 365 days ago. MongoDB does this by itself, once a
    minute. Run this to delete sessions earlier, or if the TTL monitor of the server is off.
    """
    state = current_state()
    now = utc_now()
    age = state.settings.keep_sessions if older_than is None else older_than
    before = now - timedelta(seconds=age)
    sessions = _in_batches(
        "sessions",
        state,
        lambda: upkeep.delete_ended_sessions(state.sessions.collection, before, now, _BATCH),
    )
    accounts = _in_batches(
        "accounts",
        state,
        lambda: upkeep.delete_lapsed_accounts(state.accounts.collection, now, _BATCH),
    )
    if as_json:
        print_json({"sessions": sessions, "accounts": accounts})
    else:
        click.echo(f"Deleted: {sessions} sessions, {accounts} accounts.")


def _in_batches(name: str, state: AppState, delete: Callable[[], int]) -> int:
    """Call *delete* until nothing is left, and report the progress on stderr."""
    deleted = 0
    while True:
        with reaching_database(state):
            batch = delete()
        deleted += batch
        if batch < _BATCH:
            return deleted
        click.echo(f"{deleted} {name} deleted", err=True)


@command("stats")
@click.option(
    "--hours",
    default=24,
    show_default=True,
    type=click.IntRange(1, 24 * 366),
    help="How many hours to look back.",
)
@json_option
def stats(hours: int, as_json: bool) -> None:
    """Count recent sessions, and accounts with failures."""
    state = current_state()
    now = utc_now()
    with reaching_database(state):
        since = now - timedelta(hours=hours)
        sessions = upkeep.count_sessions(state.sessions.collection, since, now)
        accounts = upkeep.count_accounts(state.accounts.collection, state.accounts.rules, now)
    if as_json:
        print_json({"hours": hours, "sessions": sessions, "accounts": accounts})
        return
    click.echo(f"Sessions of the last {hours} hours:")
    headings = ["method", "status", "sessions", "failures", "resends"]
    print_table(headings, [[row[name] for name in headings] for row in sessions])
    click.echo("\nAccounts:")
    print_table(["with failures in a row", "waiting", "disabled"], [list(accounts.values())])


@command("openapi")
def openapi() -> None:
    """Print the OpenAPI description of the endpoints as JSON."""
    click.echo(as_text(describe(current_app_object())), nl=False)
