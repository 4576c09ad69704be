"""One account document, written by hand, that keeps the promises of the extension.

At most 1 code in 30 seconds, 5 in 15 minutes and 20 a day; attempts are reserved by open sessions,
so that never more than 100 wrong codes in a row are judged; from the sixth on, every three wrong
codes double a wait; and a document that is damaged is locked.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

Accounts = Collection[dict[str, Any]]

SENDS = ((1, 30_000), (5, 900_000), (20, 86_400_000))  # so many in so many milliseconds
TRIES, THRESHOLD, MOST = 3, 6, 100
OPEN_FOR = timedelta(seconds=310)  # a session's five minutes, and some for clocks that differ
FIRST_WAIT, LONGEST_WAIT, DAY, DAMAGED = 30_000, 900_000, 86_400_000, 2**31 - 1

_SOUND = {
    "$and": [
        {"$in": [{"$type": "$failures"}, ["missing", "int", "long"]]},
        {"$gte": [{"$ifNull": ["$failures", 0]}, 0]},
        {"$in": [{"$type": "$lockedUntil"}, ["missing", "date"]]},
        {"$in": [{"$type": "$clearedAt"}, ["missing", "date"]]},
        {"$in": [{"$type": "$sends"}, ["missing", "array"]]},
        {"$in": [{"$type": "$open"}, ["missing", "array"]]},
        {
            "$allElementsTrue": [
                {
                    "$map": {
                        "input": {"$ifNull": ["$sends", []]},
                        "in": {"$eq": [{"$type": "$$this"}, "date"]},
                    }
                }
            ]
        },
        {
            "$allElementsTrue": [
                {
                    "$map": {
                        "input": {"$ifNull": ["$open", []]},
                        "in": {
                            "$and": [
                                {"$eq": [{"$type": "$$this.until"}, "date"]},
                                {"$gte": ["$$this.tries", 0]},
                            ]
                        },
                    }
                }
            ]
        },
    ]
}
_READ: list[dict[str, Any]] = [
    {"$replaceWith": {"$cond": [_SOUND, "$$ROOT", {"_id": "$_id", "failures": DAMAGED}]}},
    {
        "$set": {
            "failures": {"$ifNull": ["$failures", 0]},
            "sends": {"$ifNull": ["$sends", []]},
            "open": {
                "$filter": {
                    "input": {"$ifNull": ["$open", []]},
                    "cond": {"$gt": ["$$this.until", "$$now"]},
                }
            },
        }
    },
]
_EXPIRE = {
    "$set": {
        "expireAt": {
            "$cond": [
                {"$or": [{"$gt": ["$failures", 0]}, {"$gt": ["$lockedUntil", "$$now"]}]},
                "$$REMOVE",
                {"$add": ["$$now", DAY + 60_000]},
            ]
        }
    }
}
_FREE_AT = [{"$add": [{"$arrayElemAt": ["$sends", n - 1]}, window]} for n, window in SENDS]
_IS_SENT = {"$eq": ["$event", "sent"]}
_RESERVATION = {"session": "$$session", "tries": {"$min": [TRIES, "$left"]}, "until": "$$until"}
_ADMIT = [
    *_READ,
    {"$set": {"left": {"$subtract": [MOST, {"$add": ["$failures", {"$sum": "$open.tries"}]}]}}},
    {
        "$set": {
            "event": {
                "$switch": {
                    "branches": [
                        {"case": {"$gte": ["$failures", MOST]}, "then": "disabled"},
                        {"case": {"$gt": ["$lockedUntil", "$$now"]}, "then": "locked"},
                        {"case": {"$gt": [{"$max": _FREE_AT}, "$$now"]}, "then": "limited"},
                        {"case": {"$lt": ["$left", 1]}, "then": "reserved"},
                    ],
                    "default": "sent",
                }
            }
        }
    },
    {
        "$set": {
            "granted": {"$min": [TRIES, "$left"]},
            "settle": {"$or": [{"$gt": ["$failures", 0]}, {"$lt": ["$left", MOST // 2]}]},
            "open": {"$cond": [_IS_SENT, {"$concatArrays": ["$open", [_RESERVATION]]}, "$open"]},
            "sends": {
                "$cond": [
                    _IS_SENT,
                    {"$slice": [{"$concatArrays": [["$$now"], "$sends"]}, SENDS[-1][0]]},
                    "$sends",
                ]
            },
        }
    },
    _EXPIRE,
    {"$unset": "left"},
]
_MOVED = {
    "$map": {
        "input": "$open",
        "in": {
            "$cond": [
                {"$eq": ["$$this.session", "$$session"]},
                {"$mergeObjects": ["$$this", {"tries": {"$subtract": ["$$this.tries", 1]}}]},
                "$$this",
            ]
        },
    }
}
_OVER = {"$subtract": ["$failures", THRESHOLD]}
_WAIT = {
    "$min": [
        LONGEST_WAIT,
        {"$multiply": [FIRST_WAIT, {"$pow": [2, {"$min": [6, {"$divide": [_OVER, TRIES]}]}]}]},
    ]
}
_FAIL = [
    *_READ,
    {
        "$set": {
            "failures": {"$add": ["$failures", {"$cond": [{"$gt": ["$$now", "$clearedAt"]}, 1, 0]}]}
        }
    },
    {
        "$set": {
            "open": {"$filter": {"input": _MOVED, "cond": {"$gt": ["$$this.tries", 0]}}},
            "lockedUntil": {
                "$cond": [
                    {"$and": [{"$gte": [_OVER, 0]}, {"$eq": [{"$mod": [_OVER, TRIES]}, 0]}]},
                    {"$add": ["$$now", _WAIT]},
                    {"$ifNull": ["$lockedUntil", "$$REMOVE"]},
                ]
            },
        }
    },
    _EXPIRE,
]
_SETTLE = [
    *_READ,
    {
        "$set": {
            "failures": {"$cond": [{"$gte": ["$failures", DAMAGED]}, DAMAGED, 0]},
            "clearedAt": "$$now",
            "open": {
                "$filter": {"input": "$open", "cond": {"$ne": ["$$this.session", "$$session"]}}
            },
        }
    },
    {"$unset": "lockedUntil"},
    _EXPIRE,
]


def key_of(secret: bytes, identifier: str) -> str:
    """Return the id of an account, which does not tell the identifier."""
    return hmac.new(secret, identifier.removeprefix("+").encode(), "sha256").hexdigest()


def admit(accounts: Accounts, key: str, session_id: str, now: datetime) -> dict[str, Any]:
    """Decide whether a code may be sent, and reserve the attempts of its session."""
    update = {"now": now, "session": session_id, "until": now + OPEN_FOR}
    for _ in range(2):
        try:
            return accounts.find_one_and_update(
                {"_id": key}, _ADMIT, let=update, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:
            continue  # two requests made the document at once
    raise RuntimeError("the account cannot be stored")


def fail(accounts: Accounts, key: str, session_id: str, now: datetime) -> None:
    """Count a wrong code."""
    accounts.update_one({"_id": key}, _FAIL, let={"now": now, "session": session_id}, upsert=True)


def settle(accounts: Accounts, key: str, session_id: str, now: datetime) -> None:
    """Forget the wrong codes before a right one."""
    accounts.update_one({"_id": key}, _SETTLE, let={"now": now, "session": session_id})
