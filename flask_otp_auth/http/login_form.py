"""``POST /login``: the two forms of the login page, for a browser that does not run its script."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, current_app, redirect, request
from flask_limiter import RateLimitExceeded

from .. import codes, events, flow
from ..exceptions import (
    IdentifierLocked,
    InvalidRequest,
    Refused,
    RequestError,
    SendFailed,
    ServiceUnavailable,
    SessionAlreadyVerified,
    TooManyRequests,
)
from ..language import preferred_language
from ..state import AppState, state_of
from ..texts import Texts
from ..types import VerifyResult
from . import schemas
from .body import BODY_MAX
from .client_limits import limited
from .cookies import device_tokens, set_login_cookies
from .errors import answer_exceeded_limit, too_many_requests
from .login_page import destination, render_page, texts_of_request

_TEXT_OF_ERROR = {
    TooManyRequests: "limited",
    IdentifierLocked: "waiting",
    SendFailed: "not_sent",
    ServiceUnavailable: "unavailable",
    SessionAlreadyVerified: "used",
}


def add_route(blueprint: Blueprint, state: AppState) -> None:
    """Register ``POST /login`` on *blueprint* if ``OTP_AUTH_LOGIN_PAGE`` is on."""
    if not state.settings.login_page:
        return
    send = _send if state.limiter is None else limited(_send, state.limiter)

    def login_form() -> Response:
        """Answer ``POST /login``."""
        if not _is_from_this_site():
            abort(403)
        request.max_content_length = BODY_MAX
        try:
            return _enter() if request.form.get("session") else send()
        except RateLimitExceeded as exceeded:
            answer_exceeded_limit(exceeded)  # for the log and the signals
            return _refuse(too_many_requests())
        except RequestError as error:
            events.request_refused(error)
            return _refuse(error)

    blueprint.add_url_rule("/login", view_func=login_form, methods=["POST"])


def _is_from_this_site() -> bool:
    """Whether the form is that of the page, and not one that another site makes a browser send."""
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host


def _send() -> Response:
    """Send a code and show the second step."""
    state = state_of(current_app)
    schema = schemas.initiate_request(state.settings.methods, trusts_devices=False)
    identifier, method = _identifier(), _method(state)
    body = schemas.load(schema, {"identifier": identifier, "method": method})
    if state.devices is not None:
        body["device_tokens"] = device_tokens(None)
    locale = preferred_language(state.settings.texts)
    result = flow.initiate(state, **body, locale=locale, client=request.remote_addr)
    return _show_second_step(texts_of_request(), result.session_id)


def _enter() -> Response:
    """Check a code, and sign in or say what is wrong with it."""
    state = state_of(current_app)
    texts = texts_of_request()
    session_id, typed = request.form["session"], request.form.get("code", "")
    if codes.read(typed) is None:
        count = state.settings.code_length
        return _show_second_step(texts, session_id, texts.say("digits", count=count), status=400)
    result = flow.verify(state, session_id, typed)
    if result.status == "success":
        response = current_app.make_response(redirect(destination(state.settings), 303))
        set_login_cookies(response, result, state)
        return response
    message = _words_for(result, texts)
    if result.status == "invalid_code":
        return _show_second_step(texts, session_id, message, status=401)
    return _show_first_step(texts, message, status=403)


def _words_for(result: VerifyResult, texts: Texts) -> str:
    count = result.remaining_attempts
    if result.status == "invalid_code":
        return texts.say("wrong_one" if count == 1 else "wrong_many", count=count)
    if result.message == "User not found":
        return texts.say("no_user", identifier=_identifier())
    return texts.say("locked" if result.status == "locked" else "expired")


def _refuse(error: RequestError) -> Response:
    """Show the first step with an error in the language of the client."""
    texts = texts_of_request()
    seconds = error.retry_after
    key = _TEXT_OF_ERROR.get(type(error), "failed")
    if isinstance(error, InvalidRequest):
        key = f"invalid_{_method(state_of(current_app))}"
    elif isinstance(error, IdentifierLocked) and seconds is None:
        key = "disabled"
    time = "" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"
    message = error.detail if isinstance(error, Refused) else texts.say(key, time=time)
    response = _show_first_step(texts, message, status=error.code)
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _show_first_step(texts: Texts, message: str, *, status: int) -> Response:
    method = _method(state_of(current_app))
    response = render_page(texts, method=method, hint=_identifier(), message=message)
    response.status_code = status
    return response


def _show_second_step(
    texts: Texts, session_id: str, message: str = "", *, status: int = 200
) -> Response:
    settings = state_of(current_app).settings
    response = render_page(
        texts,
        method=_method(state_of(current_app)),
        hint=_identifier(),
        session_id=session_id,
        message=message,
        sent=texts.say(
            "sent" if settings.send_to_unknown else "maybe_sent",
            identifier=_identifier(),
            count=settings.code_length,
        ),
    )
    response.status_code = status
    return response


def _identifier() -> str:
    """Return the identifier that was typed, or to which the code was sent."""
    form = request.form
    return (form.get("identifier") or form.get("sent_to", "")).strip()


def _method(state: AppState) -> str:
    """Return the method that was chosen, or the first one that is on offer."""
    chosen = request.form.get("via") or request.form.get("sent_by", "")
    return chosen if chosen in state.settings.methods else state.settings.methods[0]
