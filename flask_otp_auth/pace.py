"""Pace: how long sends take, so that a code that is not sent can take equally long."""

from __future__ import annotations

import secrets
import time
from collections import deque

_FIRST_GUESS = 0.3  # seconds, until the first send has been timed
_REMEMBERED = 64


class Pace:
    """The durations of the recent sends of each method.

    Nothing is sent to people without an account. If such a job ended at once, the next message in
    the queue would arrive sooner, which would reveal that there is no account.
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def record(self, method: str, seconds: float) -> None:
        """Remember how many *seconds* a send took, whether it succeeded or not."""
        self._recent.setdefault(method, deque(maxlen=_REMEMBERED)).append(seconds)

    def imitate(self, method: str, since: float) -> None:
        """Wait until as much time has passed as a randomly chosen recent send took.

        :param since: the ``time.perf_counter()`` at which the imitated send began.
        """
        recent = list(self._recent.get(method, ())) or [_FIRST_GUESS]
        left = since + secrets.choice(recent) - time.perf_counter()
        if left > 0:
            time.sleep(left)
