"""Test identifiers: a fixed code that is not sent, for app-store reviewers and end-to-end tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from .. import identifiers
from ..exceptions import InvalidIdentifier
from ..types import Method


@dataclass(frozen=True, slots=True)
class FixedCode:
    """An entry of the option: the code, and the UTC time from which it does not work any more."""

    code: str = field(repr=False)
    until: datetime


def read(value: Mapping[Any, Any], code_length: int, region: str | None) -> Mapping[str, FixedCode]:
    """Return the entries by normalised identifier.

    :param value: ``{identifier: {"code": digits, "until": date}}``. The date can be an ISO 8601
        string. It includes the whole day in UTC, unless it has a time.
    :param code_length: the number of digits of each code.
    :param region: see :func:`.identifiers.normalise`.
    :raises ValueError: an entry does not have this form; the message does not contain its code.
    """
    entries: dict[str, FixedCode] = {}
    for identifier, entry in value.items():
        try:
            method: Method = "email" if "@" in identifier else "sms"
            normalised = identifiers.normalise(identifier, method, region)
        except (InvalidIdentifier, TypeError):
            raise ValueError("has a key that is not a phone number or email address") from None
        name = identifiers.mask(normalised)
        if not isinstance(entry, Mapping) or set(entry) != {"code", "until"}:
            raise ValueError(f"has an entry for {name} without exactly 'code' and 'until'")
        code = entry["code"]
        if not (
            isinstance(code, str) and len(code) == code_length and code.isascii() and code.isdigit()
        ):
            raise ValueError(f"has a code for {name} that is not a str of {code_length} digits")
        if normalised in entries:
            raise ValueError(f"has {name} twice, in two spellings")
        entries[normalised] = FixedCode(code, _until(entry["until"], name))
    return entries


def _until(value: Any, name: str) -> datetime:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"has an 'until' for {name} that is not an ISO 8601 date") from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        last = date.max - timedelta(days=1)
        return datetime.combine(min(value, last), time(), UTC) + timedelta(days=1)
    raise ValueError(f"has an 'until' for {name} that is not a date")


def fixed_code(entries: Mapping[str, FixedCode], identifier: str, now: datetime) -> str | None:
    """Return the fixed code of an identifier, or ``None`` if it has none, or no longer."""
    entry = entries.get(identifier)
    return None if entry is None or now >= entry.until else entry.code
