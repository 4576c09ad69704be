"""The blueprint: read the body, go through the flow, write the answer; and the error answers."""

from __future__ import annotations

import logging
import math
import time
import uuid
from typing import Any, Protocol

from flask import Blueprint, Flask, Request, Response, current_app, request
from limits.storage import MemoryStorage
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from .. import tokens
from ..exceptions import (
    AuthenticationFailed,
    InternalError,
    PayloadTooLarge,
    RequestError,
    ServiceUnavailable,
    UnsupportedMediaType,
)
from ..redaction import ANY_CODE, describe
from ..store.database import RETRY_AFTER
from ..types import InitiateResult, VerifyResult
from . import schemas

_log = logging.getLogger("flask_otp_auth")

BODY_MAX = 16 * 1024
_STATUS = {"success": 200, "invalid_code": 401, "locked": 403, "expired": 403, "not_found": 404}
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


class Service(Protocol):
    """The calls of an application that the endpoints make, each with a parsed body."""

    @property
    def default_tokens(self) -> bool:
        """Whether tokens are made by our default, and so are JWTs that fit into cookies."""

    def initiate(self, body: dict[str, Any], client: str | None) -> InitiateResult:
        """Start a session and have its code sent."""

    def resend(self, body: dict[str, Any], client: str | None) -> InitiateResult:
        """Send another code for a session."""

    def verify(self, body: dict[str, Any]) -> VerifyResult:
        """Judge a typed code."""


def create_blueprint(service: Service, url_prefix: str) -> Blueprint:
    """Return the endpoints of one application; Flask locks a blueprint after its first use."""
    blueprint = Blueprint("otp_auth", __name__, url_prefix=url_prefix)

    @blueprint.post("/initiate")
    def initiate() -> Response:
        result = service.initiate(*_body_and_client())
        return _answer(200, {"data": schemas.dump_initiate(result)})

    @blueprint.post("/resend")
    def resend() -> Response:
        result = service.resend(*_body_and_client())
        return _answer(200, {"data": schemas.dump_initiate(result)})

    @blueprint.post("/verify")
    def verify() -> Response:
        result = service.verify(_body_and_client()[0])
        try:
            response = _answer(_STATUS[result.status], {"data": schemas.dump_verify(result)})
        except (TypeError, ValueError, RecursionError) as error:
            failure = AuthenticationFailed()
            _log.error("the user has no JSON form [error %s]: %s", failure.id, describe(error))
            raise failure from None
        if result.token is not None and service.default_tokens and tokens.uses_cookies():
            tokens.set_cookies(response, result.token, result.refresh_token)
        return response

    blueprint.register_error_handler(HTTPException, _http_error)
    blueprint.register_error_handler(Exception, _unexpected_error)
    blueprint.after_request(_harden)
    return blueprint


def _body_and_client() -> tuple[dict[str, Any], str]:
    # The request itself: each look through the proxy costs as much as parsing a number.
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    return read_body(current), current.remote_addr or ""


def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    :raises UnsupportedMediaType: the body is not declared as JSON in UTF-8.
    :raises PayloadTooLarge: it has more than 16 KiB.
    :raises InvalidRequest: it is no strict JSON object.
    """
    if request.content_type != "application/json":  # what nearly every client says
        charset = request.mimetype_params.get("charset", "utf-8").lower()
        if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
            raise UnsupportedMediaType
    if (request.content_length or 0) > BODY_MAX:
        raise PayloadTooLarge
    # One byte more than allowed, since Werkzeug cuts a chunked body off at the limit in silence.
    limit = request.max_content_length
    request.max_content_length = BODY_MAX + 1 if limit is None else min(limit, BODY_MAX) + 1
    try:
        body = request.stream.read(request.max_content_length)
    except RequestEntityTooLarge:
        raise PayloadTooLarge from None
    if len(body) == request.max_content_length:
        raise PayloadTooLarge
    return schemas.read_json(body)


def _answer(status: int, body: dict[str, Any]) -> Response:
    return current_app.response_class(schemas.write_json(body), status, mimetype="application/json")


def _request_error(error: RequestError) -> Response:
    if error.data_status is not None:
        response = _answer(
            error.code, {"data": {"status": error.data_status, "message": error.detail}}
        )
    else:
        response = _error_answer(error.code, error.id, error.detail, error.error_code, error.fields)
    if error.code < 500:
        _log.info("request refused: %s %s [error %s]", error.code, error.error_code, error.id)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _http_error(error: HTTPException) -> Response | HTTPException:
    """Answer our own errors, and put an abort of a hook of the host into the same form."""
    if isinstance(error, RequestError):
        return _request_error(error)
    status = error.code
    if error.response is not None or status is None or status < 400:
        return error
    code = _CODES.get(status, "badRequest" if status < 500 else "internalServerError")
    id_ = str(uuid.uuid4())
    _log.info("request refused: %s %s [error %s]", status, code, id_)
    response = _error_answer(status, id_, _phrase(status), code)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    if status == 429 and "Retry-After" not in response.headers:
        _retry_after_of_host(response)
    return response


def _retry_after_of_host(response: Response) -> None:
    """Say when a limit that the host put on all its routes lets our endpoint through again."""
    resets = [
        limiter.current_limit.reset_at
        for limiter in current_app.extensions.get("limiter", ())
        if limiter.current_limit is not None and limiter.current_limit.breached
    ]
    if resets:
        response.headers["Retry-After"] = str(max(1, math.ceil(max(resets) - time.time())))


def _unexpected_error(error: Exception) -> Response:
    # It may come from a hook of the host, with anything of the request in its text.
    reason = describe(error, ANY_CODE)
    if _is_of_limit_store(error):
        away = ServiceUnavailable(retry_after=RETRY_AFTER)
        _log.error("limits of the app: no answer of their store [error %s]: %s", away.id, reason)
        return _request_error(away)
    failure = InternalError()
    _log.error("unexpected error [error %s]: %s", failure.id, reason)
    return _request_error(failure)


def _is_of_limit_store(error: Exception) -> bool:
    """Whether *error* comes from the store of a Limiter that the host put before all its routes."""
    storages = [limiter.storage for limiter in current_app.extensions.get("limiter", ())]
    return any(
        # Memory is never away, and names ValueError, which may be anybody's.
        not isinstance(storage, MemoryStorage) and isinstance(error, storage.base_exceptions)
        for storage in storages
    )


def _error_answer(status: int, id_: str, detail: str, code: str, fields: Any = None) -> Response:
    error = {"id": id_, "title": _phrase(status), "detail": detail, "code": code}
    if fields is not None:
        error["fields"] = fields
    return _answer(status, {"status": status, "error": error})


def _phrase(status: int) -> str:
    # Not http.HTTPStatus, whose words differ from one version of Python to the next.
    return HTTP_STATUS_CODES.get(status, "Unknown Error")


def _harden(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def register(app: Flask, service: Service, url_prefix: str) -> None:
    """Put the endpoints on *app*."""
    app.register_blueprint(create_blueprint(service, url_prefix))
