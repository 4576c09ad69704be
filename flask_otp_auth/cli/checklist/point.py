"""One point of the checklist and its result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The result of a point."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Point:
    """A point that has been checked.

    :param name: the name of the point.
    :param status: ``pass``, ``warn`` or ``fail``.
    :param why: what was found; never a secret.
    :param what_to_do: how to fix it; empty for a point that passes.
    """

    name: str
    status: Status
    why: str
    what_to_do: str = ""


def passed(name: str, why: str) -> Point:
    """Return a point that is in order."""
    return Point(name, Status.PASS, why)


def warned(name: str, why: str, what_to_do: str) -> Point:
    """Return a point that may be intended."""
    return Point(name, Status.WARN, why, what_to_do)


def failed(name: str, why: str, what_to_do: str) -> Point:
    """Return a point that has to be fixed before production."""
    return Point(name, Status.FAIL, why, what_to_do)
