"""Reads the value of one option: returns it as Settings holds it, or says what is wrong with it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from limits import RateLimitItem, parse_many

from .keys import KEY_BYTES
from .site_paths import is_site_path
from .types import Method

METHODS: tuple[Method, ...] = ("sms", "email")
_NAMESPACE_MAX = 200
_SENDS_MAX = 1000


class NotAllowedError(ValueError):
    """The value of one option is not allowed; the text says why."""


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a reader of a whole number from *low* to *high*; a bool is none."""

    def read(value: Any) -> int:
        if type(value) is not int:
            raise NotAllowedError(f"is a {type(value).__name__}")
        if not low <= value <= high:
            raise NotAllowedError(f"is {value}")
        return value

    return read


def seconds(value: Any) -> float:
    """Read a time above 0 in seconds."""
    if type(value) not in (int, float):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not (value > 0 and value < threading.TIMEOUT_MAX):
        raise NotAllowedError("is too large" if value > 0 else f"is {value}")
    return float(value)


def flag(value: Any) -> bool:
    """Read True or False; nothing else counts as one."""
    if type(value) is not bool:
        raise NotAllowedError(f"is a {type(value).__name__}")
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Read a dict; its entries are checked together with other options."""
    if not isinstance(value, Mapping):
        raise NotAllowedError(f"is a {type(value).__name__}")
    return value


def collection_name(value: Any) -> str:
    """Read the name of a MongoDB collection."""
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if (
        not re.fullmatch(r"[^$\0.\ud800-\udfff]+(\.[^$\0.\ud800-\udfff]+)*", value)
        or value.startswith("system.")
        or len(value.encode(errors="replace")) > _NAMESPACE_MAX
    ):
        raise NotAllowedError(f"is {value!r}")
    return value


def url_prefix(value: Any) -> str:
    """Read a path that begins with a slash; one at its end is dropped."""
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
        raise NotAllowedError(f"is {value!r}")
    return value.rstrip("/")


def site_path(value: Any) -> str:
    """Read a path that a browser may be led to, which stays on the same site."""
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not is_site_path(value):
        raise NotAllowedError(f"is {value!r}")
    return value


def methods(value: Any) -> tuple[Method, ...]:
    """Read which methods are offered; a plain str is a slip, not a list of letters."""
    if not isinstance(value, list | tuple | set | frozenset):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not value or not all(item in METHODS for item in value):
        raise NotAllowedError(f"is {value!r}")
    return tuple(method for method in METHODS if method in value)


def key_material(value: Any) -> tuple[bytes, ...] | None:
    """Read keys, newest first, as bytes."""
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise NotAllowedError("is an empty list")
    return tuple(_key_bytes(item) for item in values)


def _key_bytes(value: Any) -> bytes:
    if not isinstance(value, str | bytes):
        raise NotAllowedError(f"has a {type(value).__name__} in it")
    key = value.encode() if isinstance(value, str) else value
    if len(key) < KEY_BYTES:
        raise NotAllowedError(f"has a key of {len(key)} bytes")
    return key


def or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader that also takes ``None``."""
    return lambda value: None if value is None else read(value)


def limits(value: Any) -> tuple[RateLimitItem, ...]:
    """Read rules in the notation of Flask-Limiter, the shortest window first."""
    if value is None:
        return ()
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    try:
        rules = parse_many(value)
    except ValueError:
        raise NotAllowedError(f"is {value!r}") from None
    if any(rule.amount < 1 for rule in rules):
        raise NotAllowedError(f"is {value!r}, which allows nothing at all")
    return tuple(sorted(rules, key=lambda rule: rule.get_expiry()))


def account_limits(value: Any) -> tuple[RateLimitItem, ...]:
    """Read rules whose sends are kept in the document of an account, which has to stay small."""
    rules = limits(value)
    for rule in rules:
        if rule.amount > _SENDS_MAX:
            raise NotAllowedError(
                f"is {value!r}, and an account keeps the times of {_SENDS_MAX} sends at most"
            )
    return rules


def region(value: Any) -> str | None:
    """Read a country code that the phonenumbers package knows, in upper case."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if value.upper() not in _supported_regions():
        raise NotAllowedError(f"is {value!r}")
    return value.upper()


def regions(value: Any) -> frozenset[str] | None:
    """Read a list of country codes that the phonenumbers package knows."""
    if value is None:
        return None
    if not isinstance(value, list | tuple | set | frozenset):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not value:
        raise NotAllowedError("is empty, which allows no number at all")
    return frozenset(found for item in value if (found := region(item)))


def _supported_regions() -> Collection[str]:
    try:
        import phonenumbers
    except ImportError:
        raise NotAllowedError(
            "needs the phonenumbers package: pip install 'flask-otp-auth[phone]'"
        ) from None
    return phonenumbers.SUPPORTED_REGIONS
