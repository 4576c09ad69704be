"""The blueprint: its views pass requests to the flow, and turn the results into answers."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from flask_jwt_extended.config import config
from flask_jwt_extended.exceptions import JWTExtendedException
from flask_limiter import RateLimitExceeded
from jwt import PyJWTError
from werkzeug.exceptions import HTTPException

from .. import events, flow, tokens
from ..language import preferred_language
from ..state import AppState, state_of
from . import login_form, login_page, schemas, token_views
from .body import read_body
from .client_limits import check_of_late_limiter, limited
from .cookies import device_tokens, set_login_cookies
from .errors import (
    BLUEPRINT,
    answer_exceeded_limit,
    answer_http_error,
    answer_refused_token,
    answer_unexpected_error,
    finish,
    json_answer,
)

_PACKAGE = __name__.partition(".")[0]
_STATUS = {"success": 200, "invalid_code": 401, "locked": 403, "expired": 403, "not_found": 404}
# Endpoints that a CSRFProtect of Flask-WTF need not check. The forms of the login page are taken
# from the page alone, by their origin.
_SAFE_BY_ORIGIN = ("initiate", "resend", "verify", "login_form")
_SAFE_BY_TOKEN = ("refresh", "logout")


def register(app: Flask, state: AppState) -> None:
    """Register the endpoints on *app*, in a new blueprint, since Flask locks one after its use."""
    blueprint = Blueprint(
        BLUEPRINT,
        _PACKAGE,
        url_prefix=state.settings.url_prefix,
        # Not just /static, which with an empty url_prefix would be that of the application.
        static_folder="static/otp_auth",
        static_url_path="/static/otp_auth",
        template_folder="http/templates",
    )
    blueprint.add_url_rule("/verify", view_func=verify, methods=["POST"])
    token_views.add_routes(blueprint, state)
    login_page.add_route(app, blueprint, state)
    login_form.add_route(blueprint, state)
    limiter = state.limiter
    for path, view in (("/initiate", initiate), ("/resend", resend)):
        view_func = view if limiter is None else limited(view, limiter)
        blueprint.add_url_rule(path, view_func=view_func, methods=["POST"])
    if limiter is not None and limiter not in app.extensions.get("limiter", ()):
        blueprint.before_request(check_of_late_limiter(app, limiter))
    blueprint.url_value_preprocessor(_exempt_from_csrf)
    blueprint.register_error_handler(HTTPException, answer_http_error)
    blueprint.register_error_handler(RateLimitExceeded, answer_exceeded_limit)
    for refusal in (JWTExtendedException, PyJWTError):
        blueprint.register_error_handler(refusal, answer_refused_token)
    blueprint.register_error_handler(Exception, answer_unexpected_error)
    app.register_blueprint(blueprint)
    # Flask calls the first of the application's functions last, after that of any Limiter.
    app.after_request_funcs.setdefault(None, []).insert(0, finish)


def _exempt_from_csrf(endpoint: str | None, _values: dict[str, Any] | None) -> None:
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
    exempt = name in _SAFE_BY_ORIGIN or (name in _SAFE_BY_TOKEN and by_token)
    if exempt and isinstance(protect, flask_wtf.CSRFProtect):
        protect.exempt(current_app.view_functions[endpoint])


def initiate() -> Response:
    """Answer ``POST /initiate``."""
    state = state_of(current_app)
    trusts_devices = state.devices is not None
    schema = schemas.initiate_request(state.settings.methods, trusts_devices=trusts_devices)
    body = schemas.load(schema, _body())
    if trusts_devices:
        body["device_tokens"] = device_tokens(body.pop("device_token", None))
    result = flow.initiate(
        state,
        **body,
        locale=preferred_language(state.settings.texts),
        client=request.remote_addr,
    )
    return json_answer(200, {"data": schemas.dump_initiate(result)})


def resend() -> Response:
    """Answer ``POST /resend``."""
    body = schemas.load(schemas.resend_request, _body())
    result = flow.resend(state_of(current_app), body["session_id"], request.remote_addr)
    return json_answer(200, {"data": schemas.dump_initiate(result)})


def verify() -> Response:
    """Answer ``POST /verify``."""
    state = state_of(current_app)
    body = schemas.load(schemas.verify_request, _body())
    result = flow.verify(state, body["session_id"], body["code"])
    shown = replace(result, device_token=None) if tokens.uses_cookies() else result
    own_tokens = state.handlers.makes_own_tokens
    try:
        data = schemas.dump_verify(shown, with_tokens=own_tokens or not tokens.only_cookies())
        response = json_answer(_STATUS[result.status], {"data": data})
    except (TypeError, ValueError, RecursionError) as error:
        raise events.user_without_json(body["session_id"], error) from None
    set_login_cookies(response, result, state)
    return response


def _body() -> dict[str, Any]:
    # The request itself, because every access through the proxy takes additional time.
    return read_body(request._get_current_object())  # type: ignore[attr-defined]
