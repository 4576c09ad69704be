"""Test identifiers: a fixed code that is not sent, for app-store reviewers and end-to-end tests."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from .. import identifiers
from ..exceptions import InvalidIdentifier
from ..types import Method

_log = logging.getLogger("flask_otp_auth")

# Codes that an attacker tries first.
_TRIVIAL = {"0123456789"[start : start + length] for length in range(4, 9) for start in range(7)}
LONG_LIFE = timedelta(days=366)


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


def is_trivial(code: str) -> bool:
    """Return whether a code repeats one digit, or counts up or down."""
    return len(set(code)) == 1 or code in _TRIVIAL or code[::-1] in _TRIVIAL


def announce(entries: Mapping[str, FixedCode], now: datetime) -> None:
    """Log a warning for each entry, so that none is forgotten in production."""
    for identifier, entry in entries.items():
        if now < entry.until and is_trivial(entry.code):
            _log.warning(
                "test identifier %s has a code that anybody would try first",
                identifiers.mask(identifier),
            )
        if entry.until > now + LONG_LIFE:
            _log.warning(
                "test identifier %s is valid for more than a year", identifiers.mask(identifier)
            )
        _log.warning(
            "test identifier %s %s with a fixed code until %s",
            identifiers.mask(identifier),
            "signs in" if now < entry.until else "is dead; remove it: it signed in",
            entry.until.isoformat(),
        )
