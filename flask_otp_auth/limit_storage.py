"""Which store the host wants sends to be counted in, and what speaks against it."""

from __future__ import annotations

from enum import Enum
from typing import Any, cast

from flask import Flask
from flask_limiter import Limiter
from limits.storage import MemoryStorage, Storage, storage_from_string

from .config import warn
from .exceptions import ConfigurationError


class Place(Enum):
    """Where sends are counted if not in a storage of the limits library."""

    NOWHERE = "the host switched limits off"
    DATABASE = "the host says nothing, so beside the sessions"


def find_store(app: Flask, limiter: Limiter | None, timeout: float) -> Storage | Place:
    """Return where the host wants sends to be counted.

    In the storage of *limiter*, else of the one Limiter that *app* has, else in what
    ``RATELIMIT_STORAGE_URI`` names, else in its own database.

    :param timeout: seconds that a storage made here may wait for its server.
    :raises ConfigurationError: *limiter* is not initialised on *app*.
    """
    if not app.config.get("RATELIMIT_ENABLED", True):
        warn_in_production(
            app, "RATELIMIT_ENABLED is False: nothing limits how many codes are sent"
        )
        return Place.NOWHERE
    limiters = app.extensions.get("limiter", set())
    if limiter is not None and limiter not in limiters:
        raise ConfigurationError(
            "limiter", "is a Limiter that this app does not have: call limiter.init_app(app) before"
        )
    if limiter is None and len(limiters) == 1:
        (limiter,) = limiters
    if limiter is None:
        uri = app.config.get("RATELIMIT_STORAGE_URI")
        if not uri:
            return Place.DATABASE
        storage = storage_from_uri(uri, app.config.get("RATELIMIT_STORAGE_OPTIONS", {}), timeout)
    else:
        storage = limiter.storage
        if app.config.get("RATELIMIT_SWALLOW_ERRORS") or limiter._swallow_errors:
            warn_in_production(
                app,
                "swallow_errors (RATELIMIT_SWALLOW_ERRORS) lets the app's own limits pass all "
                "while their store is away; the limits of Flask-OTP-Auth send nothing then",
            )
    if isinstance(storage, MemoryStorage):
        warn_in_production(
            app,
            "send limits are counted in memory, so each worker process allows the whole of them: "
            "name a shared store in RATELIMIT_STORAGE_URI, or leave it out to count in MongoDB",
        )
    if not isinstance(storage, Storage):
        raise ConfigurationError(
            "RATELIMIT_STORAGE_URI", "names an asynchronous storage; take one without async+"
        )
    return storage


def warn_in_production(app: Flask, message: str) -> None:
    """Give a SecurityWarning, unless the app is being tested or debugged."""
    if not (app.testing or app.debug):
        warn(message)


def storage_from_uri(uri: str, options: dict[str, Any], timeout: float) -> Storage:
    """Return the storage that ``RATELIMIT_STORAGE_URI`` names, with its waiting bounded.

    :raises ConfigurationError: there is no such storage, or its client is not installed.
    """
    if uri.startswith(("redis", "valkey")):
        options = {"socket_timeout": timeout, "socket_connect_timeout": timeout, **options}
    try:
        return cast(Storage, storage_from_string(uri, **options))
    except Exception as error:
        raise ConfigurationError(
            "RATELIMIT_STORAGE_URI",
            f"names a storage that cannot be made ({type(error).__name__}): check the scheme and "
            "that the package of its client is installed",
        ) from None
