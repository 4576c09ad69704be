"""Readers of option values: each returns the value as Settings holds it, or says what is wrong.

The texts of errors never show a provider's URL or a key, since both are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from limits import RateLimitItem, parse_many

from ..site_paths import is_site_path
from ..texts import Catalogue
from ..types import METHODS, Method
from .keys import KEY_BYTES

T = TypeVar("T")
_NAMESPACE_MAX = 200
_SENDS_MAX = 1000
_SECONDS_MAX = 2**31 // 1000  # MongoDB's maxTimeMS has 31 bits


class NotAllowedError(ValueError):
    """The value of an option is not allowed; the message says why."""


def _instance(value: Any, *kinds: type[T]) -> T:
    """Return *value*, which has to be of one of the *kinds*."""
    if not isinstance(value, kinds):
        raise NotAllowedError(f"is a {type(value).__name__}")
    return value


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a reader of an integer from *low* to *high*; a bool is not accepted."""

    def read(value: Any) -> int:
        if type(value) is not int:
            raise NotAllowedError(f"is a {type(value).__name__}")
        if not low <= value <= high:
            raise NotAllowedError(f"is {value}")
        return value

    return read


def seconds(value: Any) -> float:
    """Read a number of seconds above 0."""
    if type(value) not in (int, float):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not (value > 0 and value <= _SECONDS_MAX):
        raise NotAllowedError("is too large" if value > 0 else f"is {value}")
    return float(value)


def flag(value: Any) -> bool:
    """Read True or False; no other value is accepted, not even 0 or 1."""
    if type(value) is not bool:
        raise NotAllowedError(f"is a {type(value).__name__}")
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Read a dict, whose entries are checked later, together with other options."""
    if not isinstance(value, Mapping):
        raise NotAllowedError(f"is a {type(value).__name__}")
    return value


def collection_name(value: Any) -> str:
    """Read the name of a MongoDB collection."""
    text = _instance(value, str)
    if (
        not re.fullmatch(r"[^$\0.\ud800-\udfff]+(\.[^$\0.\ud800-\udfff]+)*", text)
        or text.startswith("system.")
        or len(text.encode(errors="replace")) > _NAMESPACE_MAX
    ):
        raise NotAllowedError(f"is {text!r}")
    return text


def url_prefix(value: Any) -> str:
    """Read a path that begins with a slash, or an empty one; a slash at its end is removed."""
    text = _instance(value, str)
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", text):
        raise NotAllowedError(f"is {text!r}")
    return text.rstrip("/")


def site_path(value: Any) -> str:
    """Read a path that a browser may be redirected to, which must stay on the same site."""
    text = _instance(value, str)
    if not is_site_path(text):
        raise NotAllowedError(f"is {text!r}")
    return text


def methods(value: Any) -> tuple[Method, ...]:
    """Read a list of methods; a single str is not accepted."""
    items = _instance(value, list, tuple, set, frozenset)
    if not items or not all(item in METHODS for item in items):
        raise NotAllowedError(f"is {items!r}")
    return tuple(method for method in METHODS if method in items)


def key_material(value: Any) -> tuple[bytes, ...]:
    """Read one key, or a list of keys with the newest first, and return them as bytes."""
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
    """Return a reader that also accepts ``None``."""
    return lambda value: None if value is None else read(value)


def limits(value: Any) -> tuple[RateLimitItem, ...]:
    """Read rules in the notation of Flask-Limiter; the one with the shortest window comes first."""
    if value is None:
        return ()
    text = _instance(value, str)
    try:
        rules = parse_many(text)
    except ValueError:
        raise NotAllowedError(f"is {text!r}") from None
    if any(rule.amount < 1 for rule in rules):
        raise NotAllowedError(f"is {text!r}, which allows nothing at all")
    return tuple(sorted(rules, key=lambda rule: rule.get_expiry()))


def account_limits(value: Any) -> tuple[RateLimitItem, ...]:
    """Read rules for accounts, whose documents hold the time of each send and must stay small."""
    rules = limits(value)
    for rule in rules:
        if rule.amount > _SENDS_MAX:
            raise NotAllowedError(
                f"is {value!r}, but an account keeps the times of at most {_SENDS_MAX} sends"
            )
    return rules


def region(value: Any) -> str:
    """Read a country code that the phonenumbers package knows, and return it in upper case."""
    text = _instance(value, str)
    if text.upper() not in _supported_regions():
        raise NotAllowedError(f"is {text!r}")
    return text.upper()


def regions(value: Any) -> frozenset[str]:
    """Read a list of country codes that the phonenumbers package knows."""
    items = _instance(value, list, tuple, set, frozenset)
    if not items:
        raise NotAllowedError("is empty, which allows no number at all")
    if None in items:
        raise NotAllowedError("has a NoneType in it")
    return frozenset(region(item) for item in items)


def _supported_regions() -> Collection[str]:
    try:
        import phonenumbers
    except ImportError:
        raise NotAllowedError(
            "needs the phonenumbers package: pip install 'flask-otp-auth[phone]'"
        ) from None
    return phonenumbers.SUPPORTED_REGIONS


def texts(value: Any) -> Catalogue:
    """Read changes to the words of the page and the messages, and return all words with them."""
    try:
        return Catalogue.read(value)
    except ValueError as error:
        raise NotAllowedError(str(error)) from None


def provider_urls(value: Any) -> tuple[str, ...]:
    """Read a list of Apprise URLs; whether Apprise can use them is checked by ``sending``."""
    if value is None:
        return ()
    items = _instance(value, list, tuple)
    for number, url in enumerate(items, 1):
        if not isinstance(url, str):
            raise NotAllowedError(f"has a {type(url).__name__} in it")
        if not re.match(r"[A-Za-z0-9]+://[^\s]", url):
            raise NotAllowedError(f"has an entry, number {number}, that is no URL")
    return tuple(items)


def app_name(value: Any) -> str:
    """Read the name of the application in messages: a single line, since subjects contain it."""
    text = _instance(value, str)
    if not 1 <= len(text.strip()) <= 60 or not text.isprintable():
        raise NotAllowedError(f"is {text!r}")
    return text.strip()


def origin(value: Any) -> str:
    """Read an origin whose host name can end an SMS: it has the scheme https, and no port."""
    text = _instance(value, str)
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"https://{label}(\.{label})*/?", text.lower()) or len(text) > 260:
        raise NotAllowedError(f"is {text!r}")
    return text.lower().rstrip("/")
