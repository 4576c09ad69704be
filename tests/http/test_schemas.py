"""What a request may hold, read strictly, and what an answer is written as."""

from __future__ import annotations

import copy
import datetime as dt

import pytest
from bson import ObjectId
from marshmallow import ValidationError

from flask_otp_auth.exceptions import InvalidRequest
from flask_otp_auth.http import schemas

ID = "0123456789abcdef" * 2
HEX = "65a1b2c3d4e5f60718293a4b"
BOTH = schemas.initiate_request(("sms", "email"), trusts_devices=False)


def nested(levels, container=dict):
    """Return a payload of so many levels."""
    value = {}
    for _ in range(levels - 1):
        value = {"a": value} if container is dict else [value]
    return value if isinstance(value, dict) else {"a": value[0]}


def members(count, start=0):
    return {f"m{number}": number for number in range(start, start + count)}


ALLOWED = {
    "empty": {},
    "of the README": {"returnUrl": "/dashboard"},
    "every type": {"a": [None, True, False, 0, -1, 1.5, "", "text", [], {}]},
    "2 KiB": {"a": "x" * 2040},
    "2 KiB of UTF-8": {"a": "å" * 1020},
    "5 levels": nested(5),
    "5 levels of lists": {"a": [[[[0, "x", None]]]]},
    "32 members": members(32),
    "32 members inside": {"a": [members(32)]},
    "256 values": {"a": [0] * 255},
    "256 values, spread": {"a": [0] * 100, "b": [0] * 100, "c": [0] * 53},
    "name of 64 characters": {"å" * 64: 1},
    "name of 1 character": {"a": 1},
    "name with spaces and signs": {"a b-c_d/é'\"<>": 1},
    "name like __proto__": {"proto": 1, "__proto": 2, "constructor": 3},
    "value with operator": {"a": "$where", "b": "a.b", "c": "__proto__"},
    "value with NUL": {"a": "\0"},
    "largest integer": {"a": 2**63 - 1},
    "smallest integer": {"a": -(2**63)},
    "largest float": {"a": 1.7976931348623157e308},
}

REFUSED = {
    "list": [],
    "text": "x",
    "number": 1,
    "False": False,
    "True": True,
    "bytes": b"{}",
    "2 KiB and 1 byte": {"a": "x" * 2041},
    "2 KiB and 1 byte of UTF-8": {"a": "å" * 1020 + "x"},
    "2 KiB in names": {f"{number:064}": "" for number in range(31)},
    "6 levels": nested(6),
    "6 levels of lists": {"a": [[[[[]]]]]},
    "100,000 levels": nested(100_000),
    "33 members": members(33),
    "33 members inside": {"a": [members(33)]},
    "257 values": {"a": [0] * 256},
    "257 values, spread": {"a": [0] * 100, "b": [0] * 100, "c": [0] * 54},
    "name of 0 characters": {"": 1},
    "name of 65 characters": {"k" * 65: 1},
    "name with $": {"$where": 1},
    "name with $ inside": {"a$b": 1},
    "name with dot": {"a.b": 1},
    "name with NUL": {"a\0": 1},
    "name __proto__": {"__proto__": {"admin": True}},
    "name with surrogate": {"\udfff": 1},
    "operator inside": {"a": {"$gt": ""}},
    "operator in a list": {"a": [[{"$gt": ""}]]},
    "value with surrogate": {"a": ["\ud800"]},
    "too large an integer": {"a": 2**63},
    "too small an integer": {"a": [-(2**63) - 1]},
    "infinity": {"a": float("inf")},
    "minus infinity": {"a": [float("-inf")]},
    "NaN": {"a": float("nan")},
    "number as name": {1: 1},
    "None as name": {None: 1},
    "bytes inside": {"a": b"x"},
    "date inside": {"a": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)},
    "ObjectId inside": {"a": ObjectId(HEX)},
    "tuple inside": {"a": (1, 2)},
    "set inside": {"a": {1}},
    "object inside": {"a": object()},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_payload_within_the_bounds_is_passed_on_as_sent(name):
    payload = copy.deepcopy(ALLOWED[name])
    schemas.check_payload(payload)
    assert payload == ALLOWED[name]
    loaded = schemas.load(BOTH, {"identifier": "x", "method": "sms", "payload": payload})
    assert loaded["payload"] == ALLOWED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_payload_beyond_a_bound_is_refused(name):
    with pytest.raises(ValidationError):
        schemas.check_payload(REFUSED[name])
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(BOTH, {"identifier": "x", "method": "sms", "payload": REFUSED[name]})
    assert list(caught.value.fields) == ["payload"]


