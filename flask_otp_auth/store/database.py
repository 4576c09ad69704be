"""Access to MongoDB: which database to use, how durable writes are, and how long to wait."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pymongo
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from flask import Flask
from flask_pymongo import PyMongo
from pymongo import ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from .. import events
from ..exceptions import ConfigurationError, InternalError, ServiceUnavailable

Document = dict[str, Any]
_CLOSE_TIMEOUT = 1  # seconds; the server ends the sessions of the driver by itself later
RETRY_AFTER = 5  # seconds; an election in a replica set takes about this long

# The answers of a server that is not able to work at present, as opposed to a wrong request: a
# change of primary (217: it no longer has the result of the first try), a shutdown, a lost
# majority, a time limit, an operator's killOp (MongoDB manual, "Error Codes").
_AWAY = frozenset(
    {6, 7, 24, 50, 64, 89, 91, 100, 112, 133, 134, 189, 202, 217, 262, 9001}
    | {10058, 10107, 11600, 11601, 11602, 13435, 13436}
)
_URI_FORM = "mongodb://user:password@host:27017/DATABASE"
_WRONG_PASSWORD = (
    "MongoDB does not accept user name and password of MONGO_URI: is authSource right?"
)
_UNAUTHORIZED = 13
_BAD_LOGIN = frozenset({18, 8000})  # the second is that of MongoDB Atlas


@contextmanager
def database_calls(seconds: float) -> Iterator[None]:
    """Limit the time of all database calls in a block, and translate their errors.

    :param seconds: the time for all of the calls together.
    :raises ServiceUnavailable: MongoDB is unavailable, or did not answer in time.
    :raises InternalError: MongoDB refused a call, or a document cannot be read or written.
    """
    failure: ServiceUnavailable | InternalError
    try:
        with pymongo.timeout(seconds):
            yield
        return
    except PyMongoError as error:
        # Neither the message nor the details of the error: both can contain a whole document.
        what = type(error).__name__
        if isinstance(error, OperationFailure):
            what += f" {error.code} {(error.details or {}).get('codeName', '')}".rstrip()
        if is_away(error):
            failure = ServiceUnavailable(retry_after=RETRY_AFTER)
            hint = f"no answer within {seconds:g} s: is MongoDB up and reachable at MONGO_URI?"
            # After a refused login the driver waits for another server until the time is over.
            if isinstance(error, ServerSelectionTimeoutError) and "'code': 18" in str(error):
                hint = _WRONG_PASSWORD
        else:
            failure = InternalError()
            hint = refusal(error)
        events.failed(failure, f"database: {hint} ({what})")
    except BSONError as error:  # such as a date after the year 9999
        failure, what = InternalError(), type(error).__name__
        events.failed(failure, f"database: a document cannot be read or written ({what})")
    raise failure from None


def refusal(error: PyMongoError) -> str:
    """Return why MongoDB refused a call, and what to do about it."""
    code = getattr(error, "code", None)
    if code in _BAD_LOGIN:
        return _WRONG_PASSWORD
    if code == _UNAUTHORIZED:
        return "the user of MONGO_URI may not do this: give it the role readWrite on the database"
    return "MongoDB refused the operation"


def is_away(error: PyMongoError) -> bool:
    """Return whether the same call may succeed later without any change."""
    if error.timeout or isinstance(error, ConnectionFailure):
        return True
    if error.has_error_label("RetryableWriteError"):
        return True
    codes = {getattr(error, "code", None)}
    if isinstance(error, BulkWriteError):
        codes |= {part.get("code") for part in error.details.get("writeConcernErrors", ())}
    return bool(codes & _AWAY)


def durable(database: Database[Document], name: str) -> Collection[Document]:
    """Return a collection whose writes survive a crash of the server and a change of primary."""
    return _collection(database, name, WriteConcern("majority"))


def acknowledged(database: Database[Document], name: str) -> Collection[Document]:
    """Return a collection whose writes are as durable as the default of the server.

    It is for writes whose loss does no harm, since waiting for the journal takes longer than the
    write itself. From MongoDB 5.0 on the default is the majority on a replica set, unless arbiters
    leave no more data-bearing members than a majority needs; it is then the primary alone, and
    ``setDefaultRWConcern`` changes it. A standalone server may lose the last 100 ms in a crash. The
    ``w`` of the application's URI is ignored.
    """
    # Not "majority" without the journal: on a replica set it waits for a flush, up to 100 ms.
    return _collection(database, name, WriteConcern())


def _collection(
    database: Database[Document], name: str, write_concern: WriteConcern
) -> Collection[Document]:
    # The options of the client are not used, since they were chosen for other documents.
    return database.get_collection(
        name,
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        read_preference=ReadPreference.PRIMARY,
        write_concern=write_concern,
        read_concern=ReadConcern("local"),
    )


def plain(value: Any) -> Any:
    """Return a stored value as JSON can hold it, without digests, which are stored as bytes.

    Times are in ISO 8601 with milliseconds, as in the answers of the endpoints.
    """
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Mapping():
            return {str(key): plain(part) for key, part in value.items() if type(part) is not bytes}
        case list():
            return [plain(part) for part in value if type(part) is not bytes]
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
    return str(value)


def database_of(mongo: PyMongo) -> Database[dict[str, Any]]:
    """Return the database that the URI of *mongo* names.

    :raises ConfigurationError: *mongo* is not a connected PyMongo, or its URI names no database.
    """
    if not isinstance(mongo, PyMongo):
        raise ConfigurationError(
            "mongo", f"is a {type(mongo).__name__}, not a flask_pymongo.PyMongo"
        )
    if mongo.cx is None:
        raise ConfigurationError(
            "mongo", "is a PyMongo without a connection: call mongo.init_app(app) first"
        )
    if mongo.db is None:
        raise ConfigurationError(
            "MONGO_URI", "names no database: write mongodb://host:port/DATABASE"
        )
    return cast("Database[dict[str, Any]]", mongo.db)


def connect(app: Flask) -> PyMongo:
    """Return a PyMongo for ``MONGO_URI``, which connects on first use.

    :raises ConfigurationError: ``MONGO_URI`` is missing, or PyMongo does not accept it.
    """
    if not app.config.get("MONGO_URI"):
        raise ConfigurationError(
            "MONGO_URI",
            f"is not set: set it to {_URI_FORM}, or give init_app the PyMongo of the app",
        )
    provider = app.json
    try:
        mongo = PyMongo(app)
    except Exception as error:
        fault = _fault_of_uri(app.config["MONGO_URI"], error)
        raise ConfigurationError(
            "MONGO_URI", f"is not accepted: it {fault}; the form is {_URI_FORM}"
        ) from None
    # PyMongo replaces the JSON provider of the whole application. If the application does not use
    # PyMongo itself, its views do not expect that.
    app.json = provider
    return mongo


def _fault_of_uri(uri: object, error: Exception) -> str:
    """Return what is wrong with a URI, without any part of it, since it holds a password."""
    if not isinstance(uri, str):
        return f"is a {type(uri).__name__}"
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        return "begins with neither mongodb:// nor mongodb+srv://"
    if "escaped" in str(error) or (isinstance(error, InvalidURI) and "@" in uri):
        return (
            "has a character such as @ : / % in its user name or password, which must be encoded "
            "with urllib.parse.quote_plus"
        )
    if uri.startswith("mongodb+srv://"):
        return f"names no cluster that can be found in the DNS ({type(error).__name__})"
    return f"is no URI that PyMongo can read ({type(error).__name__})"


def close_with(app: Flask, mongo: PyMongo) -> weakref.finalize[[Any], Flask]:
    """Close the connections of *mongo* when *app* is garbage collected or the process ends.

    :returns: a function that closes them at once.
    """
    return weakref.finalize(app, _close, mongo.cx)


def _close(client: Any) -> None:
    with pymongo.timeout(_CLOSE_TIMEOUT):
        client.close()
