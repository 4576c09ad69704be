"""SessionStore: the MongoDB documents of sessions, the one atomic verdict, and the TTL index."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import OperationFailure

from ..exceptions import InternalError
from ..types import Session
from .database import Document, Once, acknowledged, bounded, durable
from .verdict import Outcome, verdict_pipeline

_log = logging.getLogger("flask_otp_auth")

_INDEX_OPTIONS_CONFLICT = 85


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one guess and the session as that guess left it.

    :param contested: whether wrong codes have been counted for the identifier, in whichever
        session, that a right code has to clear.
    """

    outcome: Outcome
    session: Session
    contested: bool


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
        self._collection = durable(database, name)
        # A session that is lost is one whose code is wrong.
        self._new = acknowledged(database, name)
        self._keep = keep
        self._timeout = timeout
        self._indexes = Once(self.create_indexes)

    def insert(self, session: Session, digest: bytes, *, contested: bool = False) -> None:
        """Store a new pending session with the digest of its code.

        :param contested: whether wrong codes have been counted for its identifier before.
        """
        with bounded(self._timeout):
            self._indexes.ensure()
            self._new.insert_one(
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
                    "resends": session.resends,
                    "contested": contested,
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
        outcome, session = Outcome(document["verdict"]), _session(document)
        if outcome.is_judged and not isinstance(document.get("identifier"), str):
            broken = InternalError()
            _log.error("a stored session lacks its identifier [error %s]", broken.id)
            raise broken
        return Verdict(outcome, session, bool(document.get("contested", True)))

    def contest(self, identifier: str) -> None:
        """Tell the pending sessions of an identifier that failures have been counted for it.

        So a right code knows, without asking, whether there is anything to clear.
        """
        with bounded(self._timeout):
            self._collection.update_many(
                {"identifier": identifier, "status": "pending"}, {"$set": {"contested": True}}
            )

    def open_tries(self, identifier: str, now: datetime) -> int:
        """Return how many wrong codes the sessions of an identifier can still take."""
        left = {"$subtract": ["$maxAttempts", "$attempts"]}
        with bounded(self._timeout):
            found = self._collection.aggregate(
                [
                    {
                        "$match": {
                            "identifier": identifier,
                            "status": "pending",
                            "expiresAt": {"$gt": now},
                        }
                    },
                    {"$group": {"_id": None, "tries": {"$sum": left}}},
                ]
            )
            return sum(group["tries"] for group in found)

    def add_code(
        self, session_id: str, digest: bytes, *, max_resends: int, now: datetime
    ) -> Session | None:
        """Let one more code be right for a session; tries and lifetime stay as they are.

        :returns: the session, or ``None`` if it is not pending, is past its time, or has had
            *max_resends* codes already.
        """
        with bounded(self._timeout):
            document = self._collection.find_one_and_update(
                {
                    "_id": session_id,
                    "status": "pending",
                    "expiresAt": {"$gt": now},
                    "resends": {"$lt": max_resends},
                },
                {"$push": {"digests": digest}, "$inc": {"resends": 1}},
                projection={"digests": False},
                return_document=ReturnDocument.AFTER,
            )
        return None if document is None else _session(document)

    def drop_code(self, session_id: str, digest: bytes) -> None:
        """Take back a code that did not go out."""
        with bounded(self._timeout):
            self._collection.update_one({"_id": session_id}, {"$pull": {"digests": digest}})

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

    def create_indexes(self) -> None:
        """Make the indexes; give an existing TTL index the retention asked for.

        The TTL index on ``createdAt`` deletes old sessions; the one on ``identifier`` finds the
        sessions of one account.
        """
        self._collection.create_index([("identifier", 1), ("createdAt", -1)])
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


def _session(document: Mapping[str, Any]) -> Session:
    # What is missing must not stop a verdict that has been written from being told.
    get: Callable[[str], Any] = document.get
    return Session(
        session_id=document["_id"],
        identifier=get("identifier"),
        method=get("method"),
        status=get("status"),
        attempts=get("attempts"),
        max_attempts=get("maxAttempts"),
        created_at=get("createdAt"),
        expires_at=get("expiresAt"),
        verified_at=get("verifiedAt"),
        payload=get("payload"),
        resends=document.get("resends", 0),
    )
