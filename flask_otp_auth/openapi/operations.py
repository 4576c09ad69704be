"""What each operation takes and answers, in the form of OpenAPI."""

from __future__ import annotations

from typing import Any

from .examples import ANSWERS, REQUESTS, Examples

_JSON = "application/json"

#: The schema of the errors of each status, and when each ``error.code`` comes.
ERRORS: dict[int, tuple[str, dict[str, str]]] = {
    400: (
        "OtpBadRequest",
        {
            "badRequest": "The body is not the JSON object that the operation takes. "
            "`error.fields` says which members do not fit.",
            "invalidIdentifier": "The phone number or the email address has no form that is "
            "accepted, or it is one that no message may go to.",
            "alreadyVerified": "The right code has used the session up before.",
        },
    ),
    401: (
        "OtpUnauthorized",
        {
            "invalidRefreshToken": "The refresh token is missing, forged, expired or used, or its "
            "login has ended. The person has to sign in again.",
            "unauthorized": "A logout by cookie came without its CSRF token.",
        },
    ),
    413: ("OtpPayloadTooLarge", {"payloadTooLarge": "The body is over 16 KiB."}),
    415: (
        "OtpUnsupportedMediaType",
        {
            "unsupportedMediaType": "The body is not declared as JSON in UTF-8, or it is "
            "compressed.",
        },
    ),
    429: (
        "OtpTooManyRequests",
        {
            "tooManyRequests": "A limit of the client or of the account is used up.",
            "identifierLocked": "There were too many wrong codes in a row. Without "
            "`error.retryAfter`, only an unlock helps.",
            "tooManyResends": "The session has had all its resends. A new one may be started.",
        },
    ),
    500: (
        "OtpInternalServerError",
        {
            "internalServerError": "Something failed on the server. The reason is in its log "
            "under `error.id`, and never in the answer.",
        },
    ),
    503: (
        "OtpServiceUnavailable",
        {"serviceUnavailable": "The database, or the store of the limits, is away."},
    ),
}

HEADERS: dict[str, dict[str, Any]] = {
    "OtpCacheControl": {
        "description": "No answer may be kept by a cache.",
        "schema": {"type": "string", "const": "no-store"},
        "required": True,
    },
    "OtpContentTypeOptions": {
        "description": "A browser must not guess at the type of an answer.",
        "schema": {"type": "string", "const": "nosniff"},
        "required": True,
    },
    "OtpRetryAfter": {
        "description": "Seconds to wait. Absent where waiting does not help.",
        "schema": {"type": "integer", "minimum": 1},
    },
}

SECURITY: dict[str, dict[str, str]] = {
    "otpToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "In the header `Authorization`: a refresh token, or for logout an access "
        "token.",
    },
    "otpRefreshCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "refresh_token_cookie",
        "description": "As a cookie: the refresh token, together with `X-CSRF-TOKEN`.",
    },
}

_CSRF = {
    "name": "X-CSRF-TOKEN",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "With cookies: the value of the CSRF cookie that came with the token.",
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
    415: "The body is of another media type, or compressed.",
}
_ANY = {503: "The database is away; `Retry-After` says when to try again."}
_OWN_LIMIT = "A limit of the application itself, over all its routes, is used up."


def initiate() -> dict[str, Any]:
    """Describe ``POST /initiate``."""
    return _with_body(
        "initiate",
        "Start a session and have its code sent.",
        "The answer is the same whether the application knows somebody under the identifier or "
        "not. Each call starts a session of its own; the sessions before it stay as they are.",
        {200: ("OtpStartedSessionAnswer", "The code is on its way.")},
        {
            400: "The body does not fit, or the identifier has no accepted form.",
            429: "The client or the account asked for too many codes, or there were too many "
            "wrong ones.",
            500: "The code could not be sent, and the session is gone; or something else failed.",
        },
    )


def verify() -> dict[str, Any]:
    """Describe ``POST /verify``."""
    return _with_body(
        "verify",
        "Judge a typed code and sign in if it is right.",
        "A code is right before `expiresAt`, and uses its session up. However many guesses come at "
        "the same time, no session judges more than its number of tries.",
        {
            200: ("OtpSuccessAnswer", "The code was right."),
            401: ("OtpInvalidCodeAnswer", "The code was wrong, and there are tries left."),
            403: ("OtpForbiddenAnswer", "The session takes no more tries."),
            404: (
                "OtpNotFoundAnswer",
                "There is no such session; or the code was right and there is no user.",
            ),
        },
        {
            400: "The body does not fit, or the session was used before.",
            429: _OWN_LIMIT,
            500: "The code was right and the application failed to sign the person in, so the "
            "session is used up; or something else failed.",
        },
    )


def resend() -> dict[str, Any]:
    """Describe ``POST /resend``."""
    return _with_body(
        "resend",
        "Send one more code for a pending session; the earlier ones keep working.",
        "Tries and time do not grow: the answer has the same `sessionId` and `expiresAt`, and as "
        "`ttl` the seconds that are left. It counts as a send in the limits.",
        {
            200: ("OtpStartedSessionAnswer", "One more code is on its way."),
            403: ("OtpExpiredAnswer", "The session's time is over."),
            404: ("OtpNotFoundAnswer", "There is no such session, or it is not pending."),
        },
        {
            400: "The body does not fit.",
            429: "The client or the account asked for too many codes, there were too many wrong "
            "ones, or the session has had its resends.",
            500: "The code could not be sent, and the session goes on with its earlier ones; or "
            "something else failed.",
        },
    )


def refresh() -> dict[str, Any]:
    """Describe ``POST /refresh``."""
    return _with_token(
        "refresh",
        "Change a refresh token for new tokens; it works once.",
        "It takes no body. A second use of a refresh token ends its login, with every token of "
        "it. By cookie, the new tokens are cookies too, and `data` is empty.",
        [{"otpToken": []}, {"otpRefreshCookie": []}],
        {"200": _answer("refresh", 200, "OtpTokensAnswer", "Here are the new tokens.")},
        "The refresh token is missing, used up, ended or out of date.",
    )


def logout() -> dict[str, Any]:
    """Describe ``POST /logout``."""
    over = {"description": "The login is over.", "headers": dict(_EVERYWHERE)}
    return _with_token(
        "logout",
        "End the login; without a token there is nothing to end.",
        "It takes no body. It ends the login of the token that comes with it, an expired one too, "
        "and clears the cookies.",
        [{"otpToken": []}, {"otpRefreshCookie": []}, {}],
        {"204": over},
        "Cookies came without their CSRF token.",
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
    content = {"schema": schema, "examples": _named(REQUESTS[name])}
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
    errors = {401: refused, 429: _OWN_LIMIT, 500: "Something failed.", **_ANY}
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
        "content": {_JSON: {"schema": schema, "examples": _named(ANSWERS[name][status])}},
    }


def _errors(name: str, when: dict[int, str]) -> dict[int, dict[str, Any]]:
    return {
        status: _answer(name, status, ERRORS[status][0], text, retry=status in (429, 503))
        for status, text in when.items()
    }


def _named(examples: Examples) -> Examples:
    return {name: {"value": value} for name, value in examples.items()}
