"""``flask otp check``: compares configuration and database with the production checklist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click
from flask import Flask

from ...state import AppState
from ..output import command, current_app_object, current_state, json_option, print_json
from . import configuration, database, deployment, protection
from .point import Point, Status

_COLOURS = {Status.PASS: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def points(app: Flask, state: AppState) -> Iterator[Point]:
    """Check every point of the checklist, in the order in which they are printed."""
    for part in (configuration, protection, deployment, database):
        for look in part.POINTS:
            yield from look(app, state)


@command("check")
@json_option
def check(as_json: bool) -> None:
    """Check this installation against the production checklist.

    Each point says what was found and, if necessary, what to do. The exit code is 1 if a point
    fails. Warnings do not affect it.
    """
    found = []
    for point in points(current_app_object(), current_state()):
        found.append(point)
        if not as_json:
            _print(point)
    passed = all(point.status is not Status.FAIL for point in found)
    if as_json:
        print_json({"passed": passed, "points": [asdict(point) for point in found]})
    else:
        counts = {status: sum(point.status is status for point in found) for status in Status}
        warnings = counts[Status.WARN]
        click.echo(
            f"\n{counts[Status.PASS]} passed, {warnings} warning{'s' if warnings != 1 else ''}, "
            f"{counts[Status.FAIL]} failed"
        )
    if not passed:
        click.get_current_context().exit(1)


def _print(point: Point) -> None:
    status = click.style(point.status.upper(), fg=_COLOURS[point.status])
    click.echo(f"{status}  {point.name}: {point.why}")
    if point.what_to_do:
        click.echo(f"      {point.what_to_do}")
