"""LoginStore: the logins that can be refreshed, the atomic rotation, and revoked tokens."""

from __future__ import annotations

import contextlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from ..types import Login, Method
from .database import Document, acknowledged, durable
from .expressions import milliseconds
from .login_updates import END_ALL, ROTATION, Rotation, expires_at, is_over


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says about a token.

    :param is_known: whether there is a document of its login, or of its revocation.
    :param is_over: whether that login has ended or expired, or the token was revoked.
    :param current: the ``jti`` of the refresh token of the login that was used last.
    :param ended_before: when the logins of the user were last ended together, by the clock of the
        database, or ``None``.
    :param spared: the id of the login or token that this spared, or ``None``.
    """

    is_known: bool
    is_over: bool
    current: str | None
    ended_before: datetime | None
    spared: str | None


class LoginStore:
    """The logins of one application that can be refreshed, and the access tokens it revoked.

    A login holds the id of the refresh token that was used last, but no token: nobody can create
    one from the database without the signing key. Users are stored as an HMAC of their id.

    :param database: the database, which is not used before the first request.
    :param name: the name of the collection.
    :param keys: the keys of that HMAC, newest first.
    :param lifetime: seconds from the sign-in until a login expires.
    :param idle: seconds without a refresh until a login expires.
    """

    def __init__(
        self,
        database: Database[Document],
        name: str,
        *,
        keys: Sequence[bytes],
        lifetime: int,
        idle: int,
    ) -> None:
        self._collection = durable(database, name)
        # The tokens of a login that is lost are refused.
        self._new = acknowledged(database, name)
        self._keys = keys
        self._lifetime = timedelta(seconds=lifetime)
        self._idle = timedelta(seconds=idle)

    def start(
        self,
        login_id: str,
        token_id: str,
        *,
        user: str,
        method: Method,
        verified_at: datetime,
        now: datetime,
    ) -> None:
        """Store a new login.

        :param login_id: 32 lower-case hexadecimal digits.
        :param token_id: the ``jti`` of its first refresh token.
        :param user: the subject of its tokens.
        :param method: how the code was sent.
        :param verified_at: the UTC time of the verdict, by the clock of the database.
        :param now: UTC time of the request.
        """
        self._new.insert_one(
            {
                "_id": login_id,
                "user": self._user_ids(user)[0],
                "method": method,
                "current": token_id,
                "verifiedAt": verified_at,
                "createdAt": now,
                "usedAt": now,
                "expireAt": now + self._lifetime,
            }
        )

    def rotate(self, login_id: str, token_id: str, parent: str | None, now: datetime) -> Rotation:
        """Use a refresh token, in a single operation of the database.

        A token works until one of its successors has been used, since its holder may not have
        received any of them. After that, either the owner or a thief has the other successor, and
        nobody can tell which of them, so the login ends (RFC 9700, section 4.14.2).

        :param login_id: the login that the token belongs to.
        :param token_id: the ``jti`` of the token that was presented.
        :param parent: the ``jti`` of the token that it replaced, or ``None`` for the first one.
        :param now: UTC time of the request.
        :returns: what happened to the token; a missing login counts as ended.
        """
        presented = {
            "token": token_id,
            "parent": parent,
            "at": now,
            "lifetime": milliseconds(self._lifetime),
            "idle": milliseconds(self._idle),
        }
        document = self._collection.find_one_and_update(
            {"_id": login_id},
            [{"$set": {"presented": {"$literal": presented}}}, *ROTATION],
            projection={"rotation": True},
            return_document=ReturnDocument.AFTER,
        )
        return Rotation.ENDED if document is None else Rotation(document["rotation"])

    def end(self, login_id: str, reason: str, now: datetime) -> None:
        """End a login; one that has ended before is not changed.

        :param reason: why it ends, for whoever reads the database.
        """
        self._collection.update_one(
            {"_id": login_id, "endedAt": {"$exists": False}},
            {"$set": {"endedAt": now, "endReason": reason}},
        )

    def end_all(self, user: str, spare: str | None, spare_made_at: datetime | None) -> int:
        """End the logins of a user, and refuse every token made until now.

        :param user: the subject of the tokens.
        :param spare: the id of a login, or the ``jti`` of a token without one, that goes on, unless
            an earlier call has refused it.
        :param spare_made_at: when it was made, by the clock of the database.
        :returns: how many logins have ended that could be refreshed.
        """
        users = self._user_ids(user)
        variables = {"spare": {"$literal": spare}, "madeAt": spare_made_at}
        # Under every key, since another server may not know the newest one yet.
        marks = [self._mark(id_, variables) for id_ in users]
        if any(mark["spared"] != spare for mark in marks):  # refused under another key
            marks = [self._mark(id_, {**variables, "spare": None}) for id_ in users]
        ended = self._collection.update_many(
            {
                "user": {"$in": users},
                "verifiedAt": {"$lte": marks[-1]["endedBefore"]},
                "endedAt": {"$exists": False},
                "_id": {"$ne": marks[0]["spared"]},
            },
            [{"$set": {"endedAt": "$$NOW", "endReason": "all"}}],
        )
        # So that no later login has the same millisecond.
        time.sleep(0.001)
        return ended.modified_count

    def _mark(self, user_id: str, variables: dict[str, Any]) -> Document:
        """Note in the document of a user that all logins end now, and return it."""

        def run() -> Document | None:
            return self._collection.find_one_and_update(
                {"_id": user_id},
                END_ALL,
                upsert=True,
                return_document=ReturnDocument.AFTER,
                let=variables,
            )

        try:
            return cast(Document, run())
        except DuplicateKeyError:  # another request has just created the document
            return cast(Document, run())

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

    def standing_of(self, id_: str, user: str, now: datetime) -> Standing:
        """Look up a token, with a single query.

        :param id_: the id of its login, or its ``jti`` if it has none.
        :param user: its subject.
        :param now: UTC time of the request.
        """
        fields = {
            "isOver": is_over(now, self._lifetime, self._idle),
            "current": True,
            "endedBefore": True,
            "spared": True,
        }
        users = self._user_ids(user)
        found = {
            document["_id"]: document
            for document in self._collection.find({"_id": {"$in": [id_, *users]}}, fields)
        }
        of_token = found.pop(id_, None)
        # Several servers may have different newest keys; the latest of their marks counts.
        mark = max(found.values(), key=lambda mark: mark["endedBefore"], default={})
        return Standing(
            is_known=of_token is not None,
            is_over=of_token is not None and of_token["isOver"],
            current=None if of_token is None else of_token.get("current"),
            ended_before=mark.get("endedBefore"),
            spared=mark.get("spared"),
        )

    def of_user(self, user: str, now: datetime) -> list[Login]:
        """Return the logins of a user that can be refreshed, the newest first.

        :param user: the subject of the tokens.
        :param now: UTC time of the request.
        """
        fields = {
            "method": True,
            "createdAt": True,
            "usedAt": True,
            "expiresAt": expires_at(self._lifetime, self._idle),
        }
        found = self._collection.find(
            {
                "user": {"$in": self._user_ids(user)},
                "$expr": {"$not": [is_over(now, self._lifetime, self._idle)]},
            },
            fields,
        )
        return [
            Login(
                id=document["_id"],
                method=document["method"],
                started_at=document["createdAt"],
                refreshed_at=document["usedAt"],
                expires_at=document["expiresAt"],
            )
            for document in found.sort("verifiedAt", -1)
        ]

    def _user_ids(self, user: str) -> list[str]:
        """Return what a user may be stored as, under the newest key first."""
        return [hmac.digest(key, user.encode(), "sha256").hex() for key in self._keys]

    @property
    def collection(self) -> Collection[Document]:
        """The collection, for :mod:`.upkeep`."""
        return self._collection

    def create_indexes(self) -> None:
        """Create the index of users, and the TTL index; no decision depends on the latter."""
        self._collection.create_index([("user", 1), ("verifiedAt", -1)])
        self._collection.create_index("expireAt", expireAfterSeconds=0)
