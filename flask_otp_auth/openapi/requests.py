"""The parts of the request schemas that apispec cannot derive: patterns, bounds, descriptions."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from ..http import schemas

_GAP = r"[ ()\-]*"
_ABROAD = rf"[1-9](?:{_GAP}[0-9]){{6,14}}{_GAP}"
_AT_HOME = rf"[0-9](?:{_GAP}[0-9]){{6,14}}{_GAP}"
_PHONE = (
    rf"^(?:\+{_GAP}{_ABROAD}|{_GAP}0{_GAP}0{_GAP}{_ABROAD}|(?!{_GAP}0{_GAP}0){_GAP}{_AT_HOME})$"
)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_TOP = r"[A-Za-z](?:[A-Za-z0-9\-]{0,61}[A-Za-z])?"
_EMAIL = rf"^(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP}$"

#: A part of the schema of initiate: the form of the identifier depends on the method.
IDENTIFIER_BY_METHOD: dict[str, Any] = {
    "allOf": [
        {
            "if": {"properties": {"method": {"const": method}}},
            "then": {"properties": {"identifier": form}},
        }
        for method, form in (
            (
                "sms",
                {
                    "description": "A phone number of 7 to 15 digits. It may begin with `+` or "
                    "`00` and contain spaces, hyphens and brackets. `+46 (70) 123-4567` is "
                    "normalised to `+46701234567`.",
                    "minLength": 8,
                    "maxLength": 20,
                    "pattern": _PHONE,
                },
            ),
            (
                "email",
                {
                    "description": "An email address in ASCII; an international domain is written "
                    "in punycode. `Reader@Example.com` is normalised to `reader@example.com`.",
                    "maxLength": 254,
                    "pattern": _EMAIL,
                },
            ),
        )
    ]
}

#: Schemas that are not derived from a marshmallow class. The bounds of nested values are given in
#: words, since client generators do not support recursive schemas.
COMPONENTS: dict[str, dict[str, Any]] = {
    "OtpPayload": {
        "description": "A payload is limited to "
        f"{schemas.PAYLOAD_BYTES} bytes of JSON, {schemas.PAYLOAD_LEVELS} levels and "
        f"{schemas.PAYLOAD_VALUES} values, and its integers to 64 bits. The limits on members and "
        "their names apply to nested objects too.",
        "type": "object",
        "maxProperties": schemas.PAYLOAD_MEMBERS,
        "propertyNames": {
            "minLength": 1,
            "maxLength": schemas.NAME_LENGTH,
            "pattern": r"^(?!__proto__$)[^$.\u0000]*$",
            "description": "A name must not be `__proto__` and must not contain `$`, `.` or NUL.",
        },
        "additionalProperties": {},
    },
}

#: The description of each member of a request.
MEMBERS: dict[str, dict[str, str]] = {
    "OtpInitiateRequest": {
        "identifier": "The phone number or email address to which the code is sent, as the person "
        "typed it. The application normalises it, and stores and uses the normalised form.",
        "method": "How the code is sent. The form of `identifier` depends on it.",
        "payload": "Further data for the application, which is stored with the session. Nothing "
        "in it is verified, so the application must not derive any rights from it.",
        "deviceToken": "The `deviceToken` that verify gave to this device at an earlier login. Any "
        "other value is treated as if there were none.",
    },
    "OtpVerifyRequest": {
        "sessionId": "The `sessionId` from the answer of initiate.",
        "code": "The code as the person typed it. Spaces and hyphens are ignored, but there must "
        "be at least one other character. Any text that is not the code counts as a wrong code.",
    },
    "OtpResendRequest": {"sessionId": "The `sessionId` from the answer of initiate."},
}


def rules_of(_: Any, field: fields.Field[Any], **__: Any) -> dict[str, Any]:
    """Return the JSON Schema for those validators of *field* that apispec does not know."""
    if schemas.check_payload in field.validators:
        return {"anyOf": [{"$ref": "#/components/schemas/OtpPayload"}, {"type": "null"}]}
    if schemas.check_not_blank in field.validators:
        return {"pattern": r"[^ \-]"}
    return {}
