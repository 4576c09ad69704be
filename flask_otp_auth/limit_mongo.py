"""Windows of sends in a collection of the host's own database, counted in one command."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from .exceptions import InternalError
from .limits import Bucket
from .store.database import Document, Once, acknowledged, bounded

_log = logging.getLogger("flask_otp_auth")

_DUPLICATE_KEY = 11000
_IMMUTABLE_FIELD = 66


class MongoWindows:
    """The sends of each bucket in a document, newest first; as many as its limits ask about.

    :param database: where the collection is.
    :param name: of the collection.
    :param timeout: seconds that the database gets for one call of a method.
    """

    def __init__(self, database: Database[Document], name: str, *, timeout: float) -> None:
        # A lost send gives one send too many.
        self._collection = acknowledged(database, name)
        self._timeout = timeout
        self._indexes = Once(self.create_indexes)

    def create_indexes(self) -> None:
        """Make the index that deletes what no limit asks about any more."""
        self._collection.create_index("expireAt", expireAfterSeconds=0)

    def run(self, steps: Sequence[UpdateOne], sends: int) -> int | None:
        """Take *steps* in turn, in one command, up to the first that cannot be taken.

        :param sends: how many of them count a send; the others must find nothing to change.
        :returns: the place of that one, or ``None``.
        :raises InternalError: the database did something else than it was asked.
        """
        with bounded(self._timeout):
            self._indexes.ensure()
            try:
                done = self._collection.bulk_write(steps)
            except BulkWriteError as error:
                for failed in error.details["writeErrors"]:
                    if failed["code"] in (_DUPLICATE_KEY, _IMMUTABLE_FIELD):
                        return int(failed["index"])
                raise
        if done.matched_count + done.upserted_count != sends:
            failure = InternalError()
            _log.error("limits: MongoDB went past a step that must stop it [error %s]", failure.id)
            raise failure
        return None

    def check(self, bucket: Bucket, now: datetime) -> None:
        """Look at a bucket whose step could not be taken.

        :raises TooManyRequests: it refuses. Else another made its document at that moment.
        """
        with bounded(self._timeout):
            document = self._collection.find_one({"_id": _id(bucket)}) or {}
        sent, waits = document.get("sent", []), []
        for amount, window in bucket.rules.pairs:
            if len(sent) >= amount and sent[amount - 1] >= now - window:
                waits.append((sent[amount - 1] + window - now).total_seconds())
        if waits:
            raise bucket.refuse(max(waits))


def _id(bucket: Bucket) -> str:
    return f"{bucket.scope}:{bucket.key}"


def count(bucket: Bucket, now: datetime) -> UpdateOne:
    """Return the step of a command that counts a send in *bucket*, and goes no further without."""
    free = {
        f"sent.{amount - 1}": {"$not": {"$gte": now - window}}
        for amount, window in bucket.rules.pairs
    }
    # Where these are not met, the upsert fails for its duplicate key.
    return UpdateOne(
        {"_id": _id(bucket), **free},
        {
            "$push": {"sent": {"$each": [now], "$position": 0, "$slice": bucket.rules.most}},
            "$set": {"expireAt": now + bucket.rules.longest},
        },
        upsert=True,
    )
