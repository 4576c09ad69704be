"""``POST /login``: the two forms of the login page, for a browser that does not run its script.

A form asks the endpoints as the script does, so whatever guards these guards the forms as well.
"""

from __future__ import annotations

import json
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, redirect, request
from werkzeug.wrappers import Response as Answer

from .. import codes
from ..settings import Settings
from ..state import AppState, state_of
from ..texts import Texts
from ..texts.outcomes import sentence
from ..types import VerifyResult
from .body import BODY_MAX
from .json_text import write_json
from .login_page import destination, render_page, texts_of_request

# What Werkzeug and our key function keep in the environment is of the form, not of the endpoint.
_KEPT = ("werkzeug.", "flask_otp_auth.")
_TEXT_OF_CODE = {
    "tooManyRequests": "limited",
    "identifierLocked": "waiting",
    "serviceUnavailable": "unavailable",
    "alreadyVerified": "used",
}


def add_route(blueprint: Blueprint, state: AppState) -> None:
    """Register ``POST /login`` on *blueprint* if ``OTP_AUTH_LOGIN_PAGE`` is on."""
    if state.settings.login_page:
        blueprint.add_url_rule("/login", view_func=login_form, methods=["POST"])


def login_form() -> Response:
    """Answer ``POST /login``."""
    if not _is_from_this_site():
        abort(403)
    request.max_content_length = BODY_MAX
    settings, texts = state_of(current_app).settings, texts_of_request()
    if session_id := request.form.get("session"):
        return _enter(settings, texts, session_id)
    return _send(settings, texts)


def _is_from_this_site() -> bool:
    """Whether the form is that of the page, and not one that another site makes a browser send."""
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    try:
        return urlsplit(request.headers.get("Origin", "")).netloc == request.host
    except ValueError:  # no origin at all, such as "http://["
        return False


def _ask(endpoint: str, body: dict[str, Any]) -> Answer:
    """Have an endpoint of this application answer for the client of the current request."""
    content = write_json(body).encode()
    environ = {
        **{key: value for key, value in request.environ.items() if not key.startswith(_KEPT)},
        "PATH_INFO": request.environ["PATH_INFO"].removesuffix("login") + endpoint,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": BytesIO(content),
    }
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    with app.app_context():  # with a ``g`` of its own
        # Not app.wsgi_app, whose middlewares have seen this request already.
        return Answer.from_app(partial(Flask.wsgi_app, app), environ)


def _member(answer: Answer, name: str) -> dict[str, Any]:
    """Return ``data`` or ``error`` of an answer, or ``{}`` if it has none, or is not of ours."""
    try:
        return dict(json.loads(answer.get_data())[name])
    except (ValueError, TypeError, KeyError):
        return {}


def _send(settings: Settings, texts: Texts) -> Response:
    """Send a code and show the second step."""
    method = _method(settings)
    answer = _ask("initiate", {"identifier": _identifier(), "method": method})
    if answer.status_code == 200:
        return _show_second_step(settings, texts, _member(answer, "data")["sessionId"])
    error = _member(answer, "error")
    if error.get("code") in ("badRequest", "invalidIdentifier"):
        return _show_first_step(settings, texts, texts.say(f"invalid_{method}"), answer)
    return _show_first_step(settings, texts, _words_for(error, answer, texts, "not_sent"), answer)


def _enter(settings: Settings, texts: Texts, session_id: str) -> Response:
    """Check a code, and sign in or say what is wrong with it."""
    code = codes.read(request.form.get("code", ""))
    if code is None:
        words = texts.say("digits", count=settings.code_length)
        return _show_second_step(settings, texts, session_id, words)
    answer = _ask("verify", {"sessionId": session_id, "code": code})
    if answer.status_code == 200:
        response = current_app.make_response(redirect(destination(settings), 303))
        for cookie in answer.headers.getlist("Set-Cookie"):
            response.headers.add("Set-Cookie", cookie)
        return response
    outcome = _member(answer, "data")
    if not outcome:
        words = _words_for(_member(answer, "error"), answer, texts, "failed")
        return _show_first_step(settings, texts, words, answer)
    left = outcome.get("remainingAttempts")
    result = VerifyResult(outcome["status"], outcome["message"], remaining_attempts=left)
    words = sentence(texts, result)
    if result.status == "invalid_code":
        return _show_second_step(settings, texts, session_id, words)
    return _show_first_step(settings, texts, words, answer)


def _words_for(error: dict[str, Any], answer: Answer, texts: Texts, otherwise: str) -> str:
    if answer.status_code == 403 and "detail" in error:
        return str(error["detail"])  # of the application
    seconds = error.get("retryAfter")
    key = _TEXT_OF_CODE.get(error.get("code", ""), otherwise)
    if key == "waiting" and seconds is None:
        key = "disabled"
    time = "" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"
    return texts.say(key, time=time)


def _show_first_step(settings: Settings, texts: Texts, message: str, answer: Answer) -> Response:
    """Show the first step with what has gone wrong, and the status of the endpoint's answer."""
    page = render_page(texts, method=_method(settings), hint=_identifier(), message=message)
    page.status_code = answer.status_code
    if wait := answer.headers.get("Retry-After"):
        page.headers["Retry-After"] = wait
    return page


def _show_second_step(
    settings: Settings, texts: Texts, session_id: str, message: str = ""
) -> Response:
    key = "sent" if settings.send_to_unknown else "maybe_sent"
    sent = texts.say(key, identifier=_identifier(), count=settings.code_length)
    method = _method(settings)
    return render_page(
        texts, method=method, hint=_identifier(), session_id=session_id, message=message, sent=sent
    )


def _identifier() -> str:
    """Return the identifier that was typed, or to which the code was sent."""
    form = request.form
    return (form.get("identifier") or form.get("sent_to", "")).strip()


def _method(settings: Settings) -> str:
    """Return the method that was chosen, or the first one that is on offer."""
    chosen = request.form.get("via") or request.form.get("sent_by", "")
    return chosen if chosen in settings.methods else settings.methods[0]
