"""Bodies: how one is read, what it may hold, and what an answer is written as."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import gzip
import json
import logging
import uuid
from collections import ChainMap, OrderedDict

import bson
import pytest
from bson import Decimal128, ObjectId
from flask import request
from hypothesis import given
from hypothesis import strategies as st
from support.servers import JSON, NO_LIMITS, gunicorn, threaded
from support.world import World

from flask_otp_auth.exceptions import InvalidRequest
from flask_otp_auth.http import schemas
from flask_otp_auth.http.json_text import iso8601, read_json, write_json

LOGIN = {"identifier": "+46701234567", "method": "sms"}
BODY_MAX = 16 * 1024
HEX = "65a1b2c3d4e5f60718293a4b"
BOTH = schemas.initiate_request(("sms", "email"), trusts_devices=False)


def padded(size: int, body: dict[str, str] = LOGIN) -> bytes:
    """Return *body* in exactly *size* bytes, with white space that JSON allows."""
    return json.dumps(body).encode().ljust(size)


READERS = {
    "get_json": lambda: request.get_json(),
    "get_data": lambda: request.get_data(),
    "data": lambda: request.data,
    "values": lambda: request.values.get("language"),
    "stream": lambda: request.stream,
}


def sign_in(world: World, *, chunked: bool) -> None:
    """Go through a whole login over HTTP."""
    with threaded(world.app) as site:
        answer = site.send("POST", "/otp/initiate", padded(200), chunked=chunked)
        assert answer.status == 200, answer.text
        session = answer.json["data"]["sessionId"]
        guess = padded(200, {"sessionId": session, "code": world.code})
        answer = site.send("POST", "/otp/verify", guess, chunked=chunked)
        assert answer.status == 200, answer.text


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
@pytest.mark.parametrize("reader", READERS)
class TestHostThatReadsTheBody:
    def test_after_the_endpoint_can_sign_in(self, world, reader, chunked):
        bodies = []

        @world.app.after_request
        def log_body(response):
            bodies.append((READERS[reader](), request.get_json()))
            return response

        sign_in(world, chunked=chunked)
        assert bodies[0][1] == LOGIN

    def test_in_a_handler_burns_no_right_code(self, world, reader, chunked):
        @world.otp.verify_success_handler
        def on_success(user, identifier, method, payload):
            READERS[reader]()
            return {"user": {"code": request.get_json()["code"]}, "token": "t"}

        sign_in(world, chunked=chunked)

    def test_before_the_endpoint_can_sign_in_within_the_same_bound(self, world, reader, chunked):
        world.app.before_request(lambda: READERS[reader]() and None)
        sign_in(world, chunked=chunked)
        with threaded(world.app) as site:
            for size, status in ((BODY_MAX, 200), (BODY_MAX + 1, 413), (3 * BODY_MAX, 413)):
                answer = site.send("POST", "/otp/initiate", padded(size), chunked=chunked)
                assert answer.status == status, size


def test_a_host_that_takes_the_body_away_is_told_how_to_read_it(world, caplog):
    world.app.before_request(lambda: request.stream.read() and None)
    with caplog.at_level(logging.ERROR, "flask_otp_auth"):
        assert world.client.post("/otp/initiate", json=LOGIN).status_code == 400
    assert "request.get_data()" in caplog.text


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity"])
def test_a_compressed_body_is_refused_as_such(world, coding):
    with threaded(world.app) as site:
        body = gzip.compress(json.dumps(LOGIN).encode())
        answer = site.send("POST", "/otp/initiate", body, {**JSON, "Content-Encoding": coding})
    assert answer.status == 415
    assert answer.json["error"]["code"] == "unsupportedMediaType"
    assert "compressed" in answer.json["error"]["detail"]
    assert not world.outbox


@pytest.mark.parametrize(
    "headers",
    [{"Content-Encoding": "Identity"}, {"Content-Type": 'application/json; charset="UTF-8"'}],
    ids=lambda headers: next(iter(headers)),
)
def test_what_a_header_says_of_plain_json_is_no_reason_to_refuse_it(world, headers):
    answer = world.client.post("/otp/initiate", data=padded(100), headers={**JSON, **headers})
    assert answer.status_code == 200


class TestSize:
    def test_no_body_over_16_kib_is_read(self, mongo_uri, tmp_path):
        with gunicorn(mongo_uri, tmp_path / "gunicorn.log", workers=1, **NO_LIMITS) as site:
            for chunked in (False, True):
                for size in (1024, BODY_MAX, BODY_MAX + 1, 2 * BODY_MAX, 1024 * 1024):
                    for path in ("initiate", "resend", "verify"):
                        answer = site.send("POST", f"/otp/{path}", padded(size), chunked=chunked)
                        if size > BODY_MAX:
                            error = answer.json["error"]
                            assert (answer.status, error["code"]) == (413, "payloadTooLarge")
                            assert error["detail"] == "The request body is too large"
                        else:
                            assert answer.status == (200 if path == "initiate" else 400)

    @pytest.mark.parametrize(
        ("limit", "fits"), [(100, 100), (1_000_000, BODY_MAX)], ids=["lower", "higher"]
    )
    def test_the_lower_of_our_limit_and_that_of_the_host_holds(self, make_world, limit, fits):
        with threaded(make_world(config={"MAX_CONTENT_LENGTH": limit}).app) as site:
            for chunked in (False, True):
                for size in (fits, fits + 1, fits + 2, 100_000):
                    answer = site.send("POST", "/otp/initiate", padded(size), chunked=chunked)
                    assert answer.status == (200 if size == fits else 413)

    def test_body_that_never_comes_is_no_request(self, world):
        with threaded(world.app) as site:
            answer = site.send("POST", "/otp/initiate", b"", {**JSON, "Expect": ""})
        assert (answer.status, world.outbox) == (400, [])


UNKNOWN = {f"{number:03}{'x' * 300}": 1 for number in range(50)}


@pytest.mark.parametrize("path", ["initiate", "verify", "resend"])
def test_a_body_full_of_unknown_members_gets_a_short_answer(world, path):
    """Else every request of 16 KiB would be answered with three times as much."""
    body = {f"{number}": 1 for number in range(1500)}
    assert len(json.dumps(body)) < BODY_MAX
    for unknown in (body, UNKNOWN):
        answer = world.client.post(f"/otp/{path}", json=unknown)
        assert answer.status_code == 400
        assert len(answer.data) < 3000
        assert 1 < len(answer.json["error"]["fields"]) <= 16
        assert all(len(name) <= 67 for name in answer.json["error"]["fields"])


def test_what_is_wrong_with_known_members_is_told_before_what_is_unknown(world):
    answer = world.client.post("/otp/initiate", json={**UNKNOWN, "identifier": 1})
    found = answer.json["error"]["fields"]
    assert list(found)[:2] == ["identifier", "method"]
    assert found["identifier"] == ["Not a valid string."]
    assert found[f"{next(iter(UNKNOWN))[:64]}..."] == ["Unknown field."]


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"a":['])
def test_a_deep_body_gets_the_same_answer_from_every_version_of_python(world, opening):
    """The parser of 3.13 takes what that of 3.11 gives up on."""
    closing = "".join({"[": "]", "{": "}"}.get(each, "") for each in reversed(opening))
    for levels in (101, 900):
        deep = opening * levels + "0" + closing * levels
        body = f'{{"identifier": "+46701234567", "method": "sms", "payload": {deep}}}'
        answer = world.client.post("/otp/initiate", data=body, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json["error"]["detail"] == "The request body is not a valid JSON object"


def test_a_body_of_many_brackets_is_read_if_they_are_not_deep(world):
    payload = {str(n): [[n]] for n in range(32)}
    assert world.client.post("/otp/initiate", json={**LOGIN, "payload": payload}).status_code == 200
    deep = "[" * 99 + "]" * 99
    body = f'{{"identifier": "+46701234567", "method": "sms", "payload": [[], [], {deep}]}}'
    answer = world.client.post("/otp/initiate", data=body, content_type="application/json")
    assert answer.json["error"]["detail"] == "The request body is not a valid JSON object"
    answer = world.client.post(
        "/otp/initiate", data=body.replace(deep, deep[1:-1]), content_type="application/json"
    )
    assert answer.json["error"]["fields"].keys() == {"payload"}


def test_brackets_in_a_text_are_no_depth(world):
    payload = {"text": "[{" * 400, "quoted": '"' + "[" * 300}
    assert world.client.post("/otp/initiate", json={**LOGIN, "payload": payload}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}{}",
        b"{a: 1}",
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 0x1}',
        b'{"a": "\n"}',
        b'{"a": "\\x41"}',
        b'{"a": 1} // comment',
        b"1",
        b"null",
        b"NaN",
        b'{"a": [Infinity]}',
        b'{"a": {"b": -Infinity}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": [[{"b": 1, "c": 2, "b": 3}]]}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xc0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32-be"),
        b'{"a": ' + b"9" * 16_000 + b"}",
    ],
)
def test_whatever_is_not_one_strict_json_object_is_refused(body):
    """Beside the bodies of cases.json."""
    with pytest.raises(InvalidRequest) as caught:
        read_json(body)
    assert caught.value.detail == "The request body is not a valid JSON object"
    assert caught.value.fields is None


@given(
    st.dictionaries(
        st.text(max_size=9), st.none() | st.booleans() | st.integers() | st.text(), max_size=9
    )
)
def test_an_object_means_what_the_client_wrote(value):
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (dt.datetime(2026, 1, 2, 12, 35, tzinfo=dt.UTC), "2026-01-02T12:35:00.000Z"),
        (dt.datetime(2026, 1, 2, 12, 35, 0, 7000, tzinfo=dt.UTC), "2026-01-02T12:35:00.007Z"),
        (dt.datetime(2026, 1, 2, 12, 35, 0, 1, tzinfo=dt.UTC), "2026-01-02T12:35:00.000001Z"),
        (dt.datetime(2026, 1, 2, 12, 35), "2026-01-02T12:35:00.000Z"),  # noqa: DTZ001
        (
            dt.datetime(2026, 1, 2, 12, 35, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            "2026-01-02T12:35:00.000+01:00",
        ),
        (dt.datetime(1, 1, 1, tzinfo=dt.UTC), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_iso_8601_for_every_client(time, text):
    assert iso8601(time) == text
    assert json.loads(write_json({"at": time})) == {"at": text}


@given(st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-5))])))
def test_no_time_is_changed_by_writing_it(time):
    assert dt.datetime.fromisoformat(iso8601(time)) == time


@dataclasses.dataclass
class Account:
    id: ObjectId
    at: dt.datetime


class Role(enum.StrEnum):
    ADMIN = "admin"


class Plan(enum.Enum):
    FREE = "free"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (ObjectId(HEX), HEX),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(12, 35), "12:35:00"),
        (uuid.UUID("0123456789abcdef" * 2), "01234567-89ab-cdef-0123-456789abcdef"),
        (decimal.Decimal("1.50"), "1.50"),
        (Decimal128("1.50"), "1.50"),
        (bson.Int64(7), 7),
        (bson.SON([("a", ObjectId(HEX))]), {"a": HEX}),
        (OrderedDict(a=1), {"a": 1}),
        (ChainMap({"a": ObjectId(HEX)}, {"b": 2}), {"a": HEX, "b": 2}),
        ({HEX}, [HEX]),
        (frozenset(), []),
        ((1, 2), [1, 2]),
        (Role.ADMIN, "admin"),
        (Plan.FREE, "free"),
        ({"plans": [Plan.FREE]}, {"plans": ["free"]}),
        (b"\xff\x00", "/wA="),
        (
            Account(ObjectId(HEX), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
            {"id": HEX, "at": "2026-01-02T00:00:00.000Z"},
        ),
        ({"_id": ObjectId(HEX), "in": [{"a": ObjectId(HEX)}]}, {"_id": HEX, "in": [{"a": HEX}]}),
        (None, None),
        ("å\ud800\U0001f600", "å\ud800\U0001f600"),
    ],
)
def test_what_a_user_may_hold_is_plain_json_in_the_answer(value, read):
    assert json.loads(write_json({"user": value})) == {"user": read}


@pytest.mark.parametrize(
    "value", [object(), Account, {1: object()}, {(1, 2): 3}, {ObjectId(HEX): 1}, print]
)
def test_what_has_no_json_form_is_told_and_not_guessed(value):
    with pytest.raises(TypeError):
        write_json({"user": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_no_client_gets_json_that_it_cannot_read(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json({"user": value})


def test_a_user_that_holds_itself_is_an_error_and_no_endless_answer():
    user = {}
    user["self"] = [user]
    with pytest.raises((ValueError, RecursionError)):
        write_json(user)


def nested(levels, container=dict):
    """Return a payload of so many levels."""
    value = {}
    for _ in range(levels - 1):
        value = {"a": value} if container is dict else [value]
    return value if isinstance(value, dict) else {"a": value[0]}


def members(count, start=0):
    return {f"m{number}": number for number in range(start, start + count)}


ALLOWED = {
    "every type": {"a": [None, True, False, 0, -1, 1.5, "", "text", [], {}]},
    "2 KiB of UTF-8": {"a": "å" * 1020},
    "5 levels": nested(5),
    "5 levels of lists": {"a": [[[[0, "x", None]]]]},
    "32 members": members(32),
    "32 members inside": {"a": [members(32)]},
    "256 values": {"a": [0] * 255},
    "256 values, spread": {"a": [0] * 100, "b": [0] * 100, "c": [0] * 53},
    "name of 64 characters": {"å" * 64: 1},
    "name with spaces and signs": {"a b-c_d/é'\"<>": 1},
    "name like __proto__": {"proto": 1, "__proto": 2, "constructor": 3},
    "value with operator": {"a": "$where", "b": "a.b", "c": "__proto__"},
    "value with NUL": {"a": "\0"},
    "largest integer": {"a": 2**63 - 1},
    "smallest integer": {"a": -(2**63)},
    "largest float": {"a": 1.7976931348623157e308},
}

REFUSED = {
    "number": 1,
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
    "name with $ inside": {"a$b": 1},
    "name with NUL": {"a\0": 1},
    "operator inside": {"a": {"$gt": ""}},
    "operator in a list": {"a": [[{"$gt": ""}]]},
    "value with surrogate": {"a": ["\ud800"]},
    "too large an integer": {"a": 2**63},
    "too small an integer": {"a": [-(2**63) - 1]},
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
    loaded = schemas.load(BOTH, {**LOGIN, "payload": payload})
    assert loaded["payload"] == payload == ALLOWED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_payload_beyond_a_bound_is_refused(name):
    with pytest.raises(InvalidRequest) as caught:
        schemas.load(BOTH, {**LOGIN, "payload": REFUSED[name]})
    assert list(caught.value.fields) == ["payload"]
    assert caught.value.__context__ is None  # it would hold what was submitted


def test_a_payload_that_holds_itself_does_not_hang_the_server():
    payload = {}
    payload["a"] = payload["b"] = [payload, payload]
    with pytest.raises(InvalidRequest):
        schemas.load(BOTH, {**LOGIN, "payload": payload})


@pytest.mark.parametrize("body", [{}, {"payload": None}])
def test_a_payload_that_is_null_or_absent_is_the_same(body):
    assert schemas.load(BOTH, {**LOGIN, **body})["payload"] is None
