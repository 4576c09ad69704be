"""The debug mode that an application was configured with; ``flask`` replaces it by FLASK_DEBUG."""

from __future__ import annotations

from flask import Flask

_DEBUG = "otp_auth_debug"


def remember_debug(app: Flask) -> None:
    """Keep the debug mode of *app* as it is now."""
    app.extensions[_DEBUG] = app.debug


def configured_debug(app: Flask) -> bool:
    """Return the debug mode that was kept."""
    return bool(app.extensions[_DEBUG])
