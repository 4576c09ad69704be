"""``flask otp``: checking, inspecting and repairing an installation from the command line."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import AppGroup

from ..openapi import as_text, describe
from .account import send_test, sessions, unlock
from .checklist import check
from .checklist.deployment import remember_debug
from .maintenance import create_indexes, purge, stats
from .output import current_app_object
from .risk_report import risk

otp = AppGroup(
    "otp",
    help="Check, inspect and repair the login with one-time codes.",
    short_help="Check, inspect and repair the login with one-time codes.",
)
for command in (check, risk, create_indexes, sessions, unlock, purge, send_test, stats):
    otp.add_command(command)


@otp.command()
def openapi() -> None:
    """Print the OpenAPI description of the endpoints as JSON."""
    click.echo(as_text(describe(current_app_object())), nl=False)


def register(app: Flask) -> None:
    """Add ``flask otp`` to the command line of *app*, unless it has a command of that name."""
    remember_debug(app)
    if app.cli.commands.get(otp.name or "") is None:
        app.cli.add_command(otp)
