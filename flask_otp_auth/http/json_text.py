"""Reading the JSON of requests strictly, and writing answers as standard JSON."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import json
import re
import uuid
from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from ..exceptions import InvalidRequest

_BODY_LEVELS = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def read_json(body: bytes) -> dict[str, Any]:
    """Parse a strict JSON object: in UTF-8 without BOM, without duplicate members or NaN.

    :raises InvalidRequest: *body* is anything else, or is nested too deeply.
    """
    try:
        text = body.decode()
        value = None if _is_too_deep(text) else _decoder.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("The request body is not a valid JSON object")
    return value


def _is_too_deep(text: str) -> bool:
    # The limit of the parser itself differs between versions of Python.
    if text.count("[") + text.count("{") <= _BODY_LEVELS:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _BODY_LEVELS:
            return True
    return False


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_decoder = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant)


def write_json(value: Any) -> str:
    """Return *value* as standard JSON, whatever JSON provider the application has.

    :raises TypeError: something in *value* has no JSON form.
    :raises ValueError: *value* contains NaN, an infinity or itself.
    """
    return _encoder.encode(value)


@singledispatch
def json_form(value: Any) -> Any:
    """Convert a value that :mod:`json` does not support to one that it does.

    Other modules register the conversion of a type with ``json_form.register``.

    :raises TypeError: *value* has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(
        f"a {type(value).__name__} has no JSON form: return a dict of what the client may see, "
        "whose values are None, bool, int, float, str, bytes, dict, list, tuple, set, enums, "
        "dataclasses, datetime, date, time, UUID, Decimal, Decimal128 or ObjectId"
    )


json_form.register(uuid.UUID, str)
json_form.register(decimal.Decimal, str)
json_form.register(Mapping, dict)
json_form.register(set, list)
json_form.register(frozenset, list)
json_form.register(dt.date, dt.date.isoformat)
json_form.register(dt.time, dt.time.isoformat)


@json_form.register
def _(value: enum.Enum) -> Any:
    return value.value


@json_form.register
def _(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_encoder = json.JSONEncoder(default=json_form, allow_nan=False, separators=(",", ":"))


def iso8601(time: dt.datetime) -> str:
    """Return a time in ISO 8601, in microseconds if milliseconds are not exact; naive is UTC."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    unit = "microseconds" if time.microsecond % 1000 else "milliseconds"
    return time.isoformat(timespec=unit).replace("+00:00", "Z")


json_form.register(dt.datetime, iso8601)
