"""The expressions and pipelines that decide about logins and their refresh tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from .expressions import Expression, Stage, encoded, has_type, milliseconds, switch


class Rotation(StrEnum):
    """What happened to a refresh token; the rotation writes it into the document."""

    ROTATED = "rotated"
    REUSED = "reused"
    EXPIRED = "expired"
    ENDED = "ended"


def expires_at(lifetime: timedelta | str, idle: timedelta | str) -> Expression:
    """Return when a login expires; for a damaged one it is null, which is before any date."""
    times = [
        {"$add": [field, milliseconds(time_) if isinstance(time_, timedelta) else time_]}
        for field, time_ in (("$createdAt", lifetime), ("$usedAt", idle))
    ]
    are_dates = {"$and": [has_type("$createdAt", "date"), has_type("$usedAt", "date")]}
    return {"$cond": [are_dates, {"$min": times}, None]}


def is_over(now: datetime | str, lifetime: timedelta | str, idle: timedelta | str) -> Expression:
    """Return the condition that a login has ended or expired, or that a token was revoked."""
    has_ended = {"$not": [has_type("$endedAt", "missing")]}
    return {"$or": [has_ended, {"$gte": [now, expires_at(lifetime, idle)]}]}


def _rotation() -> list[Stage]:
    """Return the stages that decide on ``presented``. Nothing else decides on a refresh token.

    A field that does not have the expected type never helps the token.
    """
    now = "$presented.at"
    is_current = {"$eq": ["$current", "$presented.token"]}
    is_successor = {
        "$and": [has_type("$current", "string"), {"$eq": ["$current", "$presented.parent"]}]
    }
    rotation = switch(
        ({"$not": [has_type("$endedAt", "missing")]}, Rotation.ENDED.value),
        (is_over(now, "$presented.lifetime", "$presented.idle"), Rotation.EXPIRED.value),
        ({"$or": [is_current, is_successor]}, Rotation.ROTATED.value),
        default=Rotation.REUSED.value,
    )
    rotated = {"$eq": ["$rotation", Rotation.ROTATED.value]}
    ends = {"$in": ["$rotation", [Rotation.REUSED.value, Rotation.EXPIRED.value]]}
    return [
        {"$set": {"rotation": rotation}},
        {
            "$set": {
                "current": {"$cond": [rotated, "$presented.token", "$current"]},
                "usedAt": {"$cond": [rotated, now, "$usedAt"]},
                "endedAt": {"$cond": [ends, now, "$endedAt"]},
                "endReason": {"$cond": [ends, "$rotation", "$endReason"]},
                "presented": "$$REMOVE",
            }
        },
    ]


def _end_all() -> list[Stage]:
    """Return the stages that end the logins of a user, by the clock of the database.

    Their variables are ``$$spare``, the id of what is spared, and ``$$madeAt``, when it was made.
    """
    is_first = has_type("$endedBefore", "missing")
    was_spared = {"$eq": ["$spared", "$$spare"]}
    is_good = {"$or": [is_first, was_spared, {"$gt": ["$$madeAt", "$endedBefore"]}]}
    return [{"$set": {"endedBefore": "$$NOW", "spared": {"$cond": [is_good, "$$spare", None]}}}]


ROTATION = encoded(_rotation())
END_ALL = encoded(_end_all())
