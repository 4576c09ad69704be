"""SecurityWarnings, which point at the line of the host that they are about."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from flask import Flask

from .exceptions import SecurityWarning

_PACKAGE = __name__.partition(".")[0]


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE


def warn(message: str) -> None:
    """Give a SecurityWarning that points at the host's line."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, SecurityWarning, stacklevel=level)


def warn_in_production(app: Flask, message: str) -> None:
    """Give a SecurityWarning, unless the app is being tested or debugged."""
    if not (app.testing or app.debug):
        warn(message)
