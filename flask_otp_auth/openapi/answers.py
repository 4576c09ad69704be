"""The marshmallow schemas of all answers and errors; the description is generated from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate


def _status(value: str) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.OneOf([value]),
        metadata={"description": "The outcome, as a fixed value for programs."},
    )


def _message(*texts: str) -> fields.String:
    description = "The outcome in words, for the person who is signing in."
    return fields.String(
        required=True, metadata={"description": description, "examples": list(texts)}
    )


class OtpStartedSession(Schema):
    """A pending session whose code is on its way."""

    session_id = fields.String(
        required=True,
        data_key="sessionId",
        validate=validate.Regexp(r"^[0-9a-f]{32}$"),
        metadata={
            "description": "The id of the session, 32 lower-case hexadecimal digits. Verify and "
            "resend require it. Keep it confidential."
        },
    )
    expires_at = fields.DateTime(
        required=True,
        data_key="expiresAt",
        metadata={
            "description": "The time at which the code expires, in UTC with milliseconds. The "
            "code is accepted only before this time."
        },
    )
    ttl = fields.Integer(
        required=True,
        validate=validate.Range(min=0),
        metadata={"description": "The number of whole seconds until `expiresAt`."},
    )


class OtpSuccess(Schema):
    """The code is correct, and the person is signed in."""

    status = _status("success")
    token = fields.String(
        metadata={
            "description": "The access token. It is absent if tokens are sent in cookies only, or "
            "if the application keeps track of logins itself."
        }
    )
    refresh_token = fields.String(
        data_key="refreshToken",
        metadata={
            "description": "The token that refresh exchanges for new tokens. It is absent if "
            "tokens are sent in cookies only, or if the application makes its own tokens."
        },
    )
    device_token = fields.String(
        data_key="deviceToken",
        metadata={
            "description": "The token of this device. Store it, and send it along when you next "
            "ask for a code: the codes and failures of this device are then counted separately "
            "from those of everybody else. It is absent if tokens are sent in cookies, since it "
            "is then a cookie too."
        },
    )
    user = fields.Raw(
        required=True,
        allow_none=True,
        metadata={
            "description": "The user, in a form that the application chooses. By default it is an "
            "object with the member `id` only."
        },
    )


class OtpInvalidCode(Schema):
    """The code is wrong, and the session has attempts left."""

    status = _status("invalid_code")
    message = _message("Invalid verification code")
    remaining_attempts = fields.Integer(
        required=True,
        data_key="remainingAttempts",
        validate=validate.Range(min=1),
        metadata={"description": "The number of attempts that the session has left."},
    )


class OtpLocked(Schema):
    """The session is locked: its last attempt was wrong, now or in an earlier request."""

    status = _status("locked")
    message = _message("Too many failed attempts. Session is locked.")
    remaining_attempts = fields.Integer(
        required=True,
        data_key="remainingAttempts",
        validate=validate.Range(0, 0),
        metadata={"description": "No attempts are left."},
    )


class OtpExpired(Schema):
    """The code of the session has expired."""

    status = _status("expired")
    message = _message("Verification code has expired")


class OtpNotFound(Schema):
    """There is no such session that can be used, or the code is correct but there is no user."""

    status = _status("not_found")
    message = _message("Session not found or expired", "User not found")


class OtpTokens(Schema):
    """The new tokens. They are absent if the refresh token was sent in a cookie."""

    token = fields.String(metadata={"description": "The new access token."})
    refresh_token = fields.String(
        data_key="refreshToken",
        metadata={
            "description": "The new refresh token. The one that was sent does not work any more."
        },
    )


def error_schema(name: str, status: int, codes: Mapping[str, str]) -> type[Schema]:
    """Return the schema of the error answers of one HTTP status.

    :param name: the name of the schema in the description.
    :param status: the HTTP status.
    :param codes: the values that ``error.code`` can have, with the meaning of each.
    """
    members: dict[str, fields.Field[Any]] = {
        "id": fields.UUID(
            required=True,
            metadata={"description": "Identifies the error. The log of the server has it too."},
        ),
        "title": fields.String(
            required=True, metadata={"description": "The name of the HTTP status."}
        ),
        "detail": fields.String(
            required=True, metadata={"description": "What went wrong, in words."}
        ),
        "code": fields.String(
            required=True,
            validate=validate.OneOf(list(codes)),
            metadata={
                "description": "What went wrong, as a fixed value for programs.",
                "x-enumDescriptions": dict(codes),
            },
        ),
    }
    if status == 400:
        members["fields"] = fields.Dict(
            metadata={
                "description": "A list of messages for each member of the body that is wrong, "
                "without the values that were sent. It is present only with `badRequest`, and "
                "only if the body is a JSON object."
            }
        )
    if status in (429, 503):
        members["retry_after"] = fields.Integer(
            data_key="retryAfter",
            validate=validate.Range(min=1),
            metadata={
                "description": "The same number of seconds as in the header `Retry-After`. It is "
                "absent if waiting does not help."
            },
        )
    details = Schema.from_dict(members, name=f"{name}Details")
    return Schema.from_dict(
        {
            "status": fields.Integer(
                required=True,
                validate=validate.Range(status, status),
                metadata={"description": "The HTTP status of the answer."},
            ),
            "error": fields.Nested(details, required=True),
        },
        name=name,
    )
