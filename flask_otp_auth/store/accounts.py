"""AccountStore: one MongoDB document per account, with its sends, failures, attempts and lock."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from ..types import AccountId
from .account import (
    DAMAGED,
    LONGEST_COUNT,
    MOST_DEVICES,
    AccountRecord,
    AccountRules,
    Admission,
    Event,
    Failure,
    Reservation,
    is_sound,
    read,
)
from .account_updates import admit, fail, give_back, settle, trust, unlock
from .database import Document, acknowledged, durable, plain
from .expressions import Stage, encoded

# A reservation outlasts its session by as much as the clocks of two servers may differ, and by the
# time it can take to count the last failure. It still has to be below LONGEST_RESERVATION.
_CLOCKS_DIFFER = timedelta(seconds=30)
_DEVICE_BYTES = 16


class AccountStore:
    """The accounts of one application, and their trusted devices.

    NIST SP 800-63B-4, section 3.2.2, requires a bound of at most 100 consecutive failures, and
    names waits as a way to keep attackers from locking out the owner with it. The bound is enforced
    by reservation: a session reserves its attempts from those that are left, and each failure uses
    a reserved one.

    A trusted device has a document of its own, which only a correct code makes. Where there is
    none, the document of its account takes its place.

    :param database: the database, which is not used before the first request.
    :param name: the name of the collection.
    :param key: the key of the HMAC under which accounts are stored.
    :param rules: what an account is allowed.
    """

    def __init__(
        self, database: Database[Document], name: str, *, key: bytes, rules: AccountRules
    ) -> None:
        # A crash that loses an admission also loses the session, which is stored after it.
        self._new = acknowledged(database, name)
        self._collection = durable(database, name)
        self._key = key
        self._admit = encoded(admit(rules))
        self._fail = encoded(fail(rules))
        self._settle = encoded(settle(rules))
        self._give_back = encoded(give_back())
        self._unlock = encoded(unlock())
        self._trust = encoded(trust())
        self.rules = rules

    def id_of(self, account: str) -> AccountId:
        """Return the id of an account.

        :param account: the account, as :func:`.identifiers.account_of` returns it.
        """
        return AccountId(hmac.digest(self._key, account.encode(), "sha256").hex())

    def admit(
        self,
        asking: Sequence[AccountId],
        *,
        now: datetime,
        reserve: Reservation | None = None,
        counts: bool = True,
    ) -> Admission:
        """Count a send and reserve the attempts of its session, or refuse both.

        Without a document, or once its own failures have disabled it, a device is as anybody else.

        :param asking: the account, or those of its devices that the request may come from.
        :param now: UTC time of the request.
        :param reserve: the attempts of a new session, or ``None`` for a resend.
        :param counts: whether it counts for the limits on sends; a fixed code does not.
        """
        tries = 0 if reserve is None else reserve.tries
        if self.rules.are_off:
            return Admission(asking[0], Event.SENT, tries, None, settle=False, limit=-1)
        late = _CLOCKS_DIFFER + min(self.rules.count_within, LONGEST_COUNT)
        variables = {
            "now": now,
            "counts": counts,
            "tries": tries,
            "session": reserve and reserve.session_id,
            "until": reserve and reserve.expires_at + late,
        }
        fields = ("event", "granted", "retryAt", "settle", "limit")
        document = None
        for device in (account for account in asking if account.device is not None):
            found = _update(self._new, device, self._admit, variables, fields)
            if found is not None and found["event"] != Event.DISABLED:
                document = found
                if found["event"] == Event.SENT:
                    break
        if document is None:
            document = _upsert(self._new, asking[0].owner, self._admit, variables, fields)
        return Admission(
            account=AccountId.parse(document["_id"]),
            event=Event(document["event"]),
            tries=document["granted"],
            retry_at=document.get("retryAt"),
            settle=document["settle"],
            limit=document["limit"],
        )

    def give_back(
        self, account: AccountId, *, sent_at: datetime | None, session_id: str | None
    ) -> None:
        """Undo the admission of a code that was not sent, or whose sending may have failed.

        :param account: the one whose document admitted it.
        :param sent_at: the ``now`` of the admission of a code that certainly was not sent, or
            ``None`` if that is not known: the send then counts.
        :param session_id: the session that reserved attempts, or ``None`` for a resend.
        """
        variables = {"sentAt": sent_at, "session": session_id}
        self._new.update_one({"_id": str(account)}, self._give_back, let=variables)

    def record_failure(
        self, account: AccountId, session_id: str, *, judged_at: datetime, now: datetime
    ) -> Failure:
        """Count a wrong code.

        :param account: the one whose document admitted the session.
        :param session_id: the session for which the code was typed.
        :param judged_at: the time of its verdict, by the clock of the database.
        :param now: UTC time of the request.
        """
        variables = {"now": now, "session": session_id, "judgedAt": judged_at}
        fields = ("event", "failures", "open.session")
        document = None
        if account.device is not None:
            document = _update(self._collection, account, self._fail, variables, fields)
        if document is None:
            document = _upsert(self._collection, account.owner, self._fail, variables, fields)
        sessions = [reservation["session"] for reservation in document["open"]]
        return Failure(Event(document["event"]), document["failures"], sessions)

    def settle(
        self, account: AccountId, session_id: str, *, judged_at: datetime, now: datetime
    ) -> None:
        """Clear the failures from before a correct code, and release its session's attempts.

        :param account: the one whose document admitted the session; no other is cleared.
        :param session_id: the session of the correct code.
        :param judged_at: the time of its verdict, by the clock of the database.
        :param now: UTC time of the request.
        """
        variables = {"now": now, "session": session_id, "judgedAt": judged_at}
        self._new.update_one({"_id": str(account)}, self._settle, let=variables)

    def unlock(self, account: AccountId, now: datetime) -> bool:
        """Clear the failures, locks and sends of an account and of all its devices.

        :param now: UTC time of the request.
        :returns: whether there was anything to clear.
        """
        dirty = {
            "$or": [
                {"failures": {"$nin": [None, 0]}},
                {"sends": {"$nin": [None, []]}},
                {"lockedUntil": {"$exists": True}},
                {"$expr": {"$not": [is_sound()]}},
            ]
        }
        unlocked = self._collection.update_many(
            {**_all_of(account), **dirty}, self._unlock, let={"now": now}
        )
        return unlocked.matched_count > 0

    def trust(self, account: AccountId, until: datetime) -> AccountId:
        """Make a trusted device after a correct code, or renew the one that the session is of.

        Of more than :data:`MOST_DEVICES` the longest unused go. Each of several calls at once looks
        after its own device is there, so the last of them sees all.

        :param account: the one whose document admitted the session.
        :param until: the UTC time at which the token of the device expires.
        :returns: the device.
        """
        variables = {"until": until}
        if account.device is not None:
            renewed = self._new.update_one({"_id": str(account)}, self._trust, let=variables)
            if renewed.matched_count:
                return account
        device = AccountId(account.account, secrets.token_hex(_DEVICE_BYTES))
        self._new.update_one({"_id": str(device)}, self._trust, upsert=True, let=variables)
        newest_first = [("usedAt", -1), ("_id", -1)]
        found = self._new.find(_devices_of(account), {"usedAt": True}).sort(newest_first)
        spare = [{"usedAt": None, **old} for old in found.skip(MOST_DEVICES)]
        if spare:
            self._new.delete_many({"$or": spare})
        return device

    def forget_devices(self, account: AccountId) -> int:
        """Delete the documents of all trusted devices of an account, and return how many."""
        return self._collection.delete_many(_devices_of(account)).deleted_count

    def find(self, account: AccountId, now: datetime) -> list[AccountRecord]:
        """Return what counts at a UTC time of an account and of its devices, the account first."""
        fields = {"reserved": {"$sum": "$open.tries"}}
        pipeline = [{"$match": _all_of(account)}, {"$sort": {"_id": 1}}, *read(self.rules)]
        found = self._collection.aggregate([*pipeline, {"$set": fields}], let={"now": now})
        return [
            AccountRecord(
                account=AccountId.parse(document["_id"]),
                sends=document["sends"],
                failures=document["failures"],
                locked_until=document.get("lockedUntil"),
                reserved_tries=document["reserved"],
                is_damaged=document["failures"] >= DAMAGED,
            )
            for document in found
        ]

    def export(self, account: AccountId) -> list[dict[str, Any]]:
        """Return all that is stored of an account and of its devices, ready for JSON.

        Of the id of a document only the ``device`` is there, since the rest is a digest.
        """
        found = self._collection.find(_all_of(account)).sort("_id", 1)
        return [
            {"device": AccountId.parse(document.pop("_id")).device, **plain(document)}
            for document in found
        ]

    @property
    def collection(self) -> Collection[Document]:
        """The collection, for :mod:`.upkeep`."""
        return self._collection

    def create_indexes(self) -> None:
        """Create the TTL index that deletes documents which no rule needs any more."""
        self._collection.create_index("expireAt", expireAfterSeconds=0)


def _update(
    collection: Collection[Document],
    account: AccountId,
    update: list[Stage],
    variables: Mapping[str, Any],
    fields: Sequence[str],
    *,
    upsert: bool = False,
) -> Document | None:
    """Update a document, if it is there, and return what the update decided."""
    return collection.find_one_and_update(
        {"_id": str(account)},
        update,
        projection=fields,
        upsert=upsert,
        return_document=ReturnDocument.AFTER,
        let=variables,
    )


def _upsert(*arguments: Any) -> Document:
    """Update a document, or create it, and return what the update decided."""
    try:
        return cast(Document, _update(*arguments, upsert=True))
    except DuplicateKeyError:  # another request has just created the document
        return cast(Document, _update(*arguments, upsert=True))


def _devices_of(account: AccountId) -> dict[str, Any]:
    """Return the filter for the documents of the devices of an account."""
    first, last = AccountId(account.account, ""), AccountId(account.account, chr(0x7F))
    return {"_id": {"$gt": str(first), "$lt": str(last)}}


def _all_of(account: AccountId) -> dict[str, Any]:
    """Return the filter for the documents of an account and of its devices."""
    return {"_id": {"$gte": account.account, "$lt": _devices_of(account)["_id"]["$lt"]}}
