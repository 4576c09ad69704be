"""Commands about one person: an identifier, or the user of the application with its logins."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import click

from .. import codes, flow, identifiers
from ..clock import utc_now
from ..exceptions import ConfigurationError
from ..redaction import describe, short
from ..state import AppState
from ..store.account import AccountRecord
from ..types import Session
from ..wording import number_of
from .output import (
    command,
    current_state,
    json_option,
    method_of,
    method_option,
    print_json,
    print_table,
    reaching_database,
    reveal_option,
)

_NEWEST = 20


@command("sessions")
@click.argument("identifier")
@method_option
@click.option(
    "--last",
    default=_NEWEST,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many sessions to show.",
)
@reveal_option
@json_option
def sessions(identifier: str, method: str | None, last: int, reveal: bool, as_json: bool) -> None:
    """Show what is stored about IDENTIFIER.

    That is its account, its trusted devices and its newest sessions.
    """
    state = current_state()
    normalised, account = flow.identify(state, identifier, method_of(identifier, method))
    with reaching_database(state):
        records = state.accounts.find(account, utc_now())
        found = state.sessions.of_identifier(normalised, last)
    accounts = [_account(record, state, reveal) for record in records]
    rows = [_session(session, reveal) for session in found]
    if as_json:
        print_json({"identifier": normalised, "accounts": accounts, "sessions": rows})
        return
    click.echo(f"Identifier: {normalised}\n")
    _print("Account and devices", accounts, "Nothing is known of this account.")
    click.echo()
    _print("Sessions", rows, "There are no sessions of this identifier.")


def _account(record: AccountRecord, state: AppState, reveal: bool) -> dict[str, Any]:
    device = record.account.device
    is_disabled = record.failures >= state.accounts.rules.bound
    lock = "disabled" if is_disabled else "waiting" if record.locked_until else "open"
    return {
        "device": device and (device if reveal else f"{device[:8]}..."),
        "state": "damaged, so disabled" if record.is_damaged else lock,
        "failures": None if record.is_damaged else record.failures,
        "lockedUntil": record.locked_until,
        "sends": len(record.sends),
        "lastSend": record.sends[0] if record.sends else None,
        "reservedTries": record.reserved_tries,
    }


def _session(session: Session, reveal: bool) -> dict[str, Any]:
    return {
        "session": session.session_id if reveal else short(session.session_id),
        "purpose": session.purpose or "login",
        "method": session.method,
        "status": session.at(utc_now()).status,
        "attempts": session.attempts,
        "maxAttempts": session.max_attempts,
        "resends": session.resends,
        "createdAt": session.created_at,
        "expiresAt": session.expires_at,
        "verifiedAt": session.verified_at,
    }


def _print(title: str, rows: Sequence[dict[str, Any]], nothing: str) -> None:
    if not rows:
        click.echo(nothing)
        return
    click.echo(f"{title}:")
    print_table([_heading(name) for name in rows[0]], [list(row.values()) for row in rows])


def _heading(name: str) -> str:
    """Return the name of a member of the JSON as words: ``lockedUntil`` as ``locked until``."""
    return re.sub("[A-Z]", lambda letter: f" {letter[0].lower()}", name)


@command("unlock")
@click.argument("identifier")
@method_option
@json_option
def unlock(identifier: str, method: str | None, as_json: bool) -> None:
    """Clear the failures, locks and sends of IDENTIFIER.

    Those of its trusted devices are cleared as well. It can then get new codes again. Sessions that
    are locked stay locked.
    """
    unlocked = flow.unlock(current_state(), identifier, method_of(identifier, method))
    if as_json:
        print_json({"unlocked": unlocked})
    elif unlocked:
        click.echo("Unlocked: its failures, locks and sends have been cleared.")
    else:
        click.echo("There was nothing to unlock: it has no failures, locks or sends.")


@command("send-test")
@click.argument("identifier")
@method_option
@json_option
def send_test(identifier: str, method: str | None, as_json: bool) -> None:
    """Pass a test code for IDENTIFIER to the sender.

    The code cannot be used to sign in. No session is created, and no limit counts the code. The
    exit code is 1 if the sender does not accept it.
    """
    state = current_state()
    state.handlers.require()
    how = method_of(identifier, method)
    if how not in state.settings.methods:
        raise ConfigurationError("OTP_AUTH_METHODS", f"does not have {how!r}, so none is ever sent")
    normalised = identifiers.normalise(identifier, how, state.settings.default_region)
    code = codes.draw(state.settings.code_length)
    begin, fault = time.monotonic(), None
    try:
        if not state.handlers.send_code(code, normalised, how, None):
            fault = "send_code_handler did not return a true value"
    except ConfigurationError as error:
        fault = str(error)
    except Exception as error:
        fault = describe(error, code, normalised)
    seconds = round(time.monotonic() - begin, 3)
    if as_json:
        print_json({"sent": fault is None, "seconds": seconds, "error": fault})
    elif fault is None:
        click.echo(
            f"The sender accepted a code for {normalised} by {how} in {seconds} s. Did it arrive?"
        )
    else:
        click.echo(f"The sender did not accept the code:\n{fault}", err=True)
    if fault is not None:
        click.get_current_context().exit(1)


@command("forget-devices")
@click.argument("identifier")
@method_option
@json_option
def forget_devices(identifier: str, method: str | None, as_json: bool) -> None:
    """Forget all trusted devices of IDENTIFIER.

    Its next code can then be asked for and typed only under the limits of the account.
    """
    forgotten = flow.forget_devices(current_state(), identifier, method_of(identifier, method))
    if as_json:
        print_json({"forgotten": forgotten})
    else:
        click.echo(f"Forgotten: {number_of(forgotten, 'device')}.")


@command("export")
@click.argument("identifier")
@method_option
@json_option
def export(identifier: str, method: str | None, as_json: bool) -> None:  # noqa: ARG001
    """Print all that is stored about IDENTIFIER, as JSON with or without --json."""
    print_json(flow.export(current_state(), identifier, method_of(identifier, method)))


@command("erase")
@click.argument("identifier")
@method_option
@json_option
def erase(identifier: str, method: str | None, as_json: bool) -> None:
    """Delete the sessions of IDENTIFIER.

    The counts of its account stay until they lapse, under a digest, so that erasing gives nobody
    more guesses.
    """
    erased = flow.erase(current_state(), identifier, method_of(identifier, method))
    if as_json:
        print_json({"sessions": erased})
    else:
        click.echo(f"Deleted: {number_of(erased, 'session')}.")


@command("logins")
@click.argument("user")
@reveal_option
@json_option
def logins(user: str, reveal: bool, as_json: bool) -> None:
    """Show the logins of USER that can be refreshed, newest first.

    USER is the user's id, as it is the subject of the tokens.
    """
    found = flow.logins_of(current_state(), user)
    rows = [
        {
            "login": login.id if reveal else short(login.id),
            "method": login.method,
            "startedAt": login.started_at,
            "refreshedAt": login.refreshed_at,
            "expiresAt": login.expires_at,
        }
        for login in found
    ]
    if as_json:
        print_json({"logins": rows})
    elif rows:
        headings = ["login", "method", "started at", "refreshed at", "expires at"]
        print_table(headings, [list(row.values()) for row in rows])
    else:
        click.echo("There are no logins of this user that can be refreshed.")


@command("end-logins")
@click.argument("user")
@json_option
def end_logins(user: str, as_json: bool) -> None:
    """End all logins of USER, and refuse every access token made for them before.

    USER is the user's id, as it is the subject of the tokens.
    """
    ended = flow.end_logins(current_state(), user)
    if as_json:
        print_json({"ended": ended})
    else:
        click.echo(
            f"Ended: {number_of(ended, 'login')} that could be refreshed, and every access token."
        )
