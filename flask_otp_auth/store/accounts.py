"""AccountStore: one MongoDB document per account, with its sends, failures, attempts and lock."""

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

from .account import DAMAGED, LONGEST_COUNT, AccountRules, Event
from .admission import admit
from .database import Document, acknowledged, durable
from .expressions import Stage, encoded
from .failures import fail, give_back, settle, unlock

# A reservation outlasts its session by as much as the clocks of two servers may differ, and by the
# time it can take to count the last failure. It still has to be below LONGEST_RESERVATION.
_CLOCKS_DIFFER = timedelta(seconds=30)
_SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer of an account to a request for a code.

    :param event: ``SENT``, or why the request is refused.
    :param tries: the attempts granted to the session, at most as many as it asked for.
    :param retry_at: the UTC time from which a refused request may succeed, or ``None`` if waiting
        does not help.
    :param settle: whether a correct code has to update the account.
    :param limit: the index, in the limits on sends, of the one that lasts longest, or -1.
    """

    event: Event
    tries: int
    retry_at: datetime | None
    settle: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Failure:
    """What a wrong code did to its account.

    :param event: ``FAILED``, ``WAITING`` or ``DISABLED``.
    :param failures: consecutive wrong codes, including this one.
    :param open_sessions: the ids of the sessions that have attempts left.
    """

    event: Event
    failures: int
    open_sessions: Sequence[str]


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What is stored of an account, or of one of its trusted devices.

    :param key: the id of the document; that of a device begins with that of its account.
    :param is_device: whether the document belongs to a trusted device.
    :param sends: the UTC times of the last sends, at most as many as a limit allows, newest first.
    :param failures: consecutive wrong codes.
    :param locked_until: the UTC time before which no new code is sent, or ``None``.
    :param reserved_tries: the attempts that sessions have reserved.
    :param is_damaged: whether the document cannot be understood; it is then disabled.
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

    NIST SP 800-63B-4, section 3.2.2, requires a bound of at most 100 consecutive failures, and
    names waits as a way to keep attackers from locking out the owner with it. The bound is enforced
    by reservation: a session reserves its attempts from those that are left, and each failure uses
    a reserved one.

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
        self._admit_limited = encoded(admit(rules, rules.sends))
        self._admit_unlimited = encoded(admit(rules, ()))
        self._fail = encoded(fail(rules))
        self._settle = encoded(settle(rules))
        self._give_back = encoded(give_back())
        self._unlock = encoded(unlock())
        self.rules = rules

    def key_of(self, account: str, device: str | None = None) -> str:
        """Return the id of the document of an account, or of one of its trusted devices.

        :param account: the account, as :func:`.identifiers.account_of` returns it.
        :param device: the id of the device, if the request comes from a trusted one.
        """
        key = hmac.digest(self._key, account.encode(), "sha256").hex()
        return key if device is None else f"{key}{_SEPARATOR}{device}"

    @staticmethod
    def account_and_device(key: str) -> tuple[str, str | None]:
        """Return the account's part of the id of a document, and the id of the device, if any."""
        account, _, device = key.partition(_SEPARATOR)
        return account, device or None

    def admit(
        self, key: str, session_id: str, *, tries: int, expires_at: datetime, now: datetime
    ) -> Admission:
        """Count a send and reserve the attempts of its session, or refuse both.

        :param key: the id of the document.
        :param session_id: the id of the new session.
        :param tries: the attempts that the session asks for.
        :param expires_at: the UTC time at which the session expires.
        :param now: UTC time of the request.
        """
        variables = self._reservation(session_id, tries, expires_at, now)
        return self._admit(key, self._admit_limited, variables)

    def admit_unlimited(
        self, key: str, session_id: str, *, tries: int, expires_at: datetime, now: datetime
    ) -> Admission:
        """Do the same as :meth:`admit` without limits on sends, for a code that is not sent."""
        variables = self._reservation(session_id, tries, expires_at, now)
        return self._admit(key, self._admit_unlimited, variables)

    def admit_resend(self, key: str, now: datetime) -> Admission:
        """Count another send for a session that has reserved its attempts, or refuse it."""
        return self._admit(key, self._admit_limited, _no_reservation(now))

    def admit_resend_unlimited(self, key: str, now: datetime) -> Admission:
        """Do the same as :meth:`admit_resend` without limits, for a code that is not sent."""
        return self._admit(key, self._admit_unlimited, _no_reservation(now))

    def _reservation(
        self, session_id: str, tries: int, expires_at: datetime, now: datetime
    ) -> dict[str, Any]:
        until = expires_at + _CLOCKS_DIFFER + min(self.rules.count_within, LONGEST_COUNT)
        return {"now": now, "session": session_id, "tries": tries, "until": until}

    def _admit(self, key: str, update: list[Stage], variables: Mapping[str, Any]) -> Admission:
        fields = {"event": True, "granted": True, "retryAt": True, "settle": True, "limit": True}
        if self.rules.are_off:
            return Admission(Event.SENT, variables["tries"], None, settle=False, limit=-1)
        document = _upsert(self._new, key, update, variables, fields)
        return Admission(
            event=Event(document["event"]),
            tries=document["granted"],
            retry_at=document.get("retryAt"),
            settle=document["settle"],
            limit=document.get("limit", -1),
        )

    def give_back(self, key: str, sent_at: datetime, session_id: str | None = None) -> None:
        """Undo the admission of a code that could not be sent.

        :param key: the id of the document.
        :param sent_at: the ``now`` of the admission.
        :param session_id: the session that reserved attempts, or ``None`` for a resend.
        """
        variables = {"sentAt": sent_at, "session": session_id}
        self._new.update_one({"_id": key}, self._give_back, let=variables)

    def record_failure(
        self, key: str, session_id: str, *, judged_at: datetime, now: datetime
    ) -> Failure:
        """Count a wrong code.

        :param key: the id of the document.
        :param session_id: the session for which the code was typed.
        :param judged_at: the time of its verdict, by the clock of the database.
        :param now: UTC time of the request.
        """
        variables = {"now": now, "session": session_id, "judgedAt": judged_at}
        fields = {"event": True, "failures": True, "open.session": True}
        document = _upsert(self._collection, key, self._fail, variables, fields)
        sessions = [reservation["session"] for reservation in document["open"]]
        return Failure(Event(document["event"]), document["failures"], sessions)

    def settle(self, key: str, session_id: str, *, judged_at: datetime, now: datetime) -> None:
        """Clear the failures from before a correct code, and release its session's attempts.

        :param key: the id of the document.
        :param session_id: the session of the correct code.
        :param judged_at: the time of its verdict, by the clock of the database.
        :param now: UTC time of the request.
        """
        variables = {"now": now, "session": session_id, "judgedAt": judged_at}
        self._new.update_one({"_id": key}, self._settle, let=variables)

    def unlock(self, key: str, now: datetime) -> bool:
        """Clear the failures, locks and sends of an account and of all its devices.

        :param key: the id of the account's document.
        :param now: UTC time of the request.
        :returns: whether there was anything to clear.
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
        """Return what is stored of an account and of its devices, beginning with the account."""
        found = self._collection.find(_with_devices(key)).sort("_id", 1)
        return [_record(document) for document in found]

    @property
    def collection(self) -> Collection[Document]:
        """The collection, for :mod:`.upkeep`."""
        return self._collection

    def create_indexes(self) -> None:
        """Create the TTL index that deletes documents which no rule needs any more."""
        self._collection.create_index("expireAt", expireAfterSeconds=0)


def _upsert(
    collection: Collection[Document],
    key: str,
    update: list[Stage],
    variables: Mapping[str, Any],
    fields: Mapping[str, bool],
) -> Document:
    """Update a document, or create it, and return what the update decided."""

    def run() -> Document | None:
        return collection.find_one_and_update(
            {"_id": key},
            update,
            projection=fields,
            upsert=True,
            return_document=ReturnDocument.AFTER,
            let=variables,
        )

    try:
        return cast(Document, run())
    except DuplicateKeyError:  # another request has just created the document
        return cast(Document, run())


def _no_reservation(now: datetime) -> dict[str, Any]:
    return {"now": now, "session": None, "tries": 0, "until": None}


def _with_devices(key: str) -> dict[str, Any]:
    """Return the filter for the documents of an account and of its devices."""
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
