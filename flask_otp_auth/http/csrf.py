"""Getting on with a host whose forms Flask-WTF protects: its check is not for JSON endpoints."""

from __future__ import annotations

import sys
from typing import Any

from flask import current_app
from flask_jwt_extended.config import config

_JSON_ONLY = ("initiate", "resend", "verify")
_BY_TOKEN = ("refresh", "logout")


def exempt_json_endpoints(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Exempt the endpoint of a request from the app-wide CSRFProtect, if the app has one.

    A page of another origin can make a browser send a form, and JSON only after a preflight that
    nobody answers; and these endpoints act on no cookie. Called as a URL value preprocessor, it
    runs before every ``before_request`` hook, whichever of the two extensions came first.
    """
    protect = current_app.extensions.get("csrf")
    flask_wtf = sys.modules.get("flask_wtf.csrf")
    if protect is None or flask_wtf is None or endpoint is None:
        return
    name = endpoint.rpartition(".")[2]
    # The cookies of tokens have the CSRF protection of Flask-JWT-Extended.
    exempt = name in _JSON_ONLY or (name in _BY_TOKEN and config.cookie_csrf_protect)
    if exempt and isinstance(protect, flask_wtf.CSRFProtect):
        protect.exempt(current_app.view_functions[endpoint])
