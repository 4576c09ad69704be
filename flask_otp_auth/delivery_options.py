"""Readers of the delivery options, whose errors never show a URL, since URLs hold passwords."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .option_values import NotAllowedError
from .types import Method


def provider_urls(method: Method) -> Callable[[Any], tuple[str, ...]]:
    """Return a reader of Apprise URLs that can send a message to one person by *method*."""

    def read(value: Any) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise NotAllowedError(f"is a {type(value).__name__}")
        for number, url in enumerate(value, 1):
            if not isinstance(url, str):
                raise NotAllowedError(f"has a {type(url).__name__} in it")
            if not re.match(r"[A-Za-z][A-Za-z0-9]*://[^\s]", url):
                raise NotAllowedError(f"has an entry, number {number}, that is no URL")
        if value:
            _check_providers(value, method)
        return tuple(value)

    return read


def _check_providers(urls: Sequence[str], method: Method) -> None:
    try:
        from .sending.apprise_urls import UnusableUrlError, check
    except ImportError:
        raise NotAllowedError(
            "needs the apprise package: pip install 'flask-otp-auth[delivery]'"
        ) from None
    for number, url in enumerate(urls, 1):
        try:
            check(url, method)
        except UnusableUrlError as error:
            raise NotAllowedError(f"has an entry, number {number}, that {error}") from None


def app_name(value: Any) -> str | None:
    """Read the name of the application in messages: a single line, since subjects contain it."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    if not 1 <= len(value.strip()) <= 60 or not value.isprintable():
        raise NotAllowedError(f"is {value!r}")
    return value.strip()


def origin(value: Any) -> str | None:
    """Read an origin whose host name can end an SMS: it has the scheme https, and no port."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise NotAllowedError(f"is a {type(value).__name__}")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"https://{label}(\.{label})*/?", value.lower()) or len(value) > 260:
        raise NotAllowedError(f"is {value!r}")
    return value.lower().rstrip("/")
