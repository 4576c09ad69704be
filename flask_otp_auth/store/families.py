"""FamilyStore: the MongoDB documents of logins, the one atomic rotation, what was logged out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .database import Document, acknowledged, durable
from .expressions import Stage, encoded, has_type, switch


class Rotation(StrEnum):
    """What became of a refresh token; written by the rotation into the document itself."""

    ROTATED = "rotated"
    REUSED = "reused"
    EXPIRED = "expired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Family:
    """One login: the refresh tokens that came one after the other, and the access tokens beside.

    :param family_id: 32 lower-case hexadecimal digits.
    :param current: the ``jti`` of the one refresh token that works.
    :param ended: whether no token of it works any more.
    """

    family_id: str
    current: str | None
    ended: bool


class FamilyStore:
    """The logins of one application whose tokens can be refreshed or were logged out.

    A family keeps the id of its living refresh token and no token: who reads the database cannot
    make one without the signing key.

    :param database: where the collection is; nothing is read or written before the first request.
    :param name: of the collection.
    :param lifetime: seconds from the login to the end of its family.
    :param idle: seconds without a refresh after which it ends.
    """

    def __init__(
        self, database: Database[Document], name: str, *, lifetime: int, idle: int
    ) -> None:
        self._collection = durable(database, name)
        # A login that is lost is one whose tokens are refused.
        self._new = acknowledged(database, name)
        self._lifetime = lifetime
        self._idle = idle

    def start(self, family_id: str, token_id: str, now: datetime) -> None:
        """Store a new family with the id of its first refresh token."""
        self._new.insert_one(
            {
                "_id": family_id,
                "current": token_id,
                "createdAt": now,
                "usedAt": now,
                "expireAt": now + timedelta(seconds=self._lifetime),
            }
        )

    def rotate(self, family_id: str, token_id: str, successor: str, now: datetime) -> Rotation:
        """Use a refresh token up, in one operation of the database.

        A token that was used before ends its family: either its owner or a thief holds the
        successor, and nobody can tell which (RFC 9700, section 4.14.2).

        :param token_id: the ``jti`` of the token that was presented.
        :param successor: the ``jti`` of the one that follows if this one is the living one.
        :returns: what became of it; a family that is not there has ended.
        """
        presented = {
            "token": token_id,
            "successor": successor,
            "at": now,
            "lifetime": self._lifetime * 1000,
            "idle": self._idle * 1000,
        }
        document = self._collection.find_one_and_update(
            {"_id": family_id},
            [{"$set": {"presented": {"$literal": presented}}}, *_ROTATION],
            projection={"rotation": True},
            return_document=ReturnDocument.AFTER,
        )
        return Rotation.ENDED if document is None else Rotation(document["rotation"])

    def end(self, family_id: str, now: datetime) -> None:
        """End a family because its owner logged out; one that has ended stays as it is."""
        self._collection.update_one(
            {"_id": family_id, "endedAt": {"$exists": False}},
            {"$set": {"endedAt": now, "endReason": "logout"}},
        )

    def revoke(self, token_id: str, expires_at: datetime | None, now: datetime) -> None:
        """Revoke one access token that has no family.

        :param token_id: its ``jti``.
        :param expires_at: when it ends by itself; the note of it is deleted then.
        """
        note = {"_id": token_id, "endedAt": now, "endReason": "logout"}
        if expires_at is not None:
            note["expireAt"] = expires_at
        # It is a duplicate if the token was logged out before.
        with contextlib.suppress(DuplicateKeyError):
            self._collection.insert_one(note)

    def find(self, id_: str) -> Family | None:
        """Return what is known of a family, or of an access token without one by its ``jti``."""
        document = self._collection.find_one({"_id": id_}, {"current": True, "endedAt": True})
        if document is None:
            return None
        return Family(document["_id"], document.get("current"), "endedAt" in document)

    @property
    def collection(self) -> Collection[Document]:
        """Return the collection, for the upkeep."""
        return self._collection

    def create_indexes(self) -> None:
        """Make the TTL index that deletes what has expired by itself; it decides nothing."""
        self._collection.create_index("expireAt", expireAfterSeconds=0)


def _rotation() -> list[Stage]:
    """Return the stages that judge ``presented``; every outcome is decided here and only here.

    What is not of the expected type never helps the token.
    """
    now = "$presented.at"
    is_living = {"$eq": ["$current", "$presented.token"]}
    in_time = {
        "$and": [
            has_type("$createdAt", "date"),
            has_type("$usedAt", "date"),
            {"$lt": [now, {"$add": ["$createdAt", "$presented.lifetime"]}]},
            {"$lt": [now, {"$add": ["$usedAt", "$presented.idle"]}]},
        ]
    }
    rotation = switch(
        ({"$not": [has_type("$endedAt", "missing")]}, Rotation.ENDED.value),
        ({"$not": [in_time]}, Rotation.EXPIRED.value),
        (is_living, Rotation.ROTATED.value),
        default=Rotation.REUSED.value,
    )
    rotated = {"$eq": ["$rotation", Rotation.ROTATED.value]}
    ends = {"$in": ["$rotation", [Rotation.REUSED.value, Rotation.EXPIRED.value]]}
    return [
        {"$set": {"rotation": rotation}},
        {
            "$set": {
                "current": {"$cond": [rotated, "$presented.successor", "$current"]},
                "usedAt": {"$cond": [rotated, now, "$usedAt"]},
                "endedAt": {"$cond": [ends, now, "$endedAt"]},
                "endReason": {"$cond": [ends, "$rotation", "$endReason"]},
                "presented": "$$REMOVE",
            }
        },
    ]


_ROTATION = encoded(_rotation())
