"""Issuing SecurityWarnings, which point at the line of the application that caused them."""

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
    """Issue a SecurityWarning that points at the first line outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, SecurityWarning, stacklevel=level)


def warn_in_production(app: Flask, message: str) -> None:
    """Issue a SecurityWarning, unless *app* is in testing or debug mode."""
    if not (app.testing or app.debug):
        warn(message)
