"""AccountStore: one MongoDB document per account, with its sends, failures, tries and lock."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from .account import DAMAGED, AccountRules, Event
from .admission import admit
from .database import Document, acknowledged, durable
from .expressions import Stage, encoded
from .failures import fail, give_back, settle, unlock

# A reservation outlives its session by as much as the clocks of two servers may differ, and by the
# time that the count of its last failure can take; by less than the longest one all the same.
_CLOCKS_DIFFER = timedelta(seconds=30)
_LONGEST_COUNT = timedelta(minutes=30)
_SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Admission:
    """What an account said to one more code.

    :param event: ``SENT``, or why it is refused.
    :param tries: what the session may have, at most what was asked for.
    :param retry_at: UTC time from which the account may say yes, or ``None`` if no time heals it.
    :param settle: whether a right code has anything to settle with the account.
    :param limit: the place, among the send limits, of the one that holds for longest.
    """

    event: Event
    tries: int
    retry_at: datetime | None
    settle: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Failure:
    """What one wrong code did to its account.

    :param event: ``FAILED``, ``WAITING`` or ``DISABLED``.
    :param failures: wrong codes in a row, this one included.
    :param open_sessions: ids of the sessions that still have tries.
    """

    event: Event
    failures: int
    open_sessions: Sequence[str]


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is stored of an account, or of one trusted device of it.

    :param key: of the document; that of a device begins with that of its account.
    :param is_device: whether it is that of a device.
    :param sends: UTC times of the sends that its limits still look at, newest first.
    :param failures: wrong codes in a row.
    :param locked_until: UTC time before which no new code is sent, or ``None``.
    :param reserved_tries: tries of the sessions that are open.
    :param is_damaged: whether it cannot be understood, and so is locked until an unlock.
    """

    key: str
    is_device: bool
    sends: Sequence[datetime]
    failures: int
    locked_until: datetime | None
    reserved_tries: int
    is_damaged: bool


