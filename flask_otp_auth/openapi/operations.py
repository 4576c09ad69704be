"""The requests and answers of each operation, as operation objects of OpenAPI."""

from __future__ import annotations

from typing import Any

from .examples import ANSWERS, REQUESTS

_JSON = "application/json"

#: The name of the schema of the errors of each HTTP status, and the meaning of each ``error.code``.
ERRORS: dict[int, tuple[str, dict[str, str]]] = {
    400: (
        "OtpBadRequest",
        {
            "badRequest": "The body is not a JSON object of the form that the operation requires. "
            "`error.fields` says which members are wrong.",
            "invalidIdentifier": "The identifier does not have the form of a phone number or an "
            "email address, or no message may be sent to it. Let the person correct it.",
            "alreadyVerified": "The session has already been verified with a correct code. It "
            "cannot be used again; start a new one if the person is not signed in.",
        },
    ),
    401: (
        "OtpUnauthorized",
        {
            "invalidRefreshToken": "The refresh token is missing, forged, expired or already used, "
            "its CSRF token is missing, or its login has ended. The person has to sign in again.",
            "unauthorized": "The tokens of the login were sent in cookies, but without the CSRF "
            "token of any of them. Send it in `X-CSRF-TOKEN`.",
        },
    ),
    413: (
        "OtpPayloadTooLarge",
        {"payloadTooLarge": "The body is larger than 16 KiB, or than the application allows."},
    ),
    415: (
        "OtpUnsupportedMediaType",
        {
            "unsupportedMediaType": "The media type of the body is not `application/json` in "
            "UTF-8, or the body is compressed.",
        },
    ),
    429: (
        "OtpTooManyRequests",
        {
            "tooManyRequests": "A limit on the client or on the account has been reached. Wait for "
            "the number of seconds in `error.retryAfter`.",
            "identifierLocked": "There were too many consecutive wrong codes for the account. Wait "
            "for the number of seconds in `error.retryAfter`. If it is absent, waiting does not "
            "help, and the application has to unlock the account.",
            "tooManyResends": "No more codes can be sent for this session. Start a new one.",
        },
    ),
    500: (
        "OtpInternalServerError",
        {
            "internalServerError": "Something failed on the server. Its log has the reason under "
            "the same `error.id`; the answer never contains it.",
        },
    ),
    503: (
        "OtpServiceUnavailable",
        {
            "serviceUnavailable": "The database or the storage of the limits is unavailable, or "
            "too many codes are waiting to be sent. Try again after the number of seconds in "
            "`error.retryAfter`."
        },
    ),
}

HEADERS: dict[str, dict[str, Any]] = {
    "OtpCacheControl": {
        "description": "No cache may store the answer.",
        "schema": {"type": "string", "const": "no-store"},
        "required": True,
    },
    "OtpContentTypeOptions": {
        "description": "A browser must not guess the media type of the answer.",
        "schema": {"type": "string", "const": "nosniff"},
        "required": True,
    },
    "OtpRetryAfter": {
        "description": "The number of seconds to wait before trying again. It is absent if waiting "
        "does not help.",
        "schema": {"type": "integer", "minimum": 1},
    },
}

SECURITY: dict[str, dict[str, str]] = {
    "otpToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The refresh token in the header `Authorization`, after `Bearer`. Logout "
        "accepts an access token as well.",
    },
    "otpRefreshCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "refresh_token_cookie",
        "description": "The refresh token in its cookie, together with its CSRF token in the "
        "header `X-CSRF-TOKEN`. Logout accepts the access token in its cookie as well.",
    },
}

_CSRF = {
    "name": "X-CSRF-TOKEN",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The value of the CSRF cookie that was set together with the token. It is "
    "needed if the token is sent in a cookie.",
}
_EVERYWHERE = {
    "Cache-Control": "OtpCacheControl",
    "X-Content-Type-Options": "OtpContentTypeOptions",
}
_OF_SESSION = {"requestBody": {"sessionId": "$response.body#/data/sessionId"}}
_LINKS = {
    name: {"operationId": f"otp{name.capitalize()}", **_OF_SESSION} for name in ("verify", "resend")
}
_ANY_BODY = {
    413: "The body is too large.",
    415: "The body is not declared as JSON in UTF-8, or it is compressed.",
}
_ANY = {
    503: "The service is temporarily unavailable, usually because its database cannot be reached."
}
_OWN_LIMIT = "A limit that the application applies to all of its endpoints has been reached."


def initiate() -> dict[str, Any]:
    """Describe ``POST /initiate``."""
    return _with_body(
        "initiate",
        "Start a session and send its code.",
        "Each request starts a session of its own and leaves earlier sessions as they are. The "
        "answer is the same whether or not the application knows the identifier.",
        {
            200: (
                "OtpStartedSessionAnswer",
                "The session has been started, and its code is on its way. Keep the `sessionId` "
                "and ask the person for the code.",
            )
        },
        {
            400: "The body or the identifier is not valid.",
            429: "The client or the account has reached a limit on codes, or there were too many "
            "consecutive wrong codes for the account.",
            500: "The code could not be sent, and the session cannot be used; or something else "
            "failed.",
        },
    )


