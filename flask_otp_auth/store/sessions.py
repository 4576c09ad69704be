"""SessionStore: the MongoDB documents of sessions, the atomic verdict, and their indexes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from ..exceptions import ConfigurationError
from ..types import METHODS, AccountId, Session
from .account import DAMAGED
from .database import Document, acknowledged, durable, plain
from .verdict import Outcome, verdict_pipeline

_log = logging.getLogger("flask_otp_auth")

_INDEX_OPTIONS_CONFLICT = 85
_UNAUTHORIZED = 13
# The fields that our sessions share with those of the Node plugin, which uses the same collection.
_OF_A_SESSION = {"identifier", "method", "status", "createdAt", "expiresAt"}
_ENOUGH_OF_THEM = 4  # a damaged session is still one
_SAMPLE = 20
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
# The index of identifiers or the _id finds a document; a foreign one is then left alone.
_IS_OURS = {"method": {"$in": [*METHODS]}, "createdAt": {"$type": "date"}}
_IS_SESSION = {"identifier": {"$type": "string"}, **_IS_OURS}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of checking a code, and the session after it.

    :param outcome: what the code did to the session.
    :param session: the session as the verdict left it.
    :param judged_at: when a typed code was last compared, by the clock of the database.
    :param settle: whether a correct code has to update the account.
    """

    outcome: Outcome
    session: Session
    judged_at: datetime
    settle: bool


