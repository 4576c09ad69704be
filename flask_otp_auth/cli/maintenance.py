"""Commands about all that is stored: ``create-indexes``, ``purge`` and ``stats``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta

import click
from flask_limiter import Limiter
from pymongo.errors import PyMongoError

from ..clock import utc_now
from ..exceptions import InternalError
from ..state import AppState
from ..store import upkeep
from ..store.client_limits import HostMongoStorage
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
    """Make the indexes now, however long that takes, and not at the first request.

    Sessions are then deleted after OTP_AUTH_KEEP_SESSIONS, whatever was set before. Run it before
    a new version goes live; it does nothing if all of them are there.
    """
    state = current_state()
    with reaching_database(state):
        state.database.command("ping")
    stores = {field.name: getattr(state, field.name) for field in fields(state)}
    works: dict[str, Callable[[], None]] = {
        name: store.create_indexes
        for name, store in stores.items()
        if hasattr(type(store), "create_indexes")
    }
    limiters: set[Limiter] = current_app_object().extensions.get("limiter", set())
    for limiter in limiters:
        if isinstance(limiter.storage, HostMongoStorage):
            works["clients"] = limiter.storage.create_indexes
    taken = {name: _with_progress(name, work, state) for name, work in works.items()}
    if as_json:
        print_json({"seconds": taken})
        return
    for name, seconds in taken.items():
        click.echo(f"The indexes of the {name} are there ({seconds} s).")


def _with_progress(name: str, work: Callable[[], None], state: AppState) -> float:
    """Do *work* in a thread and say on stderr how far it is; return its seconds."""
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
        # Its details may hold a document.
        code = getattr(errors[0], "code", None)
        raise InternalError(
            f"The indexes of the {name} cannot be made ({type(errors[0]).__name__} {code}). Does "
            "the database user have the roles readWrite and dbAdmin?"
        )
    if errors:
        raise errors[0]
    return round(time.monotonic() - begin, 3)


def _progress(state: AppState) -> str:
    """Return how far the server is with its builds, as far as it tells."""
    own = {"$currentOp": {"allUsers": False, "localOps": False}}
    building = {"$match": {"command.createIndexes": {"$exists": True}}}
    try:
        with reaching_database(state):
            found = list(state.database.client.admin.aggregate([own, building]))
    except InternalError:
        return " ..."
    return progress_of([operation.get("progress") for operation in found])


def progress_of(builds: Sequence[Mapping[str, int] | None]) -> str:
    """Return how much of the index builds is done, in words.

    :param builds: ``done`` and ``total`` of each build; a total of 0 is not known yet.
    """
    known = [build for build in builds if build and build["total"]]
    done = [f"{100 * build['done'] / build['total']:.0f} %" for build in known]
    return f": {', '.join(done)}" if done else " ..."


@command("purge")
@click.option(
    "--older-than",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Age of the sessions to delete; OTP_AUTH_KEEP_SESSIONS without it.",
)
@json_option
def purge(older_than: int | None, as_json: bool) -> None:
    """Delete old sessions that have ended, and accounts that hold nothing any more.

    MongoDB does that by itself, once a minute. Run this to delete sessions before
    OTP_AUTH_KEEP_SESSIONS is over, or where the server does not delete by age. Failures in a row
    and locks stay.
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
    """Call *delete* until nothing is left, and say on stderr how far it is."""
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
    "--hours", default=24, show_default=True, type=click.IntRange(1, 24 * 366), help="How far back."
)
@json_option
def stats(hours: int, as_json: bool) -> None:
    """Count the sessions of the last hours, and the accounts with failures and locks."""
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
