"""HostMongoStorage: the storage of the limits library over the host's own client of MongoDB."""

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
    """Return the URI and the options by which a Limiter gets a storage of this module.

    :param database: of the sessions.
    :param collection: the name of the collection.
    :param timeout: seconds that the database gets for one call.
    """
    options = {"database": database, "collection": collection, "timeout": timeout}
    return f"{_SCHEME}://", options


class HostMongoStorage(MongoDBStorageBase):
    """Counts clients in a collection beside the sessions.

    The library's own storage opens a second client, gives each call its default of 30 s, and makes
    its indexes once or never.

    :param database: of the sessions.
    :param collection: the name of the collection.
    :param timeout: seconds that the database gets for one call.
    """

    STORAGE_SCHEME = [_SCHEME]  # noqa: RUF012 - the library's own form

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
        """The client of the host."""
        return self._host_client

    @property
    def windows(self) -> Collection[Document]:
        """The collection of the moving windows."""
        return self._windows

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit, unless the window is full.

        :raises ServiceUnavailable: the database is away.
        """
        with database_calls(self._timeout):
            self._indexes.ensure(self._timeout)
            hit = super().acquire_entry
            # A no can also mean that another request made the document at that moment.
            return hit(key, limit, expiry, amount) or hit(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the start of a window and the hits in it.

        :raises ServiceUnavailable: the database is away.
        """
        with database_calls(self._timeout):
            start, count = super().get_moving_window(key, limit, expiry)
        return start or time.time(), count

    def create_indexes(self) -> None:
        """Make the index that deletes what no rule looks at any more."""
        self._windows.create_index("expireAt", expireAfterSeconds=0)

    def _init_mongo_client(
        self,
        uri: str | None,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> MongoClient[Document]:
        return self._host_client

    def __del__(self) -> None:
        """Leave the client open, which is the host's."""
