"""SessionStore: the MongoDB documents of sessions, the one atomic verdict, and the TTL index."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pymongo
from pymongo import ReadPreference, ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from .exceptions import InternalError, ServiceUnavailable
from .types import Session

_log = logging.getLogger("flask_otp_auth")

Document = dict[str, Any]
_INDEX_OPTIONS_CONFLICT = 85
_RETRY_AFTER = 5  # seconds; an election of a replica set takes about this long


class Outcome(StrEnum):
    """What one guess did to its session; written by the verdict into the document itself."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    LOCKED = "locked"
    EXPIRED = "expired"
    USED = "used"


_STATUS_AFTER = {
    Outcome.ACCEPTED: "verified",
    Outcome.REJECTED: "pending",
    Outcome.EXHAUSTED: "locked",
    Outcome.LOCKED: "locked",
    Outcome.EXPIRED: "expired",
    Outcome.USED: "verified",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one guess and the session as that guess left it."""

    outcome: Outcome
    session: Session


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
            failure = ServiceUnavailable(retry_after=_RETRY_AFTER)
            hint = f"no answer within {seconds} s: is MongoDB up and reachable under MONGO_URI?"
        else:
            failure = InternalError()
            hint = "MongoDB refused the operation"
        _log.error("database: %s (%s) [error %s]", hint, what, failure.id)
    raise failure


class SessionStore:
    """The sessions of one application.

    :param database: where the collection is; nothing is read or written before the first request.
    :param name: of the collection.
    :param keep: seconds after which a session is deleted, whatever became of it.
    :param timeout: seconds that the database gets for one call of a method.
    """

    def __init__(
        self, database: Database[Document], name: str, *, keep: int, timeout: float
    ) -> None:
        self._collection: Collection[Document] = database.get_collection(
            name,
            codec_options=database.codec_options.with_options(
                document_class=dict, tz_aware=True, tzinfo=UTC
            ),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority"),
        )
        self._keep = keep
        self._timeout = timeout
        self._indexed = threading.Event()
        self._index_lock = threading.Lock()

    def insert(self, session: Session, digest: bytes) -> None:
        """Store a new pending session with the digest of its code."""
        with bounded(self._timeout):
            self._ensure_indexes()
            self._collection.insert_one(
                {
                    "_id": session.session_id,
                    "identifier": session.identifier,
                    "method": session.method,
                    "payload": session.payload,
                    "status": session.status,
                    "attempts": session.attempts,
                    "maxAttempts": session.max_attempts,
                    "createdAt": session.created_at,
                    "expiresAt": session.expires_at,
                    "verifiedAt": session.verified_at,
                    "digests": [digest],
                }
            )

    def judge(self, session_id: str, candidates: Sequence[bytes], now: datetime) -> Verdict | None:
        """Decide about one guess, in one operation of the database.

        :param candidates: the digests that the guessed code may be stored as.
        :param now: the time of the guess.
        :returns: the verdict, or ``None`` if there is no such session.
        """
        with bounded(self._timeout):
            document = self._collection.find_one_and_update(
                {"_id": session_id},
                verdict_pipeline(candidates, now),
                projection={"digests": False},
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            return None
        return Verdict(Outcome(document["verdict"]), _session(document))

    def discard(self, session_id: str) -> None:
        """End a pending session whose code did not go out."""
        with bounded(self._timeout):
            self._collection.update_one(
                {"_id": session_id, "status": "pending"},
                {"$set": {"status": "expired"}, "$unset": {"digests": ""}},
            )

    def find(self, session_id: str) -> Session | None:
        """Return the session, or ``None`` if there is none of this id."""
        with bounded(self._timeout):
            document = self._collection.find_one({"_id": session_id}, {"digests": False})
        return None if document is None else _session(document)

    def _ensure_indexes(self) -> None:
        if self._indexed.is_set():
            return
        with self._index_lock:
            if self._indexed.is_set():
                return
            self.create_indexes()
            self._indexed.set()

    def create_indexes(self) -> None:
        """Make the TTL index on ``createdAt``, or give an existing one the retention asked for."""
        keys = {"createdAt": 1}
        try:
            self._collection.create_index(list(keys.items()), expireAfterSeconds=self._keep)
        except OperationFailure as error:
            if error.code != _INDEX_OPTIONS_CONFLICT:
                raise
            self._collection.database.command(
                "collMod",
                self._collection.name,
                index={"keyPattern": keys, "expireAfterSeconds": self._keep},
            )


def verdict_pipeline(candidates: Sequence[bytes], now: datetime) -> list[Mapping[str, Any]]:
    """Build the update that judges a guess; every outcome of a guess is decided here and only here.

    It runs as one operation on one document, so that no other guess comes between looking and
    writing. It leaves its outcome in ``verdict``: the caller reads it from the same operation's
    answer and so knows "verified by me" from "verified before". What is not of the expected type
    never helps the guess.
    """
    in_time = {"$and": [{"$eq": [{"$type": "$expiresAt"}, "date"]}, {"$lt": [now, "$expiresAt"]}]}
    tries_left = {
        "$and": [
            {"$in": [{"$type": "$attempts"}, ["int", "long"]]},
            {"$in": [{"$type": "$maxAttempts"}, ["int", "long"]]},
            {"$gte": ["$attempts", 0]},
            {"$lt": ["$attempts", "$maxAttempts"]},
        ]
    }
    matches = {
        "$cond": [
            {"$isArray": "$digests"},
            {"$ne": [{"$setIntersection": ["$digests", list(candidates)]}, []]},
            False,
        ]
    }
    last_try = {"$gte": [{"$add": ["$attempts", 1]}, "$maxAttempts"]}
    verdict = _switch(
        ({"$eq": ["$status", "verified"]}, Outcome.USED),
        ({"$eq": ["$status", "expired"]}, Outcome.EXPIRED),
        ({"$ne": ["$status", "pending"]}, Outcome.LOCKED),
        ({"$not": [in_time]}, Outcome.EXPIRED),
        ({"$not": [tries_left]}, Outcome.LOCKED),
        (matches, Outcome.ACCEPTED),
        (last_try, Outcome.EXHAUSTED),
        default=Outcome.REJECTED,
    )
    failed = {"$in": ["$verdict", [Outcome.REJECTED.value, Outcome.EXHAUSTED.value]]}
    accepted = {"$eq": ["$verdict", Outcome.ACCEPTED.value]}
    pending = {"$eq": ["$verdict", Outcome.REJECTED.value]}
    return [
        {"$set": {"verdict": verdict}},
        {
            "$set": {
                "status": _switch(
                    *(
                        ({"$eq": ["$verdict", outcome.value]}, status)
                        for outcome, status in _STATUS_AFTER.items()
                    ),
                    default="locked",
                ),
                "attempts": {"$cond": [failed, {"$add": ["$attempts", 1]}, "$attempts"]},
                "verifiedAt": {"$cond": [accepted, now, "$verifiedAt"]},
                "digests": {"$cond": [pending, "$digests", "$$REMOVE"]},
            }
        },
    ]


def _switch(*branches: tuple[Mapping[str, Any], str], default: str) -> Mapping[str, Any]:
    return {
        "$switch": {
            "branches": [{"case": case, "then": str(then)} for case, then in branches],
            "default": str(default),
        }
    }


def _session(document: Mapping[str, Any]) -> Session:
    return Session(
        session_id=document["_id"],
        identifier=document["identifier"],
        method=document["method"],
        status=document["status"],
        attempts=document["attempts"],
        max_attempts=document["maxAttempts"],
        created_at=document["createdAt"],
        expires_at=document["expiresAt"],
        verified_at=document.get("verifiedAt"),
        payload=document.get("payload"),
    )
