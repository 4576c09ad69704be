"""LoginStore: the MongoDB documents of logins, the atomic rotation, and revoked tokens."""

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
    """What happened to a refresh token; the rotation writes it into the document."""

    ROTATED = "rotated"
    REUSED = "reused"
    EXPIRED = "expired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Login:
    """The tokens of one login: successive refresh tokens, and the access tokens issued with them.

    :param login_id: 32 lower-case hexadecimal digits, or the ``jti`` of a revoked access token.
    :param current: the ``jti`` of the only refresh token that is valid, if there is one.
    :param ended: whether none of its tokens is valid any more.
    """

    login_id: str
    current: str | None
    ended: bool


class LoginStore:
    """The logins of one application that can be refreshed, and the access tokens it revoked.

    A login holds the id of its valid refresh token, but no token: nobody can create one from the
    database without the signing key.

    :param database: the database, which is not used before the first request.
    :param name: the name of the collection.
    :param lifetime: seconds from the sign-in until a login expires.
    :param idle: seconds without a refresh until a login expires.
    """

    def __init__(
        self, database: Database[Document], name: str, *, lifetime: int, idle: int
    ) -> None:
        self._collection = durable(database, name)
        # The tokens of a login that is lost are refused.
        self._new = acknowledged(database, name)
        self._lifetime = lifetime
        self._idle = idle

    def start(self, login_id: str, token_id: str, now: datetime) -> None:
        """Store a new login with the id of its first refresh token."""
        self._new.insert_one(
            {
                "_id": login_id,
                "current": token_id,
                "createdAt": now,
                "usedAt": now,
                "expireAt": now + timedelta(seconds=self._lifetime),
            }
        )

    def rotate(self, login_id: str, token_id: str, successor: str, now: datetime) -> Rotation:
        """Use up a refresh token, in a single operation of the database.

        A token that has been used before ends its login: either the owner or a thief has the
        successor, and nobody can tell which of them (RFC 9700, section 4.14.2).

        :param login_id: the login that the token belongs to.
        :param token_id: the ``jti`` of the token that was presented.
        :param successor: the ``jti`` of the token that replaces it if it is valid.
        :param now: UTC time of the request.
        :returns: what happened to the token; a missing login counts as ended.
        """
        presented = {
            "token": token_id,
            "successor": successor,
            "at": now,
            "lifetime": self._lifetime * 1000,
            "idle": self._idle * 1000,
        }
        document = self._collection.find_one_and_update(
            {"_id": login_id},
            [{"$set": {"presented": {"$literal": presented}}}, *_ROTATION],
            projection={"rotation": True},
            return_document=ReturnDocument.AFTER,
        )
        return Rotation.ENDED if document is None else Rotation(document["rotation"])

    def end(self, login_id: str, now: datetime) -> None:
        """End a login because of a logout; one that has ended before is not changed."""
        self._collection.update_one(
            {"_id": login_id, "endedAt": {"$exists": False}},
            {"$set": {"endedAt": now, "endReason": "logout"}},
        )

    def revoke(self, token_id: str, expires_at: datetime | None, now: datetime) -> None:
        """Revoke an access token that has no login.

        :param token_id: the ``jti`` of the token.
        :param expires_at: the UTC time from which the token is refused anyway, so that the note of
            its revocation can be deleted, or ``None`` if it never expires.
        :param now: UTC time of the request.
        """
        note = {"_id": token_id, "endedAt": now, "endReason": "logout"}
        if expires_at is not None:
            note["expireAt"] = expires_at
        # It is a duplicate if the token has been revoked before.
        with contextlib.suppress(DuplicateKeyError):
            self._collection.insert_one(note)

    def find(self, id_: str) -> Login | None:
        """Return a login, or ``None`` if there is none.

        :param id_: the id of the login, or the ``jti`` of an access token that has none, for
            which a login is found if it has been revoked.
        """
        document = self._collection.find_one({"_id": id_}, {"current": True, "endedAt": True})
        if document is None:
            return None
        return Login(document["_id"], document.get("current"), "endedAt" in document)

    @property
    def collection(self) -> Collection[Document]:
        """The collection, for :mod:`.upkeep`."""
        return self._collection

    def create_indexes(self) -> None:
        """Create the TTL index that deletes expired documents; no decision depends on it."""
        self._collection.create_index("expireAt", expireAfterSeconds=0)


def _rotation() -> list[Stage]:
    """Return the stages that decide on ``presented``. Nothing else decides on a refresh token.

    A field that does not have the expected type never helps the token.
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
