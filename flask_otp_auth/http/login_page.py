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
    """Answer ``GET /login``."""
    hint = request.args.get("login_hint", "")[:_HINT_MAX]
    methods = state_of(current_app).settings.methods
    is_number = "sms" in methods and "@" not in hint and hint != ""
    method = "sms" if is_number or "email" not in methods else "email"
    return render_page(texts_of_request(), method=method, hint=hint)


def texts_of_request() -> Texts:
    """Return the texts in the language of the client."""
    catalogue = state_of(current_app).settings.texts
    return catalogue.texts(preferred_language(catalogue))


def render_page(
    texts: Texts,
    *,
    method: str,
    hint: str = "",
    session_id: str = "",
    message: str = "",
    sent: str = "",
) -> Response:
    """Render one of the two steps.

    :param method: the method that is chosen in the first step.
    :param hint: what is in the field for the identifier.
    :param session_id: that of the second step, or nothing for the first one.
    :param message: what has gone wrong, in the language of the client.
    :param sent: where the code has been sent to, in the language of the client.
    """
    settings = state_of(current_app).settings
    body = render_template(
        "otp_auth/login.html",
        language=texts.language,
        dir=texts.dir,
        texts=texts.words,
        app_name=settings.app_name or current_app.name,
        methods=settings.methods,
        method=method,
        national=settings.default_region is not None,
        hint=hint,
        session_id=session_id,
        message=message,
        sent=sent,
        page=_for_script(settings, texts),
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
        "next": destination(settings),
        "fresh": fresh,
        "refresh": settings.refresh_token and not fresh and _has_refresh_cookie(),
        "language": texts.language,
        "codeLength": settings.code_length,
        "resends": settings.max_resends,
        "wait": _wait_between_sends(settings),
        "national": settings.default_region is not None,
        "cookies": _cookies(),
        "texts": words if settings.send_to_unknown else {**words, "sent": words["maybe_sent"]},
    }
    return escape(write_json(page))


def destination(settings: Settings) -> str:
    """Return the path where a login leads to."""
    wanted = next_path(request.args.get("next"))
    return wanted or request.script_root + settings.login_redirect


def _cookies() -> dict[str, Any]:
    """Return what the script has to know of the cookies, to use them and to see them refused."""
    path = config.access_csrf_cookie_path.rstrip("/") + "/"
    is_visible = (
        config.cookie_csrf_protect
        and config.csrf_in_cookies
        and (request.script_root + request.path).startswith(path)
        and not state_of(current_app).handlers.makes_own_tokens
    )
    return {
        "secure": config.cookie_secure,
        "access": config.access_csrf_cookie_name if is_visible else None,
        "refresh": config.refresh_csrf_cookie_name,
        "header": config.refresh_csrf_header_name,
    }


def _has_refresh_cookie() -> bool:
    """Whether the browser has a refresh token, whose own cookie may have a narrower path."""
    names = (config.refresh_cookie_name, config.refresh_csrf_cookie_name)
    return any(name in request.cookies for name in names)


def _wait_between_sends(settings: Settings) -> int:
    """Return the seconds that have to pass between two codes, by the limits on identifiers."""
    return max(
        (rule.get_expiry() for rule in settings.identifier_limits if rule.amount == 1), default=0
    )
