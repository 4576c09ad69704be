"""One point of the checklist and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What became of a point."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Point:
    """A point that was looked at.

    :param name: in a few words.
    :param status: ``pass``, ``warn`` or ``fail``.
    :param why: what was found; never a secret.
    :param what_to_do: empty for what passes.
    """

    name: str
    status: Status
    why: str
    what_to_do: str = ""


def passed(name: str, why: str) -> Point:
    """Return a point that is as it should be."""
    return Point(name, Status.PASS, why)


def warned(name: str, why: str, what_to_do: str) -> Point:
    """Return a point that may be meant as it is."""
    return Point(name, Status.WARN, why, what_to_do)


def failed(name: str, why: str, what_to_do: str) -> Point:
    """Return a point that no production site should have."""
    return Point(name, Status.FAIL, why, what_to_do)
