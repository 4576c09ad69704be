"""Refresh and logout: which tokens of a request they take, and their answers."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, after_this_request, current_app, request
from flask_jwt_extended import (
    decode_token,
    get_jwt,
    get_jwt_header,
    unset_jwt_cookies,
    verify_jwt_in_request,
)
from flask_jwt_extended.config import config
from flask_jwt_extended.exceptions import (
    CSRFError,
    JWTExtendedException,
    NoAuthorizationError,
    UserLookupError,
)
from jwt import PyJWTError

from .. import flow, tokens
from ..exceptions import CsrfMismatch, InvalidRefreshToken, Refused
from ..state import AppState, state_of
from ..tokens import Claims
from . import schemas
from .blocklist import host_refuses
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
    by_header = any(_bearer()) and ("headers" in config.token_location or not tokens.uses_cookies())
    if not (by_header or tokens.uses_cookies()):
        raise InvalidRefreshToken
    claims = _refresh_claims("headers" if by_header else "cookies")
    try:
        auth = flow.refresh(state_of(current_app), claims)
        # Only now, since the loader may ask us, and would hide a theft from the rotation.
        if host_refuses(get_jwt_header(), claims):
            raise InvalidRefreshToken
    except InvalidRefreshToken:
        _clear_refused_cookies()
        raise
    # A client whose tokens are in cookies does not get them in the body, for scripts to read.
    data = schemas.dump_tokens(auth.token, auth.refresh_token) if by_header else {}
    response = json_answer(200, {"data": data})
    set_token_cookies(response, auth)
    return response


def logout() -> Response:
    """Answer ``POST /logout``."""
    to_end = _claims_to_end()
    # Both tokens of a login are of one login; those in a header may be of another one.
    for claims in {tokens.login_or_token(claims): claims for claims in to_end}.values():
        flow.end_login(state_of(current_app), claims)
    response = current_app.response_class(status=204)
    if tokens.uses_cookies() and (to_end or any(_cookies())):
        unset_jwt_cookies(response)
    return response


def _refresh_claims(location: str) -> dict[str, Any]:
    """Return the claims of the refresh token of the request, after checking signature and expiry.

    :param location: ``"headers"`` or ``"cookies"``.
    :raises InvalidRefreshToken: there is no valid token, or its CSRF token is missing or wrong, or
        the application does not know its user any more or refuses them, which ends the login.
    """
    sent = request.headers.get(config.refresh_csrf_header_name, "")
    if not sent and config.csrf_check_form:
        sent = request.form.get(config.refresh_csrf_field_name, "")
    # Flask-JWT-Extended would raise an unexpected error for it.
    if not sent.isascii():
        raise InvalidRefreshToken(CsrfMismatch.detail)
    try:
        # The rotation decides whether the token is revoked, and ends the login if it was stolen.
        verify_jwt_in_request(refresh=True, locations=location, skip_revocation_check=True)
        return get_jwt()
    except CSRFError:
        raise InvalidRefreshToken(CsrfMismatch.detail) from None
    except (UserLookupError, Refused):
        flow.end_login(state_of(current_app), _presented(location) or {}, "user refused")
        _clear_refused_cookies()
    except RecursionError:  # of PyJWT, or else of the loader of the application
        if _presented(location) is not None:
            raise
        _clear_refused_cookies()
    except NoAuthorizationError:
        pass
    except (JWTExtendedException, PyJWTError):
        _clear_refused_cookies()
    raise InvalidRefreshToken


def _presented(location: str) -> Claims | None:
    presented = [token for token, _ in (_bearer() if location == "headers" else _cookies())]
    return _decoded(presented[-1])  # of the two cookies, the last is the one for a refresh


def _clear_refused_cookies() -> None:
    """Have the answer clear the cookies of a login that is over, unless a header came."""
    if tokens.uses_cookies() and not any(_bearer()):

        @after_this_request
        def clear(response: Response) -> Response:
            unset_jwt_cookies(response)
            return response


def _claims_to_end() -> list[Claims]:
    """Return the claims of the tokens that the request may log out, including expired ones.

    An invalid token is ignored, because it gives no access anyway (RFC 7009, section 2.2).

    :raises CsrfMismatch: there are only cookies, and none of them with its CSRF token.
    """
    # A page of another origin cannot send the header, so the cookies beside it are no forgery.
    found = [claims for encoded, _ in _bearer() if (claims := _decoded(encoded))]
    is_by_header, is_forged = bool(found), False
    for encoded, csrf_header in _cookies() if tokens.uses_cookies() else ():
        claims = _decoded(encoded)
        if claims is None:
            continue
        if is_by_header or csrf_header is None or _csrf_matches(claims, csrf_header):
            found.append(claims)
        else:
            is_forged = True
    if is_forged and not found:
        raise CsrfMismatch
    return found


def _decoded(encoded: str) -> Claims | None:
    try:
        return decode_token(encoded, allow_expired=True)
    except (JWTExtendedException, PyJWTError, RecursionError):  # the last before PyJWT 2.15
        return None


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