class AccountStore:
    """The accounts of one application.

    NIST SP 800-63B-4, section 3.2.2, asks for a bound of at most 100 consecutive failures and names
    waiting as a way to spare the owner from it. The bound is kept by reservation: a session gets
    its tries from those that are left, and each failure moves one from reserved to failed.

    :param database: where the collection is; nothing is read or written before the first request.
    :param name: of the collection.
    :param key: of the HMAC that accounts are stored under.
    :param rules: what an account is allowed.
    """

    def __init__(
        self, database: Database[Document], name: str, *, key: bytes, rules: AccountRules
    ) -> None:
        # A crash that loses an admission loses the session too, which is stored after it.
        self._new = acknowledged(database, name)
        self._collection = durable(database, name)
        self._key = key
        self._admit_limited = encoded(admit(rules, rules.sends))
        self._admit_unlimited = encoded(admit(rules, ()))
        self._fail = encoded(fail(rules))
        self._settle = encoded(settle(rules))
        self._give_back = encoded(give_back())
        self._unlock = encoded(unlock())
        self.rules = rules

    def key_of(self, account: str, device: str | None = None) -> str:
        """Return the key of the document of an account, or of one of its trusted devices.

        :param account: the identifier without its disguises.
        :param device: the id of the device, if the request comes from a trusted one.
        """
        key = hmac.digest(self._key, account.encode(), "sha256").hex()
        return key if device is None else f"{key}{_SEPARATOR}{device}"

    @staticmethod
    def account_and_device(key: str) -> tuple[str, str | None]:
        """Return the key of the account that a document belongs to, and the id of the device."""
        account, _, device = key.partition(_SEPARATOR)
        return account, device or None

    def admit(
        self, key: str, session_id: str, *, tries: int, expires_at: datetime, now: datetime
    ) -> Admission:
        """Count one send under the limits and reserve the tries of its session, or refuse both.

        :param tries: that the session asks for.
        :param expires_at: when the session's code expires, UTC.
        :param now: UTC time of the request.
        """
        about = self._reservation(session_id, tries, expires_at, now)
        return self._admit(key, self._admit_limited, about)

    def admit_unlimited(
        self, key: str, session_id: str, *, tries: int, expires_at: datetime, now: datetime
    ) -> Admission:
        """Do the same for a code that no send limit is about, since it is not sent."""
        about = self._reservation(session_id, tries, expires_at, now)
        return self._admit(key, self._admit_unlimited, about)

    def admit_resend(self, key: str, now: datetime) -> Admission:
        """Count one more send for a session whose tries are reserved, or refuse it."""
        return self._admit(key, self._admit_limited, _no_reservation(now))

    def admit_resend_unlimited(self, key: str, now: datetime) -> Admission:
        """Do the same for a code that no send limit is about, since it is not sent."""
        return self._admit(key, self._admit_unlimited, _no_reservation(now))

    def _reservation(
        self, session_id: str, tries: int, expires_at: datetime, now: datetime
    ) -> dict[str, Any]:
        outlives = _CLOCKS_DIFFER + min(self.rules.count_within, _LONGEST_COUNT)
        return {"now": now, "session": session_id, "tries": tries, "until": expires_at + outlives}

    def _admit(self, key: str, update: list[Stage], about: Mapping[str, Any]) -> Admission:
        fields = {"event": True, "granted": True, "retryAt": True, "settle": True, "limit": True}
        if self.rules.are_off:
            return Admission(Event.SENT, about["tries"], None, settle=False, limit=-1)
        document = _upsert(self._new, key, update, about, fields)
        return Admission(
            event=Event(document["event"]),
            tries=document["granted"],
            retry_at=document.get("retryAt"),
            settle=document["settle"],
            limit=document.get("limit", -1),
        )

    def give_back(self, key: str, sent_at: datetime, session_id: str | None = None) -> None:
        """Take back a send that failed.

        :param sent_at: the time that it was admitted at.
        :param session_id: the session whose tries were reserved for it, if there were any.
        """
        about = {"sentAt": sent_at, "session": session_id}
        self._new.update_one({"_id": key}, self._give_back, let=about)

    def record_failure(
        self, key: str, session_id: str, *, judged_at: datetime, now: datetime
    ) -> Failure:
        """Count one wrong code.

        :param judged_at: the time of its verdict, by the database's clock.
        :param now: UTC time of the request.
        """
        about = {"now": now, "session": session_id, "judgedAt": judged_at}
        fields = {"event": True, "failures": True, "open.session": True}
        document = _upsert(self._collection, key, self._fail, about, fields)
        sessions = [reservation["session"] for reservation in document["open"]]
        return Failure(Event(document["event"]), document["failures"], sessions)

    def settle(self, key: str, session_id: str, *, judged_at: datetime, now: datetime) -> None:
        """Forget the failures judged before a right code, and give its session's tries back.

        :param judged_at: the time of the right code's verdict, by the database's clock.
        :param now: UTC time of the request.
        """
        about = {"now": now, "session": session_id, "judgedAt": judged_at}
        self._new.update_one({"_id": key}, self._settle, let=about)

    def unlock(self, key: str, now: datetime) -> bool:
        """Forget failures and sends of an account and of all its devices.

        :returns: whether there were any.
        """
        dirty = {
            "$or": [
                {"failures": {"$nin": [None, 0]}},
                {"sends": {"$nin": [None, []]}},
                {"lockedUntil": {"$exists": True}},
            ]
        }
        unlocked = self._collection.update_many(
            {**_with_devices(key), **dirty}, self._unlock, let={"now": now}
        )
        return unlocked.matched_count > 0

    def find(self, key: str) -> list[AccountRecord]:
        """Return what is stored of an account and of its devices, the account first."""
        found = self._collection.find(_with_devices(key)).sort("_id", 1)
        return [_record(document) for document in found]

    @property
    def collection(self) -> Collection[Document]:
        """Return the collection, for the upkeep."""
        return self._collection

    def create_indexes(self) -> None:
        """Make the index that deletes what no rule looks at any more."""
        self._collection.create_index("expireAt", expireAfterSeconds=0)


def _upsert(
    collection: Collection[Document],
    key: str,
    update: list[Stage],
    about: Mapping[str, Any],
    fields: Mapping[str, bool],
) -> Document:
    """Run an update on a document, or on none, and return what it decided."""

    def run() -> Document | None:
        return collection.find_one_and_update(
            {"_id": key},
            update,
            projection=fields,
            upsert=True,
            return_document=ReturnDocument.AFTER,
            let=about,
        )

    try:
        return cast(Document, run())
    except DuplicateKeyError:  # another request made the document at that moment
        return cast(Document, run())


def _no_reservation(now: datetime) -> dict[str, Any]:
    return {"now": now, "session": None, "tries": 0, "until": None}


def _with_devices(key: str) -> dict[str, Any]:
    """Return the filter for the documents of an account: its own, and those of its devices."""
    after = chr(ord(_SEPARATOR) + 1)
    return {"_id": {"$gte": key, "$lt": key + after}}


def _record(document: Document) -> AccountRecord:
    failures, until = document.get("failures", 0), document.get("lockedUntil")
    sends, reservations = document.get("sends", []), document.get("open", [])
    try:
        reserved = sum(int(reservation["tries"]) for reservation in reservations)
        sound = isinstance(sends, list) and all(isinstance(sent, datetime) for sent in sends)
        sound = sound and type(failures) is not bool and 0 <= int(failures) < DAMAGED
        sound = sound and (until is None or isinstance(until, datetime))
    except (TypeError, ValueError, KeyError):
        reserved, sound = 0, False
    return AccountRecord(
        key=document["_id"],
        is_device=_SEPARATOR in document["_id"],
        sends=sends if sound else [],
        failures=int(failures) if sound else DAMAGED,
        locked_until=until if sound else None,
        reserved_tries=reserved,
        is_damaged=not sound,
    )
