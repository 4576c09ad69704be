"""Findings: every weakness of a configuration, in a sentence and with what to do about it.

The start of an application warns of them, and ``flask otp check`` prints them, in the same words.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

from flask import Flask

from ..exceptions import SecurityWarning
from ..state import AppState
from . import deployment, limits, options, tokens
from .finding import Finding as Finding
from .finding import Severity as Severity
from .finding import When

_log = logging.getLogger("flask_otp_auth")
_PACKAGE = __name__.partition(".")[0]


def look(app: Flask, state: AppState) -> Iterator[Finding]:
    """Return what can be found without using the database or a provider.

    :param app: the application.
    :param state: what the extension keeps for it.
    :returns: a finding for each point, those that are in order as well.
    """
    for part in (tokens, options, limits, deployment):
        for point in part.POINTS:
            yield from point(app, state)


def announce(app: Flask, findings: Iterable[Finding]) -> None:
    """Issue a SecurityWarning, or write a line into the log, for each weakness among *findings*.

    Most are not said while *app* is in testing or debug mode.
    """
    in_production = not (app.testing or app.debug)
    for finding in findings:
        if finding.severity is Severity.PASS:
            continue
        if finding.is_logged:
            _log.warning("configuration: %s", finding.text)
        elif in_production or finding.in_development:
            _warn(finding.text)


def announce_at_start(app: Flask, state: AppState) -> Callable[[], None]:
    """Warn of the weaknesses that can be seen in ``init_app``.

    :returns: a function that does so again, for those that can be seen only once the application
        is complete. It is to be called before each request, and does something on the first.
    """
    said: set[str] = set()
    announce(app, _new(look(app, state), {When.START}, said))
    is_pending = [True]

    def before_request() -> None:
        if not is_pending:
            return
        is_pending.clear()
        for finding in _new(look(app, state), {When.START, When.REQUEST}, said):
            try:
                announce(app, [finding])
            except SecurityWarning as warning:
                # Warnings may be errors; the person who sent the request is not to blame.
                _log.warning("configuration: %s", warning)

    return before_request


def _new(findings: Iterable[Finding], when: set[When], said: set[str]) -> list[Finding]:
    new = [found for found in findings if found.when in when and found.text not in said]
    said.update(finding.text for finding in new)
    return new


def _warn(message: str) -> None:
    """Issue a SecurityWarning that points at the first line outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, SecurityWarning, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE
