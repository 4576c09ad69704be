"""Times and limits in English, for people who read a report."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60))


def duration(time: timedelta | float) -> str:
    """Return a time in its largest whole unit, such as ``30 days`` or ``90 minutes``.

    :param time: a time, or seconds.
    """
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return number_of(int(seconds // size), unit)
    return number_of(int(seconds), "second") if seconds % 1 == 0 else f"{seconds:g} seconds"


def limit(rule: object) -> str:
    """Return a rule of a limit, such as ``1 per 30 seconds``.

    :param rule: a ``RateLimitItem``, whose own text is ``1 per 30 second``.
    """
    amount, _, window = str(rule).partition(" per ")
    count, _, unit = window.partition(" ")
    return f"{amount} per {unit if count == '1' else number_of(int(count), unit)}"


def number_of(count: int, unit: str) -> str:
    """Return a count with its unit in the right number, such as ``1 day`` or ``2 days``."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
