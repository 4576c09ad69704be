"""Marshmallow schemas of requests, and the members of answers."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from ..codes import normalise
from ..exceptions import InvalidRequest
from ..types import InitiateResult, Method, VerifyResult
from .json_text import iso8601

PAYLOAD_BYTES = 2048
PAYLOAD_LEVELS = 5
PAYLOAD_MEMBERS = 32
PAYLOAD_VALUES = 256
NAME_LENGTH = 64
_ERROR_FIELDS = 16
_INT64 = 2**63


def _no_surrogates(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError("Not valid Unicode.") from None


def check_not_blank(value: str) -> None:
    """Refuse a code that consists of white space, dashes and invisible characters only.

    :raises ValidationError: the code has no other character.
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
    """Check a payload against the bounds that keep it cheap to store and harmless in queries.

    :raises ValidationError: a bound is exceeded; the message does not contain the value.
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


class _Text(fields.String):
    """A str, and nothing else: marshmallow takes bytes too, which Python may send."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


def _session_id() -> fields.String:
    return _Text(
        required=True,
        data_key="sessionId",
        validate=[validate.Length(1, 128), _no_surrogates],
    )


class _Request(Schema):
    class Meta(Schema.Meta):
        unknown = RAISE


class InitiateRequest(_Request):
    """The body of ``POST /initiate``; the identifier is validated by ``identifiers``."""

    identifier = _Text(required=True, validate=_no_surrogates)
    method = _Text(required=True)
    payload = fields.Raw(allow_none=True, load_default=None, validate=check_payload)


class VerifyRequest(_Request):
    """The body of ``POST /verify``."""

    session_id = _session_id()
    code = _Text(required=True, validate=[validate.Length(1, 64), _no_surrogates, check_not_blank])


class ResendRequest(_Request):
    """The body of ``POST /resend``."""

    session_id = _session_id()


verify_request = VerifyRequest()
resend_request = ResendRequest()


@cache
def initiate_request(methods: tuple[Method, ...], *, trusts_devices: bool) -> Schema:
    """Return the schema of ``/initiate`` for an application.

    :param methods: the methods that the application offers.
    :param trusts_devices: whether a body may have a ``deviceToken``, of any value.
    """
    method = _Text(
        required=True, validate=validate.OneOf(methods, error="Must be one of: {choices}.")
    )
    members: dict[str, fields.Field[Any]] = {"method": method}
    if trusts_devices:
        members["device_token"] = fields.Raw(allow_none=True, data_key="deviceToken")
    return InitiateRequest.from_dict(members, name="InitiateRequest")()


def load(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """Check *data* and return its members under their Python names.

    :raises InvalidRequest: *data* is not valid; ``fields`` has the messages for each member,
        without the submitted values.
    """
    try:
        return dict(schema.load(data))
    except ValidationError as error:
        messages = error.messages_dict
    raise InvalidRequest(fields=_bounded(messages, schema.fields))


def _bounded(
    messages: Mapping[str, Any], members: Mapping[str, fields.Field[Any]]
) -> dict[str, Any]:
    """Return the messages of the first few members, those of the schema before unknown ones."""
    ours = {field.data_key or name for name, field in members.items()}
    names = sorted(messages, key=lambda name: (name not in ours, name))
    return {
        name if len(name) <= NAME_LENGTH else f"{name[:NAME_LENGTH]}...": messages[name]
        for name in names[:_ERROR_FIELDS]
    }


def dump_initiate(result: InitiateResult) -> dict[str, Any]:
    """Return the ``data`` of the answer to ``/initiate`` or ``/resend``."""
    return {
        "sessionId": result.session_id,
        "expiresAt": iso8601(result.expires_at),
        "ttl": result.ttl,
    }


def dump_verify(result: VerifyResult, *, with_tokens: bool = True) -> dict[str, Any]:
    """Return the ``data`` of the answer to ``/verify``.

    :param with_tokens: whether to include the tokens, which are otherwise only in cookies.
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
    """Return the members of an answer for the tokens that there are."""
    members = {"token": token, "refreshToken": refresh_token}
    return {name: value for name, value in members.items() if value is not None}
