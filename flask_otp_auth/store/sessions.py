"""SessionStore: the MongoDB documents of sessions, the one atomic verdict, and their indexes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from ..exceptions import ConfigurationError, InternalError
from ..types import Session
from .database import Document, acknowledged, durable
from .verdict import Outcome, verdict_pipeline

_log = logging.getLogger("flask_otp_auth")

_INDEX_OPTIONS_CONFLICT = 85
_UNAUTHORIZED = 13
# What both our sessions and those of the Node plugin have; its collection has the same name.
_OF_A_SESSION = {"identifier", "method", "status", "createdAt", "expiresAt"}
_ENOUGH_OF_THEM = 4  # a damaged session is still one
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one guess and the session as that guess left it.

    :param judged_at: when a guess was compared with the codes last, by the clock of the database.
    :param settle: whether a right code has anything to settle with the account.
    """

    outcome: Outcome
    session: Session
    judged_at: datetime
    settle: bool


class SessionStore:
    """The sessions of one application.

    :param database: where the collection is; nothing is read or written before the first request.
    :param name: of the collection.
    :param keep: seconds after which a session is deleted, whatever became of it.
    """

    def __init__(self, database: Database[Document], name: str, *, keep: int) -> None:
        self._collection = durable(database, name)
        # A session that is lost is one whose code is wrong.
        self._new = acknowledged(database, name)
        self._keep = keep

    def insert(self, session: Session, digest: bytes, *, settle: bool) -> None:
        """Store a new pending session with the digest of its code.

        :param settle: whether a right code has anything to settle with the account.
        """
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
                "account": session.account,
                "settle": settle,
                "locale": session.locale,
            }
        )

    def judge(self, session_id: str, candidates: Sequence[bytes], now: datetime) -> Verdict | None:
        """Decide about one guess, in one operation of the database.

        :param candidates: the digests that the guessed code may be stored as.
        :param now: the time of the guess.
        :returns: the verdict, or ``None`` if there is no such session.
        """
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
        return Verdict(
            outcome,
            session,
            judged_at=document.get("judgedAt", session.created_at),
            settle=bool(document.get("settle", True)),
        )

    def ask_to_settle(self, session_ids: Iterable[str]) -> None:
        """Tell open sessions that failures have been counted for their account.

        So a right code knows, without asking, whether there is anything to settle.
        """
        self._collection.update_many(
            {"_id": {"$in": list(session_ids)}, "status": "pending"}, {"$set": {"settle": True}}
        )

    def add_code(
        self, session_id: str, digest: bytes, *, max_resends: int, now: datetime
    ) -> Session | None:
        """Let one more code be right for a session; tries and lifetime stay as they are.

        :returns: the session, or ``None`` if it is not pending, is past its time, or has had
            *max_resends* codes already.
        """
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
        self._collection.update_one({"_id": session_id}, {"$pull": {"digests": digest}})

    def discard(self, session_id: str) -> None:
        """End a pending session whose code did not go out."""
        self._collection.update_one(
            {"_id": session_id, "status": "pending"},
            {"$set": {"status": "expired"}, "$unset": {"digests": ""}},
        )

    def find(self, session_id: str) -> Session | None:
        """Return the session, or ``None`` if there is none of this id."""
        document = self._collection.find_one({"_id": session_id}, {"digests": False})
        return None if document is None else _session(document)

    def of_identifier(self, identifier: str, most: int) -> list[Session]:
        """Return the newest sessions of a normalised identifier, the newest first."""
        found = self._collection.find({"identifier": identifier}, {"digests": False})
        return [_session(document) for document in found.sort("createdAt", -1).limit(most)]

    @property
    def collection(self) -> Collection[Document]:
        """Return the collection, for the upkeep."""
        return self._collection

    def create_indexes(self) -> None:
        """Make the indexes; give an existing TTL index the retention asked for.

        The TTL index on ``createdAt`` deletes old sessions; the one on ``identifier`` finds the
        sessions of one account.

        :raises ConfigurationError: the collection holds something else than sessions.
        """
        self._refuse_foreign_documents()
        self._collection.create_index([("identifier", 1), ("createdAt", -1)])
        try:
            self._collection.create_index([("createdAt", 1)], expireAfterSeconds=self._keep)
        except OperationFailure as error:
            if error.code != _INDEX_OPTIONS_CONFLICT:
                raise
            self._change_retention()

    def _refuse_foreign_documents(self) -> None:
        """Look at the oldest and the newest documents before an index deletes any."""
        for order in (1, -1):
            for document in self._collection.find().sort("_id", order).limit(_SAMPLE):
                if len(document.keys() & _OF_A_SESSION) < _ENOUGH_OF_THEM:
                    raise ConfigurationError(
                        "OTP_AUTH_COLLECTION",
                        f"is {self._collection.name}, which holds documents that are no sessions; "
                        "old sessions are deleted from it, so give it a collection of its own",
                    )

    def _change_retention(self) -> None:
        """Give the TTL index another retention, if the database user may."""
        keys = {"createdAt": 1}
        try:
            before = self._collection.database.command(
                "collMod",
                self._collection.name,
                index={"keyPattern": keys, "expireAfterSeconds": self._keep},
            )
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            _log.error(
                "sessions are still deleted after the former OTP_AUTH_KEEP_SESSIONS: the database "
                "user lacks collMod on %s (role dbAdmin) to make it %s s",
                self._collection.name,
                self._keep,
            )
            return
        if "expireAfterSeconds_old" in before:
            _log.warning(
                "sessions in %s are now deleted after %s s, no longer after %s s; two apps on one "
                "collection need the same OTP_AUTH_KEEP_SESSIONS",
                self._collection.name,
                self._keep,
                before["expireAfterSeconds_old"],
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
        account=get("account"),
        locale=get("locale"),
    )
