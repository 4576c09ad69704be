"""Refresh and logout, the cookies for tokens, and the refusal of tokens that were logged out."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, current_app, request
from flask_jwt_extended import (
    decode_token,
    get_jwt,
    get_jwt_request_location,
    unset_jwt_cookies,
    verify_jwt_in_request,
)
from flask_jwt_extended.config import config
from flask_jwt_extended.default_callbacks import default_blocklist_callback
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import PyJWTError

from .. import flow, tokens
from ..exceptions import CsrfMismatch, InvalidRefreshToken
from ..state import EXTENSION, AppState, state_of
from ..tokens import Claims
from . import schemas
from .cookies import set_token_cookies
from .errors import json_answer

_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, section 2.1


def add_routes(blueprint: Blueprint, state: AppState) -> None:
    """Add ``/logout`` to the blueprint, and ``/refresh`` with ``OTP_AUTH_REFRESH_TOKEN``."""
    blueprint.add_url_rule("/logout", view_func=logout, methods=["POST"])
    if state.settings.refresh_token:
        blueprint.add_url_rule("/refresh", view_func=refresh, methods=["POST"])


def refresh() -> Response:
    """Answer ``POST /refresh``."""
    auth = flow.refresh(state_of(current_app), _refresh_claims())
    # A client whose tokens are in cookies does not get them in the body, for scripts to read.
    in_body = get_jwt_request_location() != "cookies"
    data = schemas.dump_tokens(auth.token, auth.refresh_token) if in_body else {}
    response = json_answer(200, {"data": data})
    set_token_cookies(response, auth)
    return response


def logout() -> Response:
    """Answer ``POST /logout``."""
    to_end = _claims_to_end()
    for claims in to_end:
        flow.end_login(state_of(current_app), claims)
    response = current_app.response_class(status=204)
    if tokens.uses_cookies() and (to_end or any(_cookies())):
        unset_jwt_cookies(response)
    return response


def _refresh_claims() -> Claims:
    """Return the claims of the refresh token of the request, after checking signature and expiry.

    :raises InvalidRefreshToken: there is no valid token, or its CSRF token is missing or wrong.
    """
    by_header = any(_bearer()) and ("headers" in config.token_location or not tokens.uses_cookies())
    if not (by_header or tokens.uses_cookies()):
        raise InvalidRefreshToken
    # Flask-JWT-Extended would raise an unexpected error for it.
    if not request.headers.get(config.refresh_csrf_header_name, "").isascii():
        raise InvalidRefreshToken
    try:
        verify_jwt_in_request(
            refresh=True,
            locations="headers" if by_header else "cookies",
            # Our own check would refuse a token that was used before, without ending its login.
            skip_revocation_check=tokens.manager()._token_in_blocklist_callback is is_logged_out,
        )
    except (JWTExtendedException, PyJWTError):
        raise InvalidRefreshToken from None
    return get_jwt()


def _claims_to_end() -> list[Claims]:
    """Return the claims of the tokens that the request may log out, including expired ones.

    An invalid token is ignored, because it gives no access anyway (RFC 7009, section 2.2).

    :raises CsrfMismatch: there are only cookies, and none of them with its CSRF token.
    """
    found: list[Claims] = []
    refused = False
    for encoded, csrf_header in (*_bearer(), *(_cookies() if tokens.uses_cookies() else ())):
        try:
            claims = decode_token(encoded, allow_expired=True)
        except (JWTExtendedException, PyJWTError):
            continue
        if csrf_header is None or _csrf_matches(claims, csrf_header):
            found.append(claims)
        else:
            refused = True
    if refused and not found:
        raise CsrfMismatch
    return found


def _bearer() -> Iterator[tuple[str, None]]:
    """Yield the token of the Authorization header, for which no CSRF token is needed."""
    scheme, value = config.header_type, request.headers.get(config.header_name, "").strip()
    if scheme:
        found, _, value = value.partition(" ")
        if found != scheme:
            return
    if _BEARER_TOKEN.fullmatch(value.strip()):
        yield value.strip(), None


def _cookies() -> Iterator[tuple[str, str | None]]:
    """Yield the tokens in cookies, each with the header that must have its CSRF token, if any."""
    protected = config.cookie_csrf_protect and request.method in config.csrf_request_methods
    for cookie, header in (
        (config.access_cookie_name, config.access_csrf_header_name),
        (config.refresh_cookie_name, config.refresh_csrf_header_name),
    ):
        if encoded := request.cookies.get(cookie):
            yield encoded, header if protected else None


def _csrf_matches(claims: Claims, header: str) -> bool:
    expected, sent = claims.get("csrf"), request.headers.get(header, "")
    return isinstance(expected, str) and hmac.compare_digest(expected.encode(), sent.encode())


def refuse_logged_out(app: Flask) -> None:
    """Make ``jwt_required`` refuse tokens that were logged out.

    An application that has its own ``token_in_blocklist_loader`` keeps it.
    """

    def install() -> None:
        manager = tokens.manager_of(app)
        if manager._token_in_blocklist_callback is default_blocklist_callback:
            manager.token_in_blocklist_loader(is_logged_out)

    install()
    # A JWTManager that the application creates later replaces the present one.
    app.before_request_funcs.setdefault(None, []).insert(0, install)


def is_logged_out(_header: Claims, claims: Claims) -> bool:
    """Return whether a token was logged out, as the ``token_in_blocklist_loader``.

    It uses the current application, since several may share a JWTManager.
    """
    state: AppState | None = current_app.extensions.get(EXTENSION)
    return state is not None and flow.is_logged_out(state, claims)
