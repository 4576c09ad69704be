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
            ("sms", {"minLength": 8, "maxLength": 20, "pattern": _PHONE}),
            ("email", {"maxLength": 254, "pattern": _EMAIL}),
        )
    ]
}

#: Schemas that no class of marshmallow stands for. What a payload holds further inside is said in
#: words, since generators of clients do not read schemas of values that hold one another.
COMPONENTS: dict[str, dict[str, Any]] = {
    "OtpPayload": {
        "description": "An object of the client's that the application gets along with the "
        f"identifier: at most {schemas.PAYLOAD_BYTES} bytes, {schemas.PAYLOAD_LEVELS} levels, "
        f"{schemas.PAYLOAD_VALUES} values and integers of 64 bits. Objects inside are bounded as "
        "this one is.",
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

_SESSION = "0f6a1c3e5b7d9f00aa11bb22cc33dd44"

#: Bodies that each operation takes.
EXAMPLES: dict[str, dict[str, Any]] = {
    "initiate": {
        "sms": {"value": {"identifier": "+46 70 123 45 67", "method": "sms"}},
        "email": {"value": {"identifier": "reader@example.com", "method": "email"}},
    },
    "verify": {"code": {"value": {"sessionId": _SESSION, "code": "123 456"}}},
    "resend": {"session": {"value": {"sessionId": _SESSION}}},
}


def rules_of(_: Any, field: fields.Field[Any], **__: Any) -> dict[str, Any]:
    """Return what the validators of *field* ask that apispec cannot read off them."""
    if schemas.check_payload in field.validators:
        return {"anyOf": [{"$ref": "#/components/schemas/OtpPayload"}, {"type": "null"}]}
    if schemas.check_not_blank in field.validators:
        return {"pattern": r"[^ \-]"}
    if field.data_key == "deviceToken":
        return {
            "description": "What verify gave this device; any other value is as good as none.",
        }
    return {}
