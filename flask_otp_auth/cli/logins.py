"""Commands about one user of the application: ``logins`` and ``end-logins``."""

from __future__ import annotations

import click

from .. import flow
from ..redaction import short
from ..wording import number_of
from .output import command, current_state, json_option, print_json, print_table, reveal_option


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
