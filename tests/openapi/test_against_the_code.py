"""The description, which is kept by hand, says what the schemas and the errors in the code say."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from typing import Any

import pytest
from marshmallow import Schema, fields, validate

from flask_otp_auth import codes, exceptions, identifiers
from flask_otp_auth.exceptions import InvalidIdentifier, InvalidRequest, RequestError
from flask_otp_auth.http import schemas
from flask_otp_auth.openapi import SHIPPED
from flask_otp_auth.types import METHODS

DESCRIPTION = json.loads(SHIPPED.read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]
REQUESTS: dict[str, Schema] = {
    "OtpInitiateRequest": schemas.initiate_request(METHODS, trusts_devices=True),
    "OtpVerifyRequest": schemas.verify_request,
    "OtpResendRequest": schemas.resend_request,
}
FORMS = {
    rule["if"]["properties"]["method"]["const"]: rule["then"]["properties"]["identifier"]
    for rule in SCHEMAS["OtpInitiateRequest"]["allOf"]
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_has_the_members_that_the_schema_takes(name: str) -> None:
    members = {field.data_key or key: field for key, field in REQUESTS[name].fields.items()}

    assert SCHEMAS[name]["additionalProperties"] is False
    assert SCHEMAS[name]["properties"].keys() == members.keys()
    assert set(SCHEMAS[name]["required"]) == {key for key in members if members[key].required}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_member_has_the_type_and_the_bounds_that_the_schema_checks(name: str) -> None:
    for key, field in REQUESTS[name].fields.items():
        member = SCHEMAS[name]["properties"][field.data_key or key]
        if isinstance(field, fields.String):
            assert member["type"] == "string", key
        for rule in field.validators:
            if isinstance(rule, validate.Length):
                assert (member["minLength"], member["maxLength"]) == (rule.min, rule.max), key
            if isinstance(rule, validate.OneOf):
                assert member["enum"] == list(rule.choices), key


def test_a_payload_has_the_bounds_that_are_checked() -> None:
    payload = SCHEMAS["OtpPayload"]
    names = payload["propertyNames"]

    assert payload["maxProperties"] == schemas.PAYLOAD_MEMBERS
    assert names["maxLength"] == schemas.NAME_LENGTH
    for bound in (schemas.PAYLOAD_BYTES, schemas.PAYLOAD_LEVELS, schemas.PAYLOAD_VALUES):
        assert re.search(rf"\b{bound}\b", payload["description"])
    for name in ("a", "__proto__", "__proto__x", "$", "a.b", "\0", "é", "_"):
        assert bool(re.search(names["pattern"], name)) == is_taken({name: 1}), name


def is_taken(payload: object) -> bool:
    body = {"identifier": "+46701234567", "method": "sms", "payload": payload}
    try:
        schemas.load(REQUESTS["OtpInitiateRequest"], body)
    except InvalidRequest:
        return False
    return True


def test_a_code_needs_a_character_that_is_not_ignored() -> None:
    pattern = re.compile(SCHEMAS["OtpVerifyRequest"]["properties"]["code"]["pattern"])
    everything = map(chr, range(0x10000))

    # What this version of Python does not know yet may be white space in the next.
    wrong = [
        character
        for character in everything
        if unicodedata.category(character) not in ("Cn", "Cs")
        and bool(pattern.search(character)) != bool(codes.normalise(character))
    ]
    assert wrong == [], (unicodedata.unidata_version, sys.version)


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "+46701234567",
            "0046701234567",
            "tel:+46-70-123.45.67",
            "(+46) 70/123 45 67",
            "555-1234",
        ),
        *("+1234567", "+123456", "123456", "+0123456789", "00 0123456789", "++46701234567", ""),
        *("46+701234567", "[46] 701234567", "+123456789012345", "+1234567890123456", "x" * 8),
        *("+4670CALLNOW", "(0)70 123 45 67", "0" * 8, "000", "+46701234567" + " " * 52),
        *("+46701234567" + " " * 53, "tel:tel:5551234", "+46 (0)70 123 45 67"),
    ],
)
def test_a_phone_number_has_the_form_that_is_accepted(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identifiers, "_phonenumbers", lambda: None)
    assert fits(FORMS["sms"], typed) == accepts(typed, "sms")


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "reader@example.com",
            "Reader+x@Example.COM",
            "a.b@example.co.uk",
            "a@b",
            "a..b@example.com",
        ),
        *(
            "=?utf-8?q?a?=@example.org",
            "a=b?c@example.org",
            ".a@example.com",
            "a@exam_ple.com",
            "@",
        ),
        *("a b@example.com", "a@example.com.", '"a"@example.com', "l" * 64 + "@example.com"),
        *("l" * 65 + "@example.com", "a@-example.com", "a@" + "d" * 64 + ".com", ""),
    ],
)
def test_an_address_has_the_form_that_is_accepted(typed: str) -> None:
    assert fits(FORMS["email"], typed) == accepts(typed, "email")


def fits(form: dict[str, Any], typed: str) -> bool:
    length = form.get("minLength", 0) <= len(typed) <= form["maxLength"]
    return length and re.search(form["pattern"], typed) is not None


def accepts(typed: str, method: Any) -> bool:
    try:
        identifiers.normalise(typed, method)
    except InvalidIdentifier:
        return False
    return True


def errors() -> list[type[RequestError]]:
    """Return the errors that a client can get."""
    found = vars(exceptions).values()
    return [
        error
        for error in found
        if isinstance(error, type) and issubclass(error, RequestError) and error is not RequestError
    ]


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_an_error_that_the_code_can_give_is_described_with_its_text(
    error: type[RequestError],
) -> None:
    if error.data_status is not None:
        said = [
            (value["data"]["status"], value["data"]["message"])
            for value in examples(error.code)
            if "data" in value
        ]
        assert (error.data_status, error.detail) in said
        return
    described = {
        code: schema
        for schema in SCHEMAS.values()
        if schema.get("properties", {}).get("status", {}).get("const") == error.code
        for code in details_of(schema)["code"]["enum"]
    }
    assert error.error_code in described
    texts = {value["error"]["detail"] for value in examples(error.code) if "error" in value}
    assert error.detail in texts or error in (exceptions.Refused, InvalidIdentifier)


def details_of(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema["properties"]["error"]["$ref"].rpartition("/")[2]
    members: dict[str, Any] = SCHEMAS[name]["properties"]
    return members


def examples(status: int) -> list[Any]:
    """Return the example answers with an HTTP status."""
    return [
        example["value"]
        for item in DESCRIPTION["paths"].values()
        for content in item["post"]["responses"].get(str(status), {}).get("content", {}).values()
        for example in content["examples"].values()
    ]


def test_every_error_code_of_the_description_is_one_that_the_code_can_give() -> None:
    described = {
        code
        for schema in SCHEMAS.values()
        for code in schema.get("properties", {}).get("code", {}).get("enum", ())
    }

    assert described == {error.error_code for error in errors() if error.data_status is None}


def test_the_two_texts_for_an_identifier_are_described() -> None:
    texts = {value["error"]["detail"] for value in examples(400)}

    for method in METHODS:
        with pytest.raises(InvalidIdentifier) as caught:
            identifiers.normalise("", method)
        assert caught.value.detail in texts
