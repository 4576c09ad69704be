"""What the command line does with the collections: counting, and deleting old documents."""

from __future__ import annotations

from datetime import datetime

from pymongo.collection import Collection

from .account import AccountRules
from .database import Document

#: The retention of each index in seconds, by its keys; ``None`` if it is not a TTL index.
IndexSeconds = dict[tuple[tuple[str, int], ...], int | None]


def indexes_of(collection: Collection[Document]) -> IndexSeconds:
    """Return the keys and the retention of each index of *collection*."""
    return {
        tuple(index["key"]): index.get("expireAfterSeconds")
        for index in collection.index_information().values()
    }


def delete_ended_sessions(
    sessions: Collection[Document], created_before: datetime, now: datetime, most: int
) -> int:
    """Delete sessions that have expired, the oldest first.

    :param sessions: the collection of the sessions.
    :param created_before: a UTC time; sessions created since then are kept.
    :param now: the current UTC time.
    :param most: how many to delete at most, so that one call does not take long.
    :returns: how many were deleted.
    """
    is_old = {"createdAt": {"$lt": created_before}, "expiresAt": {"$lte": now}}
    found = sessions.find(is_old, {"_id": True}).sort("createdAt", 1).limit(most)
    ids = [document["_id"] for document in found]
    return sessions.delete_many({"_id": {"$in": ids}}).deleted_count if ids else 0


def delete_lapsed_accounts(accounts: Collection[Document], now: datetime, most: int) -> int:
    """Delete at most *most* accounts that no rule needs any more, and return how many."""
    has_lapsed = {"expireAt": {"$lte": now}}
    found = accounts.find(has_lapsed, {"_id": True}).sort("expireAt", 1).limit(most)
    ids = [document["_id"] for document in found]
    # The time is checked again, since an account may have been used in between.
    lapsed = {"_id": {"$in": ids}, **has_lapsed}
    return accounts.delete_many(lapsed).deleted_count if ids else 0


def count_sessions(
    sessions: Collection[Document], since: datetime, now: datetime
) -> list[Document]:
    """Count the sessions created since a UTC time, with their wrong codes and resends.

    :returns: for each method and status, a document with ``method``, ``status``, ``sessions``,
        ``failures`` and ``resends``.
    """
    is_over = {"$and": [{"$eq": ["$status", "pending"]}, {"$lte": ["$expiresAt", now]}]}
    group = {
        "_id": {"method": "$method", "status": {"$cond": [is_over, "expired", "$status"]}},
        "sessions": {"$sum": 1},
        "failures": {"$sum": "$attempts"},
        "resends": {"$sum": "$resends"},
    }
    pipeline: list[Document] = [
        {"$match": {"createdAt": {"$gte": since}}},
        {"$group": group},
        {"$replaceWith": {"$mergeObjects": ["$_id", "$$ROOT"]}},
        {"$unset": "_id"},
        {"$sort": {"method": 1, "status": 1}},
    ]
    return list(sessions.aggregate(pipeline))


def count_accounts(
    accounts: Collection[Document], rules: AccountRules, now: datetime
) -> dict[str, int]:
    """Count the accounts, including trusted devices, that have failures or a lock.

    :returns: how many have ``failures``, are ``waiting``, and are ``disabled``.
    """
    is_disabled = {"$gte": ["$failures", rules.bound]}
    is_waiting = {"$and": [{"$gt": ["$lockedUntil", now]}, {"$not": [is_disabled]}]}
    counts = {
        "failures": {"$gt": ["$failures", 0]},
        "waiting": is_waiting,
        "disabled": is_disabled,
    }
    sums = {name: {"$sum": {"$cond": [what, 1, 0]}} for name, what in counts.items()}
    # Most documents hold nothing but sends, and expire within days.
    is_kept: Document = {"$or": [{"expireAt": None}, {"expireAt": {"$gt": now}}]}
    pipeline: list[Document] = [{"$match": is_kept}, {"$group": {"_id": None, **sums}}]
    found = list(accounts.aggregate(pipeline))
    return {name: found[0][name] if found else 0 for name in counts}
