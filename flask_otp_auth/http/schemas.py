"""Marshmallow schemas of requests and answers, and the strict reading and writing of JSON."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import math
import re
import uuid
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from bson import Decimal128, ObjectId
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from ..codes import normalise
from ..exceptions import InvalidRequest
from ..types import InitiateResult, Method, VerifyResult

PAYLOAD_BYTES = 2048
PAYLOAD_LEVELS = 5
PAYLOAD_MEMBERS = 32
PAYLOAD_VALUES = 256
NAME_LENGTH = 64
_ERROR_FIELDS = 16
_BODY_LEVELS = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_INT64 = 2**63


def _no_surrogates(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError("Not valid Unicode.") from None


def check_not_blank(value: str) -> None:
    """Refuse a code of nothing but spaces and hyphens.

    :raises ValidationError: there is nothing else in it.
    """
    if not normalise(value):
        raise ValidationError("Must not be empty.")


def _check_names(names: Collection[object]) -> None:
    if len(names) > PAYLOAD_MEMBERS:
        raise ValidationError(f"Objects must not have over {PAYLOAD_MEMBERS} members.")
    for name in names:
        _check_name(name)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise ValidationError("Member names must be strings.")
    _no_surrogates(name)
    if not 1 <= len(name) <= NAME_LENGTH:
        raise ValidationError(f"Member names must have 1 to {NAME_LENGTH} characters.")
    if name == "__proto__" or any(character in name for character in "$.\0"):
        raise ValidationError("Member names must not be __proto__ or have $, . or NUL in them.")


def _check_scalar(value: object) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        _no_surrogates(value)
    elif isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise ValidationError("Integers must fit in 64 bits.")
    elif not (isinstance(value, float) and math.isfinite(value)):
        raise ValidationError("Only JSON values are allowed.")


def check_payload(payload: object) -> None:
    """Check a payload against the bounds that keep it cheap to store and harmless to query.

    :raises ValidationError: a bound is passed; the message does not hold the value.
    """
    if not isinstance(payload, dict):
        raise ValidationError("Must be an object.")
    values = 0
    level: list[object] = [payload]
    for depth in range(PAYLOAD_LEVELS + 1):
        children: list[object] = []
        for value in level:
            if not isinstance(value, dict | list):
                _check_scalar(value)
                continue
            if depth == PAYLOAD_LEVELS:
                raise ValidationError(f"Must not be deeper than {PAYLOAD_LEVELS} levels.")
            if isinstance(value, dict):
                _check_names(value)
            values += len(value)
            if values > PAYLOAD_VALUES:
                raise ValidationError(f"Must not have over {PAYLOAD_VALUES} values.")
            children.extend(value.values() if isinstance(value, dict) else value)
        level = children
    if len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > PAYLOAD_BYTES:
        raise ValidationError(f"Must not be over {PAYLOAD_BYTES} bytes of JSON.")


def _session_id() -> fields.String:
    return fields.String(
        required=True,
        data_key="sessionId",
        validate=[validate.Length(1, 128), _no_surrogates],
    )


class _Request(Schema):
    class Meta(Schema.Meta):
        unknown = RAISE


class InitiateRequest(_Request):
    """The body of ``POST /initiate``; identifiers are judged by their own module."""

    identifier = fields.String(required=True, validate=_no_surrogates)
    method = fields.String(required=True)
    payload = fields.Raw(allow_none=True, load_default=None, validate=check_payload)


class VerifyRequest(_Request):
    """The body of ``POST /verify``."""

    session_id = _session_id()
    code = fields.String(
        required=True, validate=[validate.Length(1, 64), _no_surrogates, check_not_blank]
    )


class ResendRequest(_Request):
    """The body of ``POST /resend``."""

    session_id = _session_id()


verify_request = VerifyRequest()
resend_request = ResendRequest()


@cache
def initiate_request(methods: tuple[Method, ...], *, trusts_devices: bool) -> Schema:
    """Return the schema of ``/initiate`` for an application that offers *methods*.

    :param trusts_devices: whether a body may have a ``deviceToken``; any value of it is taken.
    """
    method = fields.String(
        required=True, validate=validate.OneOf(methods, error="Must be one of: {choices}.")
    )
    members: dict[str, fields.Field[Any]] = {"method": method}
    if trusts_devices:
        members["device_token"] = fields.Raw(allow_none=True, data_key="deviceToken")
    return InitiateRequest.from_dict(members, name="InitiateRequest")()


def load(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """Check *data* and return its members under their Python names.

    :raises InvalidRequest: with the messages by member, without the submitted values.
    """
    try:
        return dict(schema.load(data))
    except ValidationError as error:
        messages = error.messages_dict
    raise InvalidRequest(fields=_bounded(messages, schema.fields))


def _bounded(
    messages: Mapping[str, Any], members: Mapping[str, fields.Field[Any]]
) -> dict[str, Any]:
    """Return the messages of the first few members, our own before those that nobody knows."""
    ours = {field.data_key or name for name, field in members.items()}
    names = sorted(messages, key=lambda name: (name not in ours, name))
    return {
        name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}...": messages[name]
        for name in names[:_ERROR_FIELDS]
    }


def read_json(body: bytes) -> dict[str, Any]:
    """Parse one strict JSON object: UTF-8 without BOM, no duplicate members, no NaN.

    :raises InvalidRequest: it is anything else.
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
    # How deep the parser itself goes differs from one version of Python to the next.
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


def dump_initiate(result: InitiateResult) -> dict[str, Any]:
    """Return ``data`` of the answer to ``/initiate``."""
    return {
        "sessionId": result.session_id,
        "expiresAt": iso8601(result.expires_at),
        "ttl": result.ttl,
    }


def dump_verify(result: VerifyResult, *, with_tokens: bool = True) -> dict[str, Any]:
    """Return ``data`` of the answer to ``/verify``.

    :param with_tokens: whether the tokens are told here, and not in cookies alone.
    """
    data: dict[str, Any] = {"status": result.status}
    if result.status == "success":
        if with_tokens:
            data |= dump_tokens(result.token, result.refresh_token)
        if result.device_token is not None:
            data["deviceToken"] = result.device_token
        return data | {"user": result.user}
    data["message"] = result.message
    if result.remaining_attempts is not None:
        data["remainingAttempts"] = result.remaining_attempts
    return data


def dump_tokens(token: str | None, refresh_token: str | None) -> dict[str, str]:
    """Return the members of an answer that hold tokens, those that there are."""
    members = {"token": token, "refreshToken": refresh_token}
    return {name: value for name, value in members.items() if value is not None}


def write_json(value: Any) -> str:
    """Return *value* as JSON that any client reads, whatever JSON provider the host has.

    :raises TypeError: something in it has no JSON form.
    :raises ValueError: it holds NaN, an infinity or itself.
    """
    return _encoder.encode(value)


def _json_form(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return iso8601(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, ObjectId | uuid.UUID | decimal.Decimal | Decimal128):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form; {_WITH_JSON_FORM}")


_WITH_JSON_FORM = (
    "what has one is None, bool, int, float, str, dict, list, tuple, set, dataclasses, datetime, "
    "date, time, UUID, Decimal, Decimal128 and ObjectId"
)


_encoder = json.JSONEncoder(default=_json_form, allow_nan=False, separators=(",", ":"))


def iso8601(time: dt.datetime) -> str:
    """Return a time as ISO 8601, in milliseconds where that is exact; a naive one is UTC."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    unit = "microseconds" if time.microsecond % 1000 else "milliseconds"
    return time.isoformat(timespec=unit).replace("+00:00", "Z")