class SessionStore:
    """The sessions of one application.

    :param database: the database, which is not used before the first request.
    :param name: the name of the collection.
    :param keep: seconds from its start after which a session is deleted, whatever its status.
    """

    def __init__(self, database: Database[Document], name: str, *, keep: int) -> None:
        self._collection = durable(database, name)
        # The code of a session that is lost is wrong.
        self._new = acknowledged(database, name)
        self._keep = keep

    def insert(self, session: Session, digest: bytes, *, settle: bool) -> None:
        """Store a new pending session with the digest of its code.

        :param settle: whether a correct code has to update the account.
        """
        bound = {"purpose": session.purpose, "binding": session.binding} if session.purpose else {}
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
                "account": None if session.account is None else str(session.account),
                "settle": settle,
                "locale": session.locale,
                **bound,
            }
        )

    def judge(
        self,
        session_id: str,
        candidates: Sequence[bytes] | None,
        now: datetime,
        *,
        purpose: str | None = None,
        bindings: Sequence[str] = (),
    ) -> Verdict | None:
        """Decide on a typed code, in a single operation of the database.

        :param session_id: the session for which the code was typed.
        :param candidates: the digests under which the typed code may be stored, or ``None`` if it
            cannot be a code, which costs no attempt.
        :param now: UTC time of the request.
        :param purpose: what the code is to be used for, or ``None`` for a login.
        :param bindings: what a session for this purpose and its subject may be bound to.
        :returns: the verdict, or ``None`` if there is no such session for this purpose.
        """
        bound = {"purpose": purpose, "binding": {"$in": list(bindings)} if purpose else None}
        document = self._collection.find_one_and_update(
            {"_id": session_id, **_IS_SESSION, **bound},
            verdict_pipeline(candidates, now),
            projection={"digests": False},
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            return None
        session = _session(document)
        return Verdict(
            Outcome(document["verdict"]),
            session,
            judged_at=document.get("judgedAt", session.created_at),
            settle=bool(document.get("settle", True)),
        )

    def ask_to_settle(self, session_ids: Iterable[str]) -> None:
        """Record in open sessions that their account has failures.

        The verdict on a correct code then tells whether the account has to be updated.
        """
        self._collection.update_many(
            {"_id": {"$in": list(session_ids)}, "status": "pending"}, {"$set": {"settle": True}}
        )

    def add_code(
        self, session_id: str, digest: bytes, *, max_resends: int, now: datetime
    ) -> Session | None:
        """Add the digest of another code to a session, whose attempts and lifetime do not change.

        :returns: the session, or ``None`` if it is not pending, has expired, or has had
            *max_resends* resends.
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

    def take_back_resend(self, session_id: str, digest: bytes) -> None:
        """Remove the digest of a code that could not be sent, and do not count its resend."""
        self._collection.update_one(
            {"_id": session_id, "digests": digest},
            {"$pull": {"digests": digest}, "$inc": {"resends": -1}},
        )

    def drop_code(self, session_id: str, digest: bytes) -> None:
        """Remove the digest of a code that could not be sent, without a sign of it for a client."""
        self._collection.update_one({"_id": session_id}, {"$pull": {"digests": digest}})

    def discard(self, session_id: str) -> None:
        """End a pending session whose code could not be sent, or whose time is over."""
        self._collection.update_one(
            {"_id": session_id, "status": "pending"},
            {"$set": {"status": "expired"}, "$unset": {"digests": ""}},
        )

    def find(self, session_id: str) -> Session | None:
        """Return the session as it is stored, or ``None`` if there is no such session."""
        document = self._collection.find_one({"_id": session_id, **_IS_SESSION}, {"digests": False})
        return None if document is None else _session(document)

    def of_identifier(self, identifier: str, most: int) -> list[Session]:
        """Return at most *most* sessions of a normalised identifier, the newest first."""
        found = self._collection.find({"identifier": identifier, **_IS_OURS}, {"digests": False})
        return [_session(document) for document in found.sort("createdAt", -1).limit(most)]

    def export(self, identifier: str) -> list[Document]:
        """Return all that is stored in the sessions of an identifier, ready for JSON.

        Digests and other HMACs are left out. The newest session is the first.
        """
        hidden = {"digests": False, "binding": False, "account": False}
        found = self._collection.find({"identifier": identifier, **_IS_OURS}, hidden)
        return [
            {"sessionId": document.pop("_id"), **plain(document)}
            for document in found.sort("createdAt", -1)
        ]

    def erase(self, identifier: str) -> int:
        """Delete the sessions of a normalised identifier, and return how many there were."""
        return self._collection.delete_many({"identifier": identifier, **_IS_OURS}).deleted_count

    @property
    def collection(self) -> Collection[Document]:
        """The collection, for :mod:`.upkeep`."""
        return self._collection

    def create_indexes(self) -> None:
        """Create the indexes, or change the retention of an existing TTL index.

        The TTL index on ``createdAt`` deletes old sessions; the index on ``identifier`` finds the
        sessions of an identifier.

        :raises ConfigurationError: the collection holds documents that are not sessions.
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
        """Check the first and the last documents, before a TTL index deletes any."""
        for order in (1, -1):
            for document in self._collection.find().sort("_id", order).limit(_SAMPLE):
                if len(document.keys() & _OF_A_SESSION) < _ENOUGH_OF_THEM:
                    raise ConfigurationError(
                        "OTP_AUTH_COLLECTION",
                        f"is {self._collection.name}, which holds documents that are no sessions; "
                        "old sessions are deleted from it, so give it a collection of its own",
                    )

    def _change_retention(self) -> None:
        """Change the retention of the TTL index, if the database user is allowed to."""
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
                "sessions are still deleted after the former OTP_AUTH_KEEP_SESSIONS: to change it "
                "to %s s, the database user needs collMod on %s (role dbAdmin)",
                self._keep,
                self._collection.name,
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
    # A verdict has been written already, so a missing field must not keep it from the caller.
    get: Callable[[str], Any] = document.get
    # What is damaged is over, as it is for the verdict.
    expires_at, resends = get("expiresAt"), document.get("resends", 0)
    return Session(
        session_id=document["_id"],
        identifier=get("identifier"),
        method=get("method"),
        status=get("status"),
        attempts=get("attempts"),
        max_attempts=get("maxAttempts"),
        created_at=get("createdAt"),
        expires_at=expires_at if isinstance(expires_at, datetime) else _LONG_AGO,
        verified_at=get("verifiedAt"),
        payload=get("payload"),
        resends=resends if isinstance(resends, int) else DAMAGED,
        account=AccountId.parse(account) if isinstance(account := get("account"), str) else None,
        locale=get("locale"),
        purpose=get("purpose"),
        binding=get("binding"),
    )
