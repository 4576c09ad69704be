"""The cookie by which a browser shows that it is a trusted device."""

from __future__ import annotations

from flask import Response, current_app, request

from ..state import AppState

NAME = "otp_device"
# A browser sends two of one name if a subdomain has set one; more are a client's own doing.
_COOKIES_MAX = 4


def device_tokens(member: object) -> list[object]:
    """Return what the current request brings as device tokens, whatever it is.

    :param member: the ``deviceToken`` of the body, if it has one.
    """
    found: list[object] = [*request.cookies.getlist(NAME)[:_COOKIES_MAX]]
    return found if member is None else [*found, member]


def set_device_cookie(response: Response, token: str, state: AppState) -> None:
    """Give the token to the browser, for the endpoints alone and out of reach of scripts."""
    response.set_cookie(
        NAME,
        token,
        max_age=state.settings.trusted_devices,
        path=(request.script_root + state.settings.url_prefix) or "/",
        secure=current_app.config["JWT_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
