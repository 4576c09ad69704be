"""Reading a request body: its media type, its limit of 16 KiB, and the strict JSON in it."""

from __future__ import annotations

import logging
from typing import IO, Any, cast

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import LimitedStream

from ..exceptions import PayloadTooLarge, UnsupportedMediaType
from .json_text import read_json

_log = logging.getLogger("flask_otp_auth")

BODY_MAX = 16 * 1024  # bytes


def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    The body is read into Flask's cache, or taken from it, so that hooks, key functions and handlers
    of the application can read it as well, before or after.

    :raises UnsupportedMediaType: the body is not declared as uncompressed JSON in UTF-8.
    :raises PayloadTooLarge: the body exceeds 16 KiB, or the application's ``MAX_CONTENT_LENGTH``.
    :raises InvalidRequest: the body is not a strict JSON object.
    """
    _require_json(request)
    return read_json(_read_bytes(request))


def _require_json(request: Request) -> None:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The request body must not be compressed")
    if request.content_type != "application/json":  # nearly every client sends exactly this
        charset = request.mimetype_params.get("charset", "utf-8").lower()
        if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
            raise UnsupportedMediaType


def _read_bytes(request: Request) -> bytes:
    limit = request.max_content_length
    bound = BODY_MAX if limit is None else min(limit, BODY_MAX)
    if (request.content_length or 0) > bound:
        raise PayloadTooLarge
    # One byte more than allowed, since Werkzeug silently cuts off a chunked body at the limit.
    if "stream" in vars(request):  # it exists already, so a new limit would come too late
        request.stream = cast(IO[bytes], LimitedStream(request.stream, bound + 1, is_max=True))
    else:
        request.max_content_length = bound + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise PayloadTooLarge from None
    if len(body) > bound:
        raise PayloadTooLarge
    if not body and request.content_length:
        _log.error(
            "the body of a request was read from request.stream before the endpoint saw it; "
            "read it with request.get_data() or request.get_json(), which keep it"
        )
    return body
