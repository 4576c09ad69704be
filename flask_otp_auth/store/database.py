"""The way to MongoDB: which database, how durable, and for how long to wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any, cast

import pymongo
from flask_pymongo import PyMongo
from pymongo import ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from ..exceptions import ConfigurationError, InternalError, ServiceUnavailable

_log = logging.getLogger("flask_otp_auth")

Document = dict[str, Any]
RETRY_AFTER = 5  # seconds; an election of a replica set takes about this long


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Bound the database operations inside, and tell a database that is away from a real fault.

    :param seconds: for all operations inside together.
    :raises ServiceUnavailable: no answer in time.
    :raises InternalError: the database refused the operation.
    """
    failure: ServiceUnavailable | InternalError
    try:
        with pymongo.timeout(seconds):
            yield
        return
    except PyMongoError as error:
        # Neither the text of the driver nor its details: both can hold a whole document.
        what = type(error).__name__
        if isinstance(error, OperationFailure):
            what += f" {error.code} {(error.details or {}).get('codeName', '')}".rstrip()
        if error.timeout or isinstance(error, ConnectionFailure):
            failure = ServiceUnavailable(retry_after=RETRY_AFTER)
            hint = f"no answer within {seconds} s: is MongoDB up and reachable under MONGO_URI?"
        else:
            failure = InternalError()
            hint = "MongoDB refused the operation"
        _log.error("database: %s (%s) [error %s]", hint, what, failure.id)
    raise failure from None


def durable(database: Database[Document], name: str) -> Collection[Document]:
    """Return a collection whose writes outlive a crash of the server and a change of primary."""
    return _collection(database, name, WriteConcern("majority"))


def acknowledged(database: Database[Document], name: str) -> Collection[Document]:
    """Return a collection whose writes are as durable as the server makes them by default.

    That is by a majority on a replica set (from MongoDB 5.0); a server of its own may lose the last
    100 ms when it crashes. For what does no harm when it is lost, since waiting for the journal
    takes longer than the write itself. What the host's URI says of ``w`` does not count.
    """
    # Not "majority" without the journal: on a replica set that waits for the next 100 ms flush.
    return _collection(database, name, WriteConcern())


def _collection(
    database: Database[Document], name: str, write_concern: WriteConcern
) -> Collection[Document]:
    return database.get_collection(
        name,
        codec_options=database.codec_options.with_options(
            document_class=dict, tz_aware=True, tzinfo=UTC
        ),
        read_preference=ReadPreference.PRIMARY,
        write_concern=write_concern,
    )


class Once:
    """Does *work* before the first use of something: once in a process, and again if it failed."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._done = threading.Event()
        self._lock = threading.Lock()

    def ensure(self) -> None:
        """Return when the work is done; others wait for who does it."""
        if self._done.is_set():
            return
        with self._lock:
            if not self._done.is_set():
                self._work()
                self._done.set()


def database_of(mongo: PyMongo) -> Database[dict[str, Any]]:
    """Return the database that the URI of *mongo* names."""
    if not isinstance(mongo, PyMongo):
        raise ConfigurationError(
            "mongo", f"is a {type(mongo).__name__}, not a flask_pymongo.PyMongo"
        )
    if mongo.cx is None:
        raise ConfigurationError(
            "mongo", "is a PyMongo without a connection: call mongo.init_app(app) before"
        )
    if mongo.db is None:
        raise ConfigurationError(
            "MONGO_URI", "names no database: write mongodb://host:port/DATABASE"
        )
    return cast("Database[dict[str, Any]]", mongo.db)
