"""The examples in the description: bodies of requests and answers, each with a summary."""

from __future__ import annotations

from typing import Any

from ..exceptions import (
    AuthenticationFailed,
    CsrfMismatch,
    IdentifierLocked,
    InternalError,
    InvalidIdentifier,
    InvalidRefreshToken,
    InvalidRequest,
    PayloadTooLarge,
    RequestError,
    SendFailed,
    ServiceUnavailable,
    SessionAlreadyVerified,
    SessionExpired,
    SessionNotFound,
    TooManyRequests,
    TooManyResends,
    UnsupportedMediaType,
)
from ..http.errors import body_of
from ..store.database import RETRY_AFTER

# Example objects of OpenAPI, by name.
Examples = dict[str, dict[str, Any]]

_SESSION = "0f6a1c3e5b7d9f00aa11bb22cc33dd44"
_ERROR = "7b0c6c0e-6a0c-4f6e-9f58-3b8f0a3f2f10"
_MISSING = ["Missing data for required field."]


def _example(summary: str, value: Any) -> dict[str, Any]:
    return {"summary": summary, "value": value}


#: The example bodies of requests for each operation.
REQUESTS: dict[str, Examples] = {
    "initiate": {
        "sms": _example("A code sent by SMS", {"identifier": "+46 70 123 45 67", "method": "sms"}),
        "email": _example(
            "A code sent by email", {"identifier": "reader@example.com", "method": "email"}
        ),
    },
    "verify": {
        "code": _example("A code typed with a space", {"sessionId": _SESSION, "code": "123 456"})
    },
    "resend": {"session": _example("Another code for a session", {"sessionId": _SESSION})},
}


def _of(*errors: RequestError) -> Examples:
    """Return the answers to errors, each under its code or its ``data.status``."""
    found = {}
    for error in errors:
        error.id = _ERROR
        found[error.data_status or error.error_code] = _example(error.detail, body_of(error))
    return found


def _started(summary: str, ttl: int) -> Examples:
    expires_at = "2026-01-02T12:35:00.000Z"
    data = {"sessionId": _SESSION, "expiresAt": expires_at, "ttl": ttl}
    return {"started": _example(summary, {"data": data})}


def _outcome(summary: str, status: str, message: str, **members: Any) -> dict[str, Any]:
    return _example(summary, {"data": {"status": status, "message": message, **members}})


_SUCCESS = {
    "status": "success",
    "token": "eyJ...",
    "refreshToken": "eyJ...",
    "deviceToken": "Ij...",
    "user": {"id": "user-2"},
}
_INVALID_CODE = _outcome(
    "A wrong code", "invalid_code", "Invalid verification code", remainingAttempts=2
)
_LOCKED = _outcome(
    "The session is locked",
    "locked",
    "Too many failed attempts. Session is locked.",
    remainingAttempts=0,
)
_TOKENS = {"token": "eyJ...", "refreshToken": "eyJ..."}
_TYPES = {413: _of(PayloadTooLarge()), 415: _of(UnsupportedMediaType())}
_AWAY = {503: _of(ServiceUnavailable(retry_after=RETRY_AFTER))}
_LIMITED = TooManyRequests(retry_after=30, scope="client")

#: The example answers of each operation, by HTTP status.
ANSWERS: dict[str, dict[int, Examples]] = {
    "initiate": {
        200: _started("A new session", 300),
        400: {
            **_of(InvalidRequest(fields={"method": _MISSING})),
            "sms": _of(InvalidIdentifier("Invalid phone number format"))["invalidIdentifier"],
            "email": _of(InvalidIdentifier("Invalid email address format"))["invalidIdentifier"],
        },
        429: _of(_LIMITED, IdentifierLocked(retry_after=60)),
        500: _of(SendFailed()),
        **_TYPES,
        **_AWAY,
    },
    "verify": {
        200: {"success": _example("A correct code", {"data": _SUCCESS})},
        400: _of(InvalidRequest(fields={"code": _MISSING}), SessionAlreadyVerified()),
        401: {"invalid_code": _INVALID_CODE},
        403: {"locked": _LOCKED, **_of(SessionExpired())},
        404: {
            "session": _outcome(
                "There is no such session", "not_found", "Session not found or expired"
            ),
            "user": _outcome("There is no such user", "not_found", "User not found"),
        },
        429: _of(_LIMITED),
        500: _of(AuthenticationFailed()),
        **_TYPES,
        **_AWAY,
    },
    "resend": {
        200: _started("The same session, one minute later", 240),
        400: _of(InvalidRequest(fields={"sessionId": _MISSING})),
        403: _of(SessionExpired()),
        404: _of(SessionNotFound()),
        429: _of(_LIMITED, IdentifierLocked(retry_after=60), TooManyResends()),
        500: _of(SendFailed()),
        **_TYPES,
        **_AWAY,
    },
    "refresh": {
        200: {"refreshed": _example("New tokens", {"data": _TOKENS})},
        401: _of(InvalidRefreshToken()),
        429: _of(_LIMITED),
        500: _of(InternalError()),
        **_AWAY,
    },
    "logout": {
        401: _of(CsrfMismatch()),
        429: _of(_LIMITED),
        500: _of(InternalError()),
        **_AWAY,
    },
}
