"""The cookie with which a browser shows that it is a trusted device."""

from __future__ import annotations

from flask import Response, current_app, request

from ..state import AppState

NAME = "otp_device"
# A browser sends two of one name if a subdomain has set one; more are not from a browser.
_COOKIES_MAX = 4


def device_tokens(member: object) -> list[object]:
    """Return everything that the current request presents as a device token, unchecked.

    :param member: the ``deviceToken`` of the body, or ``None`` if it has none.
    """
    found: list[object] = [*request.cookies.getlist(NAME)[:_COOKIES_MAX]]
    return found if member is None else [*found, member]


def set_device_cookie(response: Response, token: str, state: AppState) -> None:
    """Set the token as a cookie for the endpoints only, which scripts cannot read."""
    response.set_cookie(
        NAME,
        token,
        max_age=state.settings.trusted_devices,
        path=(request.script_root + state.settings.url_prefix) or "/",
        secure=current_app.config["JWT_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
