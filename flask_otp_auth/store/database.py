"""The way to MongoDB: which database, how durable, and for how long to wait."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any, cast

import pymongo
from bson.codec_options import CodecOptions
from flask_pymongo import PyMongo
from pymongo import ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ..exceptions import ConfigurationError, InternalError, ServiceUnavailable

_log = logging.getLogger("flask_otp_auth")

Document = dict[str, Any]
RETRY_AFTER = 5  # seconds; an election of a replica set takes about this long


# What a server answers when it cannot do its work now, rather than because the work is wrong: a
# change of primary (217: it no longer knows what it answered before), a shutdown, a lost majority,
# a time limit, an operator's killOp (MongoDB's manual, "Error Codes").
_AWAY = frozenset(
    {6, 7, 24, 50, 64, 89, 91, 100, 112, 133, 134, 189, 202, 217, 262, 9001}
    | {10058, 10107, 11600, 11601, 11602, 13435, 13436}
)


@contextmanager
def database_calls(seconds: float) -> Iterator[None]:
    """Give the database calls inside so much time together, and put their errors into our words.

    :param seconds: for all calls inside together.
    :raises ServiceUnavailable: the database is away, or did not answer in time.
    :raises InternalError: the database refused a call.
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
        if is_away(error):
            failure = ServiceUnavailable(retry_after=RETRY_AFTER)
            hint = f"no answer within {seconds} s: is MongoDB up and reachable under MONGO_URI?"
        else:
            failure = InternalError()
            hint = "MongoDB refused the operation"
        _log.error("database: %s (%s) [error %s]", hint, what, failure.id)
    raise failure from None


def is_away(error: PyMongoError) -> bool:
    """Return whether the same call may succeed in a while, with nothing changed."""
    if error.timeout or isinstance(error, ConnectionFailure):
        return True
    if error.has_error_label("RetryableWriteError"):
        return True
    codes = {getattr(error, "code", None)}
    if isinstance(error, BulkWriteError):
        codes |= {part.get("code") for part in error.details.get("writeConcernErrors", ())}
    return bool(codes & _AWAY)


def durable(database: Database[Document], name: str) -> Collection[Document]:
    """Return a collection whose writes outlive a crash of the server and a change of primary."""
    return _collection(database, name, WriteConcern("majority"))


def acknowledged(database: Database[Document], name: str) -> Collection[Document]:
    """Return a collection whose writes are as durable as the server makes them by default.

    From MongoDB 5.0 that is by a majority on a replica set, unless arbiters leave no more
    data-bearing members than a majority needs: then it is the primary alone, and
    ``setDefaultRWConcern`` changes it. A server of its own may lose the last 100 ms when it
    crashes. For what does no harm when it is lost, since waiting for the journal takes longer than
    the write itself. What the host's URI says of ``w`` does not count.
    """
    # Not "majority" without the journal: on a replica set that waits for the next 100 ms flush.
    return _collection(database, name, WriteConcern())


def _collection(
    database: Database[Document], name: str, write_concern: WriteConcern
) -> Collection[Document]:
    # Nothing is left to the options of the client, which the host chose for its own documents.
    return database.get_collection(
        name,
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        read_preference=ReadPreference.PRIMARY,
        write_concern=write_concern,
        read_concern=ReadConcern("local"),
    )


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
