"""Makes the description that is shipped as ``openapi.json`` from the schemas, with apispec.

``python -m flask_otp_auth.openapi.generate`` writes it anew. It describes the endpoints with every
option on; ``describe`` cuts out what one application has of them.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from ..http import schemas
from ..option_values import METHODS
from . import SHIPPED, answers, as_text, requests

_JSON = "application/json"
_ERRORS = {
    400: ("OtpBadRequest", ["badRequest", "invalidIdentifier", "alreadyVerified"]),
    401: ("OtpUnauthorized", ["invalidRefreshToken", "unauthorized"]),
    413: ("OtpPayloadTooLarge", ["payloadTooLarge"]),
    415: ("OtpUnsupportedMediaType", ["unsupportedMediaType"]),
    429: ("OtpTooManyRequests", ["tooManyRequests", "identifierLocked", "tooManyResends"]),
    500: ("OtpInternalServerError", ["internalServerError"]),
    503: ("OtpServiceUnavailable", ["serviceUnavailable"]),
}
_WHEN = {
    413: "The body is over 16 KiB.",
    415: "The body is not declared as JSON in UTF-8.",
    500: "It failed; the log of the server says why under `error.id`.",
    503: "The database is away; `Retry-After` says when to try again.",
}
_HEADERS: dict[str, dict[str, Any]] = {
    "OtpCacheControl": {"schema": {"type": "string", "const": "no-store"}, "required": True},
    "OtpContentTypeOptions": {"schema": {"type": "string", "const": "nosniff"}, "required": True},
    "OtpRetryAfter": {
        "description": "Seconds to wait. Absent where waiting does not help.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
_EVERYWHERE = {
    "Cache-Control": "OtpCacheControl",
    "X-Content-Type-Options": "OtpContentTypeOptions",
}
_OF_SESSION = {"requestBody": {"sessionId": "$response.body#/data/sessionId"}}


def generate() -> dict[str, Any]:
    """Return the description of all endpoints with every option on, as OpenAPI 3.1."""
    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)
    spec = APISpec(
        title="Login with a one-time code",
        version=version("Flask-OTP-Auth"),
        openapi_version="3.1.0",
        info={
            "description": "Sign in with a short code that comes by SMS or email, as "
            "Flask-OTP-Auth offers it."
        },
        tags=[{"name": "otp", "description": "Login with a one-time code."}],
        plugins=[plugin],
    )
    assert plugin.converter is not None  # noqa: S101 - made by the line above
    plugin.converter.add_attribute_function(requests.rules_of)  # type: ignore[no-untyped-call]
    _add_schemas(spec)
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)
    for name, header in _HEADERS.items():
        spec.components.header(name, header)
    for path, operation in _operations().items():
        spec.path(f"/otp/{path}", operations={"post": operation})
    return {"openapi": "3.1.0", **spec.to_dict()}


_SECURITY = {
    "otpToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A refresh token or an access token in the header.",
    },
    "otpRefreshCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "refresh_token_cookie",
        "description": "The refresh token as a cookie, with `X-CSRF-TOKEN`.",
    },
}

_CSRF = {
    "name": "X-CSRF-TOKEN",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "With cookies: the value of the CSRF cookie that came with the token.",
}


def _component_name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__


def _add_schemas(spec: APISpec) -> None:
    described: dict[str, tuple[Any, str]] = {
        "OtpInitiateRequest": (
            schemas.initiate_request(METHODS, trusts_devices=True),
            "Who wants a code.",
        ),
        "OtpVerifyRequest": (schemas.verify_request, "A typed code."),
        "OtpResendRequest": (schemas.resend_request, "The session to send one more code for."),
    }
    for answer in vars(answers).values():
        if isinstance(answer, type) and issubclass(answer, Schema) and answer is not Schema:
            described[answer.__name__] = (answer, answer.__doc__ or "")
    for status, (name, codes) in _ERRORS.items():
        described[name] = (answers.error_schema(name, status, codes), f"An error of {status}.")
    for name, (schema, text) in described.items():
        spec.components.schema(name, schema=schema)
        spec.components.schemas[name]["description"] = text
    for name, component in spec.components.schemas.items():
        if not name.endswith("Request"):  # a client must let members pass that are added later
            del component["additionalProperties"]
    for name, component in requests.COMPONENTS.items():
        spec.components.schema(name, component)
    spec.components.schemas["OtpInitiateRequest"] |= requests.IDENTIFIER_BY_METHOD
    for name, data in _ANSWERS.items():
        spec.components.schema(name, _envelope(data))


_ANSWERS = {
    "OtpStartedSessionAnswer": ["OtpStartedSession"],
    "OtpSuccessAnswer": ["OtpSuccess"],
    "OtpInvalidCodeAnswer": ["OtpInvalidCode"],
    "OtpForbiddenAnswer": ["OtpLocked", "OtpExpired"],
    "OtpExpiredAnswer": ["OtpExpired"],
    "OtpNotFoundAnswer": ["OtpNotFound"],
    "OtpTokensAnswer": ["OtpTokens"],
}
_STATUS_OF = {"OtpLocked": "locked", "OtpExpired": "expired"}


def _envelope(data: list[str]) -> dict[str, Any]:
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in data]
    inside: dict[str, Any] = refs[0]
    if len(refs) > 1:
        mapping = {_STATUS_OF[name]: ref["$ref"] for name, ref in zip(data, refs, strict=True)}
        inside = {
            "oneOf": refs,
            "discriminator": {"propertyName": "status", "mapping": mapping},
        }
    return {"type": "object", "required": ["data"], "properties": {"data": inside}}


def _operations() -> dict[str, dict[str, Any]]:
    session = _answer("OtpStartedSessionAnswer", "The code is on its way.")
    session["links"] = {
        name: {"operationId": f"otp{name.capitalize()}", **_OF_SESSION}
        for name in ("verify", "resend")
    }
    not_found = _answer("OtpNotFoundAnswer", "There is no such session, or it is not pending.")
    limited = "Too many codes were asked for, or too many wrong ones typed."
    return {
        "initiate": _operation(
            "initiate",
            "Start a session and have its code sent.",
            {"200": session},
            {400: "The body or the identifier has no accepted form.", 429: limited},
        ),
        "verify": _operation(
            "verify",
            "Judge a typed code and sign in if it is right.",
            {
                "200": _answer("OtpSuccessAnswer", "The code was right."),
                "401": _answer("OtpInvalidCodeAnswer", "The code was wrong."),
                "403": _answer("OtpForbiddenAnswer", "The session takes no more tries."),
                "404": _answer("OtpNotFoundAnswer", "There is no such session, or no user."),
            },
            {400: "The body does not fit, or the session was used before.", 429: limited},
        ),
        "resend": _operation(
            "resend",
            "Send one more code for a pending session; the earlier ones keep working.",
            {
                "200": session,
                "403": _answer("OtpExpiredAnswer", "The session's time is over."),
                "404": not_found,
            },
            {400: "The body does not fit.", 429: limited},
        ),
        "refresh": _refresh(),
        "logout": _logout(),
    }


def _operation(
    name: str, summary: str, responses: dict[str, Any], errors: dict[int, str]
) -> dict[str, Any]:
    schema = f"Otp{name.capitalize()}Request"
    content = {"schema": schema, "examples": requests.EXAMPLES[name]}
    return {
        "operationId": f"otp{name.capitalize()}",
        "summary": summary,
        "tags": ["otp"],
        "security": [],
        "requestBody": {"required": True, "content": {_JSON: content}},
        "responses": {**responses, **_errors({**errors, **_WHEN})},
    }


def _refresh() -> dict[str, Any]:
    return {
        "operationId": "otpRefresh",
        "summary": "Change a refresh token for new tokens; it works once.",
        "tags": ["otp"],
        "security": [{"otpToken": []}, {"otpRefreshCookie": []}],
        "parameters": [_CSRF],
        "responses": {
            "200": _answer("OtpTokensAnswer", "Here are the new tokens."),
            **_errors(
                {
                    401: "The refresh token is missing, used up, ended or out of date.",
                    500: _WHEN[500],
                    503: _WHEN[503],
                }
            ),
        },
    }


def _logout() -> dict[str, Any]:
    return {
        "operationId": "otpLogout",
        "summary": "End the login; without a token there is nothing to end.",
        "tags": ["otp"],
        "security": [{"otpToken": []}, {"otpRefreshCookie": []}, {}],
        "parameters": [_CSRF],
        "responses": {
            "204": {"description": "The login is over.", "headers": dict(_EVERYWHERE)},
            **_errors(
                {
                    401: "Cookies came without their CSRF token.",
                    500: _WHEN[500],
                    503: _WHEN[503],
                }
            ),
        },
    }


def _answer(schema: str, description: str, *, retry: bool = False) -> dict[str, Any]:
    headers = {**_EVERYWHERE, "Retry-After": "OtpRetryAfter"} if retry else _EVERYWHERE
    return {
        "description": description,
        "headers": dict(headers),
        "content": {_JSON: {"schema": schema}},
    }


def _errors(when: dict[int, str]) -> dict[str, Any]:
    return {
        str(status): _answer(_ERRORS[status][0], text, retry=status in (429, 503))
        for status, text in sorted(when.items())
    }


if __name__ == "__main__":
    SHIPPED.write_text(as_text(generate()), encoding="utf-8")
