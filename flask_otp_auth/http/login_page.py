"""``GET /login``: the login page and its security headers."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, current_app, render_template, request, url_for
from flask_jwt_extended.config import config
from markupsafe import Markup, escape

from .. import tokens
from ..exceptions import ConfigurationError
from ..language import preferred_language
from ..settings import Settings
from ..state import AppState, state_of
from ..texts import Texts
from .json_text import write_json
from .navigation import lead_to_login, next_path

_HINT_MAX = 254  # characters, as those of an identifier
_HEADERS = {
    # Allows only files of this site, no inline scripts or styles, and no framing.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


def add_route(app: Flask, blueprint: Blueprint, state: AppState) -> None:
    """Register ``/login`` on *blueprint* if ``OTP_AUTH_LOGIN_PAGE`` is on.

    :raises ConfigurationError: the tokens are not sent in cookies, which the page depends on.
    """
    if not state.settings.login_page:
        return
    if not tokens.has_cookies(app.config):
        raise ConfigurationError(
            "JWT_TOKEN_LOCATION",
            "has no 'cookies', which OTP_AUTH_LOGIN_PAGE signs people in with: "
            "set it to ['cookies'], or to ['headers', 'cookies']",
        )
    blueprint.add_url_rule("/login", view_func=login, methods=["GET"])
    lead_to_login(app)


def login() -> Response:
    """Render the login page in the user's language."""
    state = state_of(current_app)
    catalogue = state.settings.texts
    texts = catalogue.texts(preferred_language(catalogue))
    body = render_template(
        "otp_auth/login.html",
        language=texts.language,
        dir=texts.dir,
        texts=texts.words,
        methods=state.settings.methods,
        code_length=state.settings.code_length,
        hint=request.args.get("login_hint", "")[:_HINT_MAX],
        page=_for_script(state.settings, texts),
    )
    response = current_app.response_class(body, mimetype="text/html")
    response.headers.update(_HEADERS)
    response.vary.add("Accept-Language")
    return response


def _for_script(settings: Settings, texts: Texts) -> Markup:
    """Return what the script needs to know, as JSON that is escaped for an HTML attribute."""
    words = texts.page()
    fresh = request.args.get("fresh") == "1"
    page: dict[str, Any] = {
        # Relative to the page, so it includes any prefix that a proxy has added.
        "baseUrl": url_for("otp_auth.login").removesuffix("/login"),
        "next": next_path(request.args.get("next"))
        or request.script_root + settings.login_redirect,
        "fresh": fresh,
        "refresh": settings.refresh_token and not fresh and _has_refresh_cookie(),
        "language": texts.language,
        "codeLength": settings.code_length,
        "resends": settings.max_resends,
        "wait": _wait_between_sends(settings),
        "texts": words if settings.send_to_unknown else {**words, "sent": words["maybe_sent"]},
    }
    return escape(write_json(page))


def _has_refresh_cookie() -> bool:
    """Whether the browser has a refresh token, whose own cookie may have a narrower path."""
    names = (config.refresh_cookie_name, config.refresh_csrf_cookie_name)
    return any(name in request.cookies for name in names)


def _wait_between_sends(settings: Settings) -> int:
    """Return the seconds that have to pass between two codes, by the limits on identifiers."""
    return max(
        (rule.get_expiry() for rule in settings.identifier_limits if rule.amount == 1), default=0
    )
