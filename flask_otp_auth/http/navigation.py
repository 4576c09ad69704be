"""Page navigations that ``jwt_required`` refuses: they lead to the login page, and back from it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from flask import Flask, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager

from .. import compat, tokens
from ..site_paths import is_site_path
from ..state import EXTENSION

# Every reason for which Flask-JWT-Extended refuses a token, as its loaders are called.
_REASONS = (
    "unauthorized",
    "expired_token",
    "invalid_token",
    "revoked_token",
    "needs_fresh_token",
    "user_lookup_error",
)
# What a path or query may contain besides letters and digits (RFC 3986, sections 3.3 and 3.4).
_IN_PATH = "/-._~!$&'()*+,;=:@"
_IN_QUERY = _IN_PATH + "?%"


def lead_to_login(app: Flask) -> None:
    """Redirect page navigations that ``jwt_required`` refuses to the login page of *app*.

    A loader of the application for the same reason stays, whenever it is registered.
    """
    seen: JWTManager | None = None

    def install() -> None:
        nonlocal seen
        manager = tokens.manager_of(app)
        if manager is not seen:
            seen = manager
            _add_loaders(manager)

    install()
    # A JWTManager that the application creates later replaces the present one.
    app.before_request_funcs.setdefault(None, []).insert(0, install)


def _add_loaders(manager: JWTManager) -> None:
    for reason in _REASONS:
        default = compat.default_loader(reason)
        if default is not None and compat.own_loader(manager, reason) is None:
            loader = getattr(manager, f"{reason}_loader")
            loader(_redirecting(default, fresh=reason == "needs_fresh_token"))


def _redirecting(
    default: Callable[..., ResponseReturnValue], *, fresh: bool
) -> Callable[..., ResponseReturnValue]:
    """Return a loader that redirects page navigations, and answers the rest with *default*."""

    def answer(*details: Any) -> ResponseReturnValue:
        if not _is_page_navigation() or not _has_login_page():
            return default(*details)
        path = _path_of_request()
        response = redirect(
            url_for(
                "otp_auth.login",
                next=path if is_site_path(path) else None,
                fresh=1 if fresh else None,
            )
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


def _has_login_page() -> bool:
    """Whether the present app has the page: several may share a JWTManager.

    Our own endpoints answer for themselves. A redirect from the page to itself would not end.
    """
    state = current_app.extensions.get(EXTENSION)
    return state is not None and state.settings.login_page and request.blueprint != "otp_auth"


def _is_page_navigation() -> bool:
    """Whether a browser asked for a page, and not a script or a client of an API for data."""
    accepted = request.accept_mimetypes
    return (
        request.method in ("GET", "HEAD")
        and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        and accepted["text/html"] > accepted["application/json"]
    )


def _path_of_request() -> str:
    """Return the path of the request as the browser sees it, with its query."""
    path = quote(request.script_root + request.path, safe=_IN_PATH)
    query = quote(request.query_string, safe=_IN_QUERY)
    return f"{path}?{query}" if query else path


def next_path(wanted: str | None) -> str | None:
    """Return where to go after signing in, or ``None`` if the page has to choose.

    :param wanted: what the query of the login page says, if it does.
    :returns: *wanted* without a dangling ``?``, if it is a path of this site, as the browser sees
        it, and does not lead back to the login page.
    """
    if wanted is None or not is_site_path(wanted):
        return None
    # As a browser resolves it: dot segments, also encoded ones, and Werkzeug merges slashes.
    path = posixpath.normpath(unquote(urlsplit(f"//host{wanted}").path))
    if path == posixpath.normpath(unquote(url_for("otp_auth.login"))):
        return None
    return wanted.removesuffix("?")
