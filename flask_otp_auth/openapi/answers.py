"""Marshmallow schemas of every answer and error, from which their description is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate


def _status(value: str) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.OneOf([value]),
        metadata={"description": "The outcome, for programs."},
    )


def _message(*texts: str) -> fields.String:
    description = "For the person who typed the code."
    return fields.String(
        required=True, metadata={"description": description, "examples": list(texts)}
    )


class OtpStartedSession(Schema):
    """A session whose code was handed to the sender."""

    session_id = fields.String(
        required=True,
        data_key="sessionId",
        validate=validate.Regexp(r"^[0-9a-f]{32}$"),
        metadata={"description": "What verify and resend ask for."},
    )
    expires_at = fields.DateTime(
        required=True,
        data_key="expiresAt",
        metadata={"description": "From this moment on the code is too late, in UTC."},
    )
    ttl = fields.Integer(
        required=True,
        validate=validate.Range(min=0),
        metadata={"description": "Seconds until `expiresAt`."},
    )


class OtpSuccess(Schema):
    """The code was right."""

    status = _status("success")
    token = fields.String(
        metadata={
            "description": "The access token. Absent where tokens are cookies only, and where the "
            "application keeps logins itself."
        }
    )
    refresh_token = fields.String(
        data_key="refreshToken",
        metadata={"description": "What refresh asks for. Absent where tokens are cookies only."},
    )
    device_token = fields.String(
        data_key="deviceToken",
        metadata={
            "description": "Sent along with later requests for a code, it keeps the sends and "
            "failures of this device apart from those of strangers. Absent where tokens are "
            "cookies."
        },
    )
    user = fields.Raw(
        required=True,
        allow_none=True,
        metadata={
            "description": "What the application says of the user; `id` alone if it does not say."
        },
    )


class OtpInvalidCode(Schema):
    """The code was wrong, and the session takes more tries."""

    status = _status("invalid_code")
    message = _message("Invalid verification code")
    remaining_attempts = fields.Integer(
        required=True,
        data_key="remainingAttempts",
        validate=validate.Range(min=1),
        metadata={"description": "Tries that are left."},
    )


class OtpLocked(Schema):
    """The last try was wrong, with this request or before."""

    status = _status("locked")
    message = _message("Too many failed attempts. Session is locked.")
    remaining_attempts = fields.Integer(
        required=True,
        data_key="remainingAttempts",
        validate=validate.Range(0, 0),
        metadata={"description": "No tries are left."},
    )


class OtpExpired(Schema):
    """The lifetime of the session's codes is over."""

    status = _status("expired")
    message = _message("Verification code has expired")


class OtpNotFound(Schema):
    """There is no such session that can be used, or the code was right and there is no user."""

    status = _status("not_found")
    message = _message("Session not found or expired", "User not found")


class OtpTokens(Schema):
    """New tokens; they are absent where tokens are cookies only."""

    token = fields.String(metadata={"description": "The new access token."})
    refresh_token = fields.String(
        data_key="refreshToken",
        metadata={"description": "The new refresh token; the one that was sent is used up."},
    )


def error_schema(name: str, status: int, codes: Mapping[str, str]) -> type[Schema]:
    """Return the schema of an error answer.

    :param name: of the schema in the description.
    :param status: of HTTP.
    :param codes: what ``error.code`` can be, and when it is that.
    """
    members: dict[str, fields.Field[Any]] = {
        "id": fields.UUID(
            required=True, metadata={"description": "Stands in the log of the server as well."}
        ),
        "title": fields.String(required=True, metadata={"description": "Names the status."}),
        "detail": fields.String(required=True, metadata={"description": "Says what was wrong."}),
        "code": fields.String(
            required=True,
            validate=validate.OneOf(list(codes)),
            metadata={
                "description": "Says what was wrong, for programs.",
                "x-enumDescriptions": dict(codes),
            },
        ),
    }
    if status == 400:
        members["fields"] = fields.Dict(
            metadata={
                "description": "Messages by member, where the body did not fit, without what was "
                "sent."
            }
        )
    if status in (429, 503):
        members["retry_after"] = fields.Integer(
            data_key="retryAfter",
            validate=validate.Range(min=1),
            metadata={"description": "Seconds to wait. Absent where waiting does not help."},
        )
    details = Schema.from_dict(members, name=f"{name}Details")
    return Schema.from_dict(
        {
            "status": fields.Integer(
                required=True,
                validate=validate.Range(status, status),
                metadata={"description": "The status of the answer."},
            ),
            "error": fields.Nested(details, required=True),
        },
        name=name,
    )