def verify() -> dict[str, Any]:
    """Describe ``POST /verify``."""
    return _with_body(
        "verify",
        "Check the code that the person typed, and sign them in if it is correct.",
        "A code is accepted only before `expiresAt`, and a session can be verified only once. "
        "However many requests arrive at the same time, no more codes are checked than the session "
        "has attempts.",
        {
            200: ("OtpSuccessAnswer", "The code is correct, and the person is signed in."),
            401: (
                "OtpInvalidCodeAnswer",
                "The code is wrong, and the session has attempts left. Let the person try again.",
            ),
            403: (
                "OtpForbiddenAnswer",
                "The session does not accept codes any more. Start a new one.",
            ),
            404: (
                "OtpNotFoundAnswer",
                "There is no such session, or the code is correct but there is no such user. "
                "Start a new session.",
            ),
        },
        {
            400: "The body is not valid, or the session has already been verified.",
            429: _OWN_LIMIT,
            500: "The code is correct, but the application failed to sign the person in, and the "
            "session cannot be used again; or something else failed.",
        },
    )


def resend() -> dict[str, Any]:
    """Describe ``POST /resend``."""
    return _with_body(
        "resend",
        "Send another code for a session that is still pending.",
        "Earlier codes of the session keep working. A resend grants neither more attempts nor more "
        "time: the answer has the same `sessionId` and `expiresAt`, and its `ttl` is the number of "
        "seconds left. It counts towards the limits like any other code.",
        {
            200: ("OtpStartedSessionAnswer", "Another code for the session is on its way."),
            403: ("OtpExpiredAnswer", "The session has expired. Start a new one."),
            404: (
                "OtpNotFoundAnswer",
                "There is no such session, or it is no longer pending. Start a new one.",
            ),
        },
        {
            400: "The body is not valid.",
            429: "The client or the account has reached a limit on codes, there were too many "
            "consecutive wrong codes for the account, or the session has no resends left.",
            500: "The code could not be sent, but the earlier codes of the session keep working; "
            "or something else failed.",
        },
    )


def refresh() -> dict[str, Any]:
    """Describe ``POST /refresh``."""
    return _with_token(
        "refresh",
        "Exchange a refresh token for new tokens.",
        "The request has no body. A refresh token works once: if it is used a second time, its "
        "login ends, with all of its tokens. If the refresh token is sent in a cookie, the new "
        "tokens are set as cookies too, and `data` is empty.",
        [{"otpToken": []}, {"otpRefreshCookie": []}],
        {
            "200": _answer(
                "refresh",
                200,
                "OtpTokensAnswer",
                "The refresh token has been exchanged. Use the new tokens from now on.",
            )
        },
        "The refresh token is not valid. The person has to sign in again.",
    )


def logout() -> dict[str, Any]:
    """Describe ``POST /logout``."""
    over = {
        "description": "The login has ended, or there was none.",
        "headers": dict(_EVERYWHERE),
    }
    return _with_token(
        "logout",
        "End the login that a token belongs to.",
        "The request has no body. The token may have expired. All tokens of its login stop "
        "working, and the cookies are deleted. A request without a token is answered in the same "
        "way.",
        [{"otpToken": []}, {"otpRefreshCookie": []}, {}],
        {"204": over},
        "The tokens were sent in cookies, but without the CSRF token of any of them.",
    )


def _with_body(
    name: str,
    summary: str,
    description: str,
    outcomes: dict[int, tuple[str, str]],
    errors: dict[int, str],
) -> dict[str, Any]:
    answers = {status: _answer(name, status, *outcome) for status, outcome in outcomes.items()}
    answers |= _errors(name, {**errors, **_ANY_BODY, **_ANY})
    schema = f"Otp{name.capitalize()}Request"
    content = {"schema": schema, "examples": REQUESTS[name]}
    if "OtpStartedSessionAnswer" in outcomes[200]:
        answers[200]["links"] = _LINKS
    return {
        "operationId": f"otp{name.capitalize()}",
        "summary": summary,
        "description": description,
        "tags": ["otp"],
        "security": [],
        "requestBody": {"required": True, "content": {_JSON: content}},
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }


def _with_token(
    name: str,
    summary: str,
    description: str,
    security: list[dict[str, list[str]]],
    outcome: dict[str, Any],
    refused: str,
) -> dict[str, Any]:
    errors = {401: refused, 429: _OWN_LIMIT, 500: "Something failed on the server.", **_ANY}
    return {
        "operationId": f"otp{name.capitalize()}",
        "summary": summary,
        "description": description,
        "tags": ["otp"],
        "security": security,
        "parameters": [_CSRF],
        "responses": outcome | {str(code): said for code, said in _errors(name, errors).items()},
    }


def _answer(
    name: str, status: int, schema: str, description: str, *, retry: bool = False
) -> dict[str, Any]:
    headers = {**_EVERYWHERE, "Retry-After": "OtpRetryAfter"} if retry else _EVERYWHERE
    return {
        "description": description,
        "headers": dict(headers),
        "content": {_JSON: {"schema": schema, "examples": ANSWERS[name][status]}},
    }


def _errors(name: str, when: dict[int, str]) -> dict[int, dict[str, Any]]:
    return {
        status: _answer(name, status, ERRORS[status][0], text, retry=status in (429, 503))
        for status, text in when.items()
    }