def test_a_payload_that_holds_itself_does_not_hang_the_server():
    payload = {}
    payload["a"] = payload["b"] = [payload, payload]
    with pytest.raises(ValidationError):
        schemas.check_payload(payload)


@pytest.mark.parametrize("body", [{}, {"payload": None}])
def test_a_payload_that_is_null_or_absent_is_the_same(body):
    loaded = schemas.load(BOTH, {"identifier": "x", "method": "sms", **body})
    assert loaded["payload"] is None


GOOD_INITIATE = {"identifier": "+46701234567", "method": "sms"}
GOOD_VERIFY = {"sessionId": ID, "code": "123456"}
GOOD_RESEND = {"sessionId": ID}


def without(body, name):
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize("value", [None, 5, 1.5, True, [], {}, ["x"], {"$ne": None}, "x\ud800"])
@pytest.mark.parametrize(
    ("schema", "body", "name"),
    [
        (BOTH, GOOD_INITIATE, "identifier"),
        (BOTH, GOOD_INITIATE, "method"),
        (schemas.verify_request, GOOD_VERIFY, "sessionId"),
        (schemas.verify_request, GOOD_VERIFY, "code"),
        (schemas.resend_request, GOOD_RESEND, "sessionId"),
    ],
    ids=["identifier", "method", "sessionId", "code", "resend sessionId"],
)
def test_a_member_of_the_wrong_type_never_reaches_a_query(schema, body, name, value):
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(schema, {**body, name: value})
    assert list(caught.value.fields) == [name]


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (BOTH, GOOD_INITIATE),
        (schemas.verify_request, GOOD_VERIFY),
        (schemas.resend_request, GOOD_RESEND),
    ],
    ids=["initiate", "verify", "resend"],
)
def test_every_missing_and_every_unknown_member_is_named_as_in_the_body(schema, body):
    for name in body:
        with pytest.raises(InvalidRequest) as caught:
            schemas.load(schema, without(body, name))
        assert list(caught.value.fields) == [name]
    for name in ("maxAttempts", "status", "session_id", "__proto__", "Code"):
        with pytest.raises(InvalidRequest) as caught:
            schemas.load(schema, {**body, name: 1})
        assert list(caught.value.fields) == [name]
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(schema, {})
    assert set(caught.value.fields) == set(body)


@pytest.mark.parametrize("method", ["SMS", "sms ", "voice", "", "\uff53ms"])
def test_a_method_that_is_not_offered_is_refused(method):
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(BOTH, {**GOOD_INITIATE, "method": method})
    assert list(caught.value.fields) == ["method"]


@pytest.mark.parametrize(
    "code", ["1", "123 456", " 1 ", "x" * 64, "-1-", "\uff11\uff12", "é", "\0"]
)
def test_any_text_that_a_person_may_have_typed_gets_a_verdict(code):
    assert schemas.load(schemas.verify_request, {**GOOD_VERIFY, "code": code})["code"] == code


@pytest.mark.parametrize(
    "code", ["", "   ", "-", " - - ", "\n", "\u00a0\u200b\u2013", "1" * 65, " " * 64 + "1"]
)
def test_nothing_and_too_much_are_no_code_but_a_bad_request(code):
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(schemas.verify_request, {**GOOD_VERIFY, "code": code})
    assert list(caught.value.fields) == ["code"]


@pytest.mark.parametrize(("length", "fine"), [(0, False), (1, True), (128, True), (129, False)])
def test_a_session_id_has_1_to_128_characters(length, fine):
    body = {**GOOD_VERIFY, "sessionId": "a" * length}
    if fine:
        assert schemas.load(schemas.verify_request, body)["session_id"] == "a" * length
    else:
        with pytest.raises(InvalidRequest):
            schemas.load(schemas.verify_request, body)


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (BOTH, {"identifier": "+46701234567\ud800", "method": "+46701234567"}),
        (BOTH, {**GOOD_INITIATE, "payload": {"+46701234567": "+46701234567", "$": 1}}),
        (BOTH, {**GOOD_INITIATE, "payload": ["+46701234567"]}),
        (schemas.verify_request, {"sessionId": "46701234567" * 20, "code": "46701234567" * 9}),
    ],
)
def test_an_error_does_not_repeat_what_was_submitted(schema, body):
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(schema, body)
    assert caught.value.fields
    assert "46701234567" not in str(caught.value.fields)
    assert "46701234567" not in str(caught.value)
    assert caught.value.__context__ is None
