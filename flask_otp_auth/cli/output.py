"""What the commands share: options, the application's state, error messages, tables and JSON."""

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
from ..state import AppState, state_of
from ..store.database import database_calls
from ..types import METHODS, Method

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
reveal_option = click.option(
    "--reveal", is_flag=True, help="Print identifiers and session ids in full."
)
method_option = click.option(
    "--method",
    type=click.Choice(METHODS),
    help="How codes are sent. The default is email if IDENTIFIER contains an @, or else sms.",
)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Turn a function into a command that runs in an application context.

    The exit code is 1 if it raises an error of this package, whose text is then printed, and 2 if
    its arguments are wrong.

    :param name: the name of the command.
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
    """Return the text of an error for the person at the terminal."""
    reason = "\n".join(getattr(error, "__notes__", ()))
    if isinstance(error, ServiceUnavailable) and "no answer" in reason:
        return "MongoDB did not answer in time. Is it up, and reachable at MONGO_URI?"
    return reason or str(error)


def current_app_object() -> Flask:
    """Return the current application itself rather than its proxy."""
    return cast(Flask, current_app._get_current_object())  # type: ignore[attr-defined]


def current_state() -> AppState:
    """Return the state of the extension on the current application."""
    return state_of(current_app)


@contextmanager
def reaching_database(state: AppState) -> Iterator[None]:
    """Give the database calls inside, taken together, the time limit of a request."""
    with database_calls(state.settings.db_timeout):
        yield


def method_of(identifier: str, method: str | None) -> Method:
    """Return the given method, or else the one that the identifier suggests."""
    if method is not None:
        return cast(Method, method)
    return "email" if "@" in identifier else "sms"


def print_json(value: Any) -> None:
    """Print *value* as JSON."""
    click.echo(json.dumps(value, indent=2, default=json_form))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their headings, in aligned columns."""
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
