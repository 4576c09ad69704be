"""Exempting the endpoints from the CSRF check with which Flask-WTF protects forms."""

from __future__ import annotations

import sys
from typing import Any

from flask import current_app
from flask_jwt_extended.config import config

# The forms of the login page are taken from the page alone, by their origin.
_CHECKED_OTHERWISE = ("initiate", "resend", "verify", "login_form")
_BY_TOKEN = ("refresh", "logout")


def exempt_json_endpoints(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Exempt the endpoint of a request from the CSRFProtect of the application, if there is one.

    A page of another origin can make a browser send a form, but not JSON, for which the browser
    first asks the server (preflight) and gets no permission. Besides, the JSON endpoints do not act
    for a user who is signed in. As a URL value preprocessor, this runs before every
    ``before_request`` hook, whichever of the two extensions was initialised first.

    :param endpoint: the name of the endpoint, or ``None`` if no route matches.
    """
    protect = current_app.extensions.get("csrf")
    flask_wtf = sys.modules.get("flask_wtf.csrf")
    if protect is None or flask_wtf is None or endpoint is None:
        return
    name = endpoint.rpartition(".")[2]
    # Flask-JWT-Extended has its own CSRF protection for tokens in cookies.
    by_token = config.cookie_csrf_protect and "POST" in config.csrf_request_methods
    exempt = name in _CHECKED_OTHERWISE or (name in _BY_TOKEN and by_token)
    if exempt and isinstance(protect, flask_wtf.CSRFProtect):
        protect.exempt(current_app.view_functions[endpoint])
