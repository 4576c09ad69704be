"""What a body may be, read strictly, and what an answer is written as."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from collections import ChainMap, OrderedDict

import bson
import pytest
from bson import Decimal128, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from flask_otp_auth.exceptions import InvalidRequest
from flask_otp_auth.http.json_text import iso8601, read_json, write_json

ID = "0123456789abcdef" * 2
HEX = "65a1b2c3d4e5f60718293a4b"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' \t\r\n{"a": [1, -2.5, 1e3, true, false, null, "\\u00e5"]}\n', None),
        ('{"å": "\U0001f600"}'.encode(), {"å": "\U0001f600"}),
        (b'{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
    ],
)
def test_a_json_object_is_read(body, value):
    assert read_json(body) == (json.loads(body) if value is None else value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"\0",
        b"{",
        b"{} x",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"{a: 1}",
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 0x1}',
        b'{"a": "\n"}',
        b'{"a": "\\x41"}',
        b'{"a": 1} // comment',
        b"[]",
        b'[{"a": 1}]',
        b'"x"',
        b"1",
        b"true",
        b"null",
        b"NaN",
        b'{"a": NaN}',
        b'{"a": [Infinity]}',
        b'{"a": {"b": -Infinity}}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": {"b": 1, "c": 2, "b": 3}}',
        b'{"a": [[{"b": 1, "b": 3}]]}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff\xfe"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xc0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32-be"),
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b'{"a": ' + b"9" * 16_000 + b"}",
    ],
)
def test_whatever_is_not_one_strict_json_object_is_refused(body):
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
        (uuid.UUID(ID), "01234567-89ab-cdef-0123-456789abcdef"),
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
