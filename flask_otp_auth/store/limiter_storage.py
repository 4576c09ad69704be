"""HostMongoStorage: a storage for Flask-Limiter that uses the application's MongoDB client."""

from __future__ import annotations

import time
from typing import Any

from limits.storage.mongodb import MongoDBStorageBase
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from .database import Document, acknowledged, database_calls
from .indexes import Indexes

_SCHEME = "otp-auth-mongodb"


def storage_for(
    database: Database[Document], collection: str, timeout: float
) -> tuple[str, dict[str, Any]]:
    """Return the URI and the options with which a Limiter creates a HostMongoStorage.

    :param database: the database of the sessions.
    :param collection: the name of the collection for the counts.
    :param timeout: seconds that the database has for each call.
    """
    options = {"database": database, "collection": collection, "timeout": timeout}
    return f"{_SCHEME}://", options


class HostMongoStorage(MongoDBStorageBase):
    """Counts the requests of clients in the database of the sessions.

    The storage that comes with the limits library opens a second client, lets each call take the
    default of 30 s, and never tries again if it could not create its indexes.

    :param uri: the URI of :func:`storage_for`.
    :param database: the database of the sessions.
    :param collection: the name of the collection for the counts.
    :param timeout: seconds that the database has for each call.
    """

    STORAGE_SCHEME = [_SCHEME]  # noqa: RUF012 - the library expects this form

    def __init__(
        self,
        uri: str,
        *,
        database: Database[Document],
        collection: str,
        timeout: float,
        **_options: Any,
    ) -> None:
        super().__init__(uri, database_name=database.name, window_collection_name=collection)
        self._host_client = database.client
        self._windows = acknowledged(database, collection)
        self._timeout = timeout
        self._indexes = Indexes(self.create_indexes)

    @property
    def storage(self) -> MongoClient[Document]:
        """The client of the application."""
        return self._host_client

    @property
    def windows(self) -> Collection[Document]:
        """The collection of the moving windows."""
        return self._windows

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit, and return whether the window had room for it.

        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        with database_calls(self._timeout):
            self._indexes.ensure(self._timeout)
            hit = super().acquire_entry
            # False can also mean that another request has just created the document.
            return hit(key, limit, expiry, amount) or hit(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the start of a window, in seconds since 1970, and the number of hits in it.

        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        with database_calls(self._timeout):
            start, count = super().get_moving_window(key, limit, expiry)
        return start or time.time(), count

    def create_indexes(self) -> None:
        """Create the TTL index that deletes documents which no rule needs any more."""
        self._windows.create_index("expireAt", expireAfterSeconds=0)

    def _init_mongo_client(
        self,
        uri: str | None,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> MongoClient[Document]:
        return self._host_client

    def __del__(self) -> None:
        """Leave the client open, since it belongs to the application."""
