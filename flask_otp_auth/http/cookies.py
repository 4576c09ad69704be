"""The cookies of a login: its tokens, as Flask-JWT-Extended's, and that of a trusted device."""

from __future__ import annotations

import math

from flask import Response, current_app, request
from flask_jwt_extended import decode_token, set_access_cookies, set_refresh_cookies
from flask_jwt_extended.config import config

from .. import tokens
from ..clock import utc_now
from ..devices import TOKEN_MAX
from ..state import AppState, state_of
from ..types import AuthResult, VerifyResult

DEVICE_COOKIE = "otp_device"
# A sibling subdomain can set cookies of this name, which the browser sends beside the owner's.
_COOKIES_MAX = 16


def set_token_cookies(response: Response, auth: AuthResult) -> None:
    """Set the tokens as cookies of Flask-JWT-Extended, if ``JWT_TOKEN_LOCATION`` includes these.

    With a refresh token and ``OTP_AUTH_KEEP_SIGNED_IN``, all of them outlive the browser: as long
    as the login can be refreshed, so that an access token that has expired is refreshed and not
    taken for none. ``JWT_SESSION_COOKIE = False`` keeps its own meaning, cookies for a year.
    """
    if not tokens.uses_cookies() or auth.token is None:
        return
    if auth.refresh_token is None:
        set_access_cookies(response, auth.token)
        return
    max_age = None
    if state_of(current_app).settings.keep_signed_in and config.session_cookie:
        max_age = _seconds_left(auth.refresh_token)
    set_refresh_cookies(response, auth.refresh_token, max_age=max_age)
    if max_age is not None:
        max_age = max(max_age, _seconds_left(auth.token))
    set_access_cookies(response, auth.token, max_age=max_age)


def set_login_cookies(response: Response, result: VerifyResult, state: AppState) -> None:
    """Set the cookies of a login that has succeeded, unless the application makes its own."""
    if not state.handlers.makes_own_tokens:
        set_token_cookies(response, AuthResult(result.user, result.token, result.refresh_token))
    if result.device_token is not None and tokens.uses_cookies():
        set_device_cookie(response, result.device_token, state)


def _seconds_left(token: str) -> int:
    expires: int = decode_token(token, allow_expired=True)["exp"]
    return max(1, math.ceil(expires - utc_now().timestamp()))


def device_tokens(member: object) -> list[object]:
    """Return everything that the current request presents as a device token, unchecked.

    :param member: the ``deviceToken`` of the body, or ``None`` if it has none.
    """
    cookies = dict.fromkeys(request.cookies.getlist(DEVICE_COOKIE))
    found: list[object] = [cookie for cookie in cookies if len(cookie) <= TOKEN_MAX]
    found = found[:_COOKIES_MAX]
    return found if member is None else [*found, member]


def set_device_cookie(response: Response, token: str, state: AppState) -> None:
    """Set the token as a cookie for the endpoints only, which scripts cannot read."""
    response.set_cookie(
        DEVICE_COOKIE,
        token,
        max_age=state.settings.trusted_devices,
        path=(request.script_root + state.settings.url_prefix) or "/",
        secure=current_app.config["JWT_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
