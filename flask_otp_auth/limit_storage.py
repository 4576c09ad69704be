"""Where sends are counted: the host's store, or a collection through the host's MongoDB client."""

from __future__ import annotations

import threading
from typing import Any, cast

from flask import Flask
from flask_limiter import Limiter
from limits.storage import MemoryStorage, MongoDBStorageBase, Storage, storage_from_string
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from .config import warn
from .database import durable
from .exceptions import ConfigurationError


class SharedMongoStorage(MongoDBStorageBase):
    """Moving windows in a collection of the host's own database, through the host's own client.

    :param database: where the collection is.
    :param collection: its name.
    """

    STORAGE_SCHEME = None

    def __init__(self, database: Database[dict[str, Any]], collection: str) -> None:
        super().__init__("", database.name, f"{collection}.counters", collection)
        # Set here, the base neither connects nor makes its indexes, which it tries only once.
        self._storage = database.client
        self._windows = durable(database, collection)
        self._indexed = threading.Event()
        self._index_lock = threading.Lock()

    def _init_mongo_client(self, uri: str | None, **options: int | str | bool) -> MongoClient[Any]:
        raise NotImplementedError("the client is the host's")

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take an entry of the window *key* if fewer than *limit* are younger than *expiry* s.

        The base takes it for a full window when another request makes the same new document at
        that moment, so a refusal is asked for twice.
        """
        if not self._indexed.is_set():
            with self._index_lock:
                self.windows.create_index("expireAt", expireAfterSeconds=0)
                self._indexed.set()
        acquire = super().acquire_entry
        return acquire(key, limit, expiry, amount) or acquire(key, limit, expiry, amount)

    @property
    def windows(self) -> Collection[dict[str, Any]]:
        """The collection, with writes that are acknowledged whatever the host's URI says."""
        return self._windows

    def __del__(self) -> None:
        """Leave the client open: it is not ours, and the base would close it."""


def find_storage(
    app: Flask,
    limiter: Limiter | None,
    database: Database[dict[str, Any]],
    collection: str,
    timeout: float,
) -> Storage | None:
    """Return where sends are counted, or ``None`` if the host switched rate limits off.

    The storage of *limiter*, else of the one Limiter that *app* has, else what
    ``RATELIMIT_STORAGE_URI`` names, else a collection of the host's own database.

    :raises ConfigurationError: *limiter* is not initialised on *app*.
    """
    if not app.config.get("RATELIMIT_ENABLED", True):
        warn_in_production(
            app, "RATELIMIT_ENABLED is False: nothing limits how many codes are sent"
        )
        return None
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
            return SharedMongoStorage(database, collection)
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
