"""Pace: how long sends take, so that what is not sent can take as long."""

from __future__ import annotations

import secrets
import time
from collections import deque

_FIRST_GUESS = 0.3  # seconds, until a send has shown how long it takes
_REMEMBERED = 64


class Pace:
    """The recent sends of each method.

    Who has no account is sent nothing. Were that at once done with, the next message in the queue
    would come sooner, and so tell who has one.
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def record(self, method: str, seconds: float) -> None:
        """Remember how long a send took, whether it succeeded or not."""
        self._recent.setdefault(method, deque(maxlen=_REMEMBERED)).append(seconds)

    def imitate(self, method: str, since: float) -> None:
        """Wait until as much time has gone by as one of the recent sends took.

        :param since: the ``time.perf_counter()`` at which the work that looks like a send began.
        """
        recent = list(self._recent.get(method, ())) or [_FIRST_GUESS]
        left = since + secrets.choice(recent) - time.perf_counter()
        if left > 0:
            time.sleep(left)
