"""``flask otp``: checking, inspecting and repairing an installation from the command line."""

from __future__ import annotations

from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup


class _OtpGroup(AppGroup):
    """The commands, which are imported only when ``flask otp`` is used and not by every worker."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_commands()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Any:
        self._add_commands()
        return super().get_command(ctx, cmd_name)

    def _add_commands(self) -> None:
        from . import account, maintenance
        from .check import check
        from .risk_report import risk

        for command in (
            *(check, risk),
            *(account.sessions, account.unlock, account.forget_devices, account.send_test),
            *(account.export, account.erase, account.logins, account.end_logins),
            *(maintenance.create_indexes, maintenance.purge, maintenance.stats),
            maintenance.openapi,
        ):
            self.commands.setdefault(str(command.name), command)


otp = _OtpGroup(
    "otp",
    help="Check, inspect and repair the login with one-time codes.",
    short_help="Check, inspect and repair the login with one-time codes.",
)


def register(app: Flask) -> None:
    """Add ``flask otp`` to the command line of *app*, unless it has a command of that name."""
    if app.cli.commands.get(otp.name or "") is None:
        app.cli.add_command(otp)
