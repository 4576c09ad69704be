"""Answers to errors, with their ids, their lines in the log and their JSON, all in one place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter, RateLimitExceeded
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.http import HTTP_STATUS_CODES, parse_date

from .. import events
from ..clock import utc_now
from ..exceptions import InternalError, RequestError, ServiceUnavailable, TooManyRequests
from ..store.database import RETRY_AFTER
from .client_limits import exceeded_rule, storage_failed, wait_of
from .json_text import write_json

_CODES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "notFound",
    413: "payloadTooLarge",
    415: "unsupportedMediaType",
    429: "tooManyRequests",
    503: "serviceUnavailable",
}
_ANSWER = "_otp_auth_answer"

#: The name of the blueprint of the endpoints.
BLUEPRINT = "otp_auth"


def json_answer(status: int, body: dict[str, Any], *, retry_after: int | None = None) -> Response:
    """Return an answer in standard JSON, whatever JSON provider the application has.

    :param retry_after: the seconds for ``Retry-After``, or ``None`` for no such header.

    :raises TypeError: something in *body* has no JSON form.
    :raises ValueError: *body* contains NaN, an infinity or itself.
    """
    response = current_app.response_class(write_json(body), status, mimetype="application/json")
    setattr(g, _ANSWER, (response, retry_after))
    return response


def answer_http_error(error: HTTPException) -> Response | HTTPException:
    """Answer our own errors, and those of the application in the same form."""
    if isinstance(error, RequestError):
        return _answer(error)
    if error.response is not None or error.code is None or error.code < 400:
        return error
    refusal = RequestError(_phrase(error.code))
    refusal.code = error.code
    refusal.error_code = _CODES.get(
        error.code, "badRequest" if error.code < 500 else "internalServerError"
    )
    headers = {
        name: value
        for name, value in error.get_headers()
        if name not in ("Content-Type", "Content-Length")
    }
    refusal.retry_after = _seconds(headers.pop("Retry-After", ""))
    response = _answer(refusal)
    response.headers.update(headers)
    return response


def _seconds(retry_after: str) -> int | None:
    """Return the seconds that a ``Retry-After`` means, which may also be a date (RFC 9110)."""
    if retry_after.isdecimal():
        return int(retry_after)
    date = parse_date(retry_after)
    return None if date is None else max(0, math.ceil((date - utc_now()).total_seconds()))


def answer_exceeded_limit(error: RateLimitExceeded) -> ResponseReturnValue:
    """Answer a client over a limit of Flask-Limiter, ours or one of the application.

    A handler of the application for 429 answers for its own limits alone: clients rely on the form
    of ours.
    """
    rule = next(filter(None, map(exceeded_rule, _limiters())), None)
    if rule is not None:
        events.client_refused(rule)
    if error.response is not None:  # from on_breach
        return error
    if rule is None and (handler := _handler_of_application(error)) is not None:
        return current_app.ensure_sync(handler)(error)  # type: ignore[no-any-return]
    return _answer(_too_many_requests())


def answer_refused_token(error: Exception) -> ResponseReturnValue:
    """Answer a hook of the application that refuses a token, in the form of Flask-JWT-Extended.

    It may demand a token for every route, which makes the endpoints useless, but this is no fault.
    """
    handler = _handler_of_application(error)
    if handler is None:
        return answer_unexpected_error(error)
    return current_app.ensure_sync(handler)(error)  # type: ignore[no-any-return]


def _handler_of_application(error: Exception) -> Callable[..., Any] | None:
    """Return the handler of the application for an error, which those of our blueprint hide."""
    handlers = current_app.error_handler_spec[None][getattr(error, "code", None)]
    return next((handlers[cls] for cls in type(error).__mro__ if cls in handlers), None)


def answer_unexpected_error(error: Exception) -> Response:
    """Answer an unexpected error: with 503 if the storage of a Limiter is unavailable, else 500."""
    failure: RequestError = InternalError()
    what = "unexpected error"
    if any(storage_failed(limiter, error) for limiter in _limiters()):
        failure = ServiceUnavailable(retry_after=RETRY_AFTER)
        what = "client limits: their storage failed"
    return _answer(events.failed(failure, what, error))


def _answer(error: RequestError) -> Response:
    events.request_refused(error)
    return json_answer(error.code, body_of(error), retry_after=error.retry_after)


def body_of(error: RequestError) -> dict[str, Any]:
    """Return the JSON that answers an error."""
    if error.data_status is not None:
        return {"data": {"status": error.data_status, "message": error.detail}}
    content: dict[str, Any] = {
        "id": error.id,
        "title": _phrase(error.code),
        "detail": error.detail,
        "code": error.error_code,
    }
    if error.fields is not None:
        content["fields"] = error.fields
    if error.retry_after is not None:
        content["retryAfter"] = error.retry_after
    return {"status": error.code, "error": content}


def _too_many_requests() -> TooManyRequests:
    """Return the error for a limit of Flask-Limiter, ours or another one, with the true wait."""
    waits = [wait for limiter in _limiters() if (wait := wait_of(limiter)) is not None]
    return TooManyRequests(retry_after=max(waits, default=None), scope="client")


def _limiters() -> set[Limiter]:
    limiters: set[Limiter] = current_app.extensions.get("limiter", set())
    return limiters


def _phrase(status: int) -> str:
    # Not from http.HTTPStatus, whose phrases differ between versions of Python.
    return HTTP_STATUS_CODES.get(status, "Unknown Error")


def finish(response: Response) -> Response:
    """Complete an answer of the endpoints; this runs after every other function that may change it.

    It forbids caching the answer and guessing its media type, and says the same wait as the body,
    where a Limiter that sends headers has put the end of its own window.
    """
    if request.blueprint != BLUEPRINT and not _is_wrong_method():
        return response
    if request.endpoint != f"{BLUEPRINT}.static":  # Flask sets the header for files
        response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    answered, retry_after = g.pop(_ANSWER, (None, None))
    if answered is response:
        response.headers.remove("Retry-After")
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
    return response


def _is_wrong_method() -> bool:
    """Return whether Flask refused the method of one of the endpoints, without their blueprint."""
    return isinstance(request.routing_exception, MethodNotAllowed) and any(
        rule.rule == request.path and rule.endpoint.startswith(f"{BLUEPRINT}.")
        for rule in current_app.url_map.iter_rules()
    )
