"""What the schemas of requests ask of values, in the words of JSON Schema."""

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

#: Belongs to the schema of initiate: the method says which form the identifier has.
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
                    "description": "A phone number of 7 to 15 digits: `+46 (70) 123-4567` becomes "
                    "`+46701234567`.",
                    "minLength": 8,
                    "maxLength": 20,
                    "pattern": _PHONE,
                },
            ),
            (
                "email",
                {
                    "description": "An email address: `Reader@Example.com` becomes "
                    "`reader@example.com`.",
                    "maxLength": 254,
                    "pattern": _EMAIL,
                },
            ),
        )
    ]
}

#: Schemas that no class of marshmallow stands for. What a payload holds further inside is said in
#: words, since generators of clients do not read schemas of values that hold one another.
COMPONENTS: dict[str, dict[str, Any]] = {
    "OtpPayload": {
        "description": f"At most {schemas.PAYLOAD_BYTES} bytes of JSON, {schemas.PAYLOAD_LEVELS} "
        f"levels and {schemas.PAYLOAD_VALUES} values, and integers of 64 bits. Objects inside are "
        "bounded as this one is.",
        "type": "object",
        "maxProperties": schemas.PAYLOAD_MEMBERS,
        "propertyNames": {
            "minLength": 1,
            "maxLength": schemas.NAME_LENGTH,
            "pattern": r"^(?!__proto__$)[^$.\u0000]*$",
        },
        "additionalProperties": {},
    },
}

#: What each member of a request is for.
MEMBERS: dict[str, dict[str, str]] = {
    "OtpInitiateRequest": {
        "identifier": "Whom to send the code to, as the person typed it. It is brought into one "
        "form, which is what is stored and sent to.",
        "method": "How to send the code, which says what `identifier` is.",
        "payload": "Whatever the application wants to know along with the identifier. It is the "
        "client's word, and nothing is proved by it.",
        "deviceToken": "What an answer of verify gave this device. Any other value is as good as "
        "none.",
    },
    "OtpVerifyRequest": {
        "sessionId": "From the answer of initiate.",
        "code": "What the person typed. Spaces and hyphens anywhere in it do not matter. "
        "Whatever else fits here is a try, and a wrong one.",
    },
    "OtpResendRequest": {"sessionId": "From the answer of initiate."},
}


def rules_of(_: Any, field: fields.Field[Any], **__: Any) -> dict[str, Any]:
    """Return what the validators of *field* ask that apispec cannot read off them."""
    if schemas.check_payload in field.validators:
        return {"anyOf": [{"$ref": "#/components/schemas/OtpPayload"}, {"type": "null"}]}
    if schemas.check_not_blank in field.validators:
        return {"pattern": r"[^ \-]"}
    return {}
