"""HostMongoStorage: a storage for Flask-Limiter that uses the application's MongoDB client."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from limits.storage.mongodb import MongoDBStorageBase
from pymongo import MongoClient, ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

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
    default of 30 s, never tries again if it could not create its indexes, and keeps a client out
    while there are hits in the future.

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

        Hits in the future count as hits of now: a clock that was ahead must not keep a client out
        until that time comes.

        :param key: the key of the window.
        :param limit: the hits that the window has room for.
        :param expiry: the length of the window in seconds.
        :param amount: the hits to count.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        update = _hit(time.time(), limit, expiry, amount)
        with database_calls(self._timeout):
            self._indexes.ensure(self._timeout)
            try:
                return self._acquire(key, update)
            except DuplicateKeyError:  # another request has just created the window
                return self._acquire(key, update)

    def _acquire(self, key: str, update: Sequence[Mapping[str, Any]]) -> bool:
        window = self._windows.find_one_and_update(
            {"_id": key},
            update,
            projection={"admitted": True},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return window is not None and bool(window["admitted"])

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """Return the start of a window, in seconds since 1970, and the number of hits in it.

        :param key: the key of the window.
        :param limit: the hits that the window has room for.
        :param expiry: the length of the window in seconds.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        """
        now = time.time()
        with database_calls(self._timeout):
            window = self._windows.find_one({"_id": key}, {"entries": True})
        hits = [min(hit, now) for hit in (window or {}).get("entries", ()) if hit >= now - expiry]
        return min(hits, default=now), len(hits)

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


def _hit(now: float, limit: int, expiry: int, amount: int) -> list[Mapping[str, Any]]:
    """Return the update that counts a hit if the window has room for it."""
    recent = {
        "$filter": {
            "input": {"$ifNull": ["$entries", []]},
            "cond": {"$gte": ["$$this", now - expiry]},
        }
    }
    expires = datetime.fromtimestamp(now + expiry, UTC)
    return [
        {"$set": {"entries": {"$map": {"input": recent, "in": {"$min": ["$$this", now]}}}}},
        {"$set": {"admitted": {"$lte": [{"$add": [{"$size": "$entries"}, amount]}, limit]}}},
        {
            "$set": {
                "entries": {
                    "$cond": [
                        "$admitted",
                        {"$concatArrays": [[now] * amount, "$entries"]},
                        "$entries",
                    ]
                },
                "expireAt": expires,
            }
        },
    ]
