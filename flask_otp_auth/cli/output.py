"""What the commands share: the state of the app, errors in words, tables for people, JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, cast

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from ..exceptions import OtpAuthError, ServiceUnavailable
from ..http.json_text import json_form
from ..state import AppState
from ..store.database import database_calls
from ..types import Method

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
reveal_option = click.option(
    "--reveal", is_flag=True, help="Print identifiers and session ids in full."
)
method_option = click.option(
    "--method",
    type=click.Choice(["sms", "email"]),
    help="How codes are sent to it; without it an @ means email.",
)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command in the context of the app; an error of ours ends it in words.

    Its exit code is 1 if it failed, and 2 if it was called with wrong arguments.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except OtpAuthError as error:
                raise click.ClickException(in_words(error)) from None

        return click.command(name)(with_appcontext(run))

    return decorate


def in_words(error: OtpAuthError) -> str:
    """Return what an error means to the person at the terminal."""
    if isinstance(error, ServiceUnavailable):
        return "MongoDB did not answer in time. Is it up, and reachable under MONGO_URI?"
    return str(error)


def current_app_object() -> Flask:
    """Return the app itself, not the proxy of it."""
    return cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]


def current_state() -> AppState:
    """Return what the app has of the extension."""
    return cast(AppState, current_app.extensions["otp_auth"])


@contextmanager
def reaching_database(state: AppState) -> Iterator[None]:
    """Let the database calls inside take as long together as those of one request may."""
    with database_calls(state.settings.db_timeout):
        yield


def method_of(identifier: str, method: str | None) -> Method:
    """Return the method of an identifier that was typed."""
    if method is not None:
        return cast(Method, method)
    return "email" if "@" in identifier else "sms"


def print_json(value: Any) -> None:
    """Print *value* for programs."""
    click.echo(json.dumps(value, indent=2, default=json_form))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their headings, each column as wide as it has to be."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for row in [list(headings), ["-" * width for width in widths], *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return str(value)
