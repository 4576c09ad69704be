"""BackgroundSender: a small bounded thread pool that sends codes after the response."""

from __future__ import annotations

import logging
import os
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, current_app

from . import events
from .exceptions import ServiceUnavailable
from .pace import Pace
from .redaction import describe

_log = logging.getLogger("flask_otp_auth")

_LONGEST_WAIT = 900  # seconds


class BackgroundSender:
    """Runs jobs in threads, each in the context of the application that reserved its slot.

    When the process ends, all accepted jobs are finished first. A sender therefore needs a timeout
    of its own, since no thread can be stopped from outside.

    :param workers: the number of jobs that run at the same time.
    :param waiting: the number of jobs that may wait for a worker; further ones are refused.
    """

    def __init__(self, workers: int = 4, waiting: int = 200) -> None:
        self._workers = workers
        self._capacity = workers + waiting
        self._lock = threading.Lock()
        self._pool: _Pool | None = None
        #: How long recent sends took.
        self.pace = Pace()

    def reserve(self) -> Slot:
        """Reserve a slot for a job. Do this before anything is counted or stored for it.

        :raises ServiceUnavailable: all slots are taken. Its ``retry_after`` estimates how long the
            present jobs will take.
        """
        pool = self._current()
        if pool.slots.acquire(blocking=False):
            return Slot(pool, current_app._get_current_object())  # type: ignore[attr-defined]
        raise events.failed(
            ServiceUnavailable(retry_after=pool.wait(self._capacity / self._workers)),
            f"{self._capacity} codes are waiting to be sent: the sender cannot keep up with the "
            "requests",
        )

    def drain(self) -> None:
        """Wait until all accepted jobs are done. Later jobs start a new pool."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.threads.shutdown(wait=True)

    def _current(self) -> _Pool:
        # Threads do not survive a fork, so each process needs a pool of its own.
        with self._lock:
            if self._pool is None or self._pool.process != os.getpid():
                self._pool = _Pool(self._workers, self._capacity)
            return self._pool


class _Pool:
    """The threads of one process, and how long their jobs take."""

    def __init__(self, workers: int, capacity: int) -> None:
        self.threads = ThreadPoolExecutor(workers, "flask_otp_auth")
        self.slots = threading.Semaphore(capacity)
        self.process = os.getpid()
        self._recent: deque[float] = deque(maxlen=32)
        self._running: dict[int, float] = {}

    def run(self, job: Callable[[], None]) -> None:
        """Run a job and remember how long it took."""
        thread, began = threading.get_ident(), time.perf_counter()
        self._running[thread] = began
        try:
            job()
        finally:
            del self._running[thread]
            self._recent.append(time.perf_counter() - began)

    def wait(self, turns: float) -> float:
        """Return the estimated seconds until each thread has done *turns* more jobs."""
        now = time.perf_counter()
        # A job that hangs is not among the recent ones yet.
        ages = [now - began for began in list(self._running.values())]
        recent = list(self._recent)
        each = max(statistics.fmean(times) for times in (ages or [0], recent or [0]))
        return min(max(turns * each, 1), _LONGEST_WAIT)


class Slot:
    """A slot that is reserved for one job. It has to be either used or released."""

    def __init__(self, pool: _Pool, app: Flask) -> None:
        self._pool = pool
        self._app = app

    def run(self, job: Callable[[], object]) -> None:
        """Queue *job*. The slot is released when the job ends."""

        def in_context() -> None:
            with self._app.app_context():
                job()

        def run() -> None:
            try:
                self._pool.run(in_context)
            except Exception as error:
                _log.error("sending in the background failed: %s", describe(error))
            finally:
                self.release()

        self._pool.threads.submit(run)

    def release(self) -> None:
        """Give the slot back to the pool."""
        self._pool.slots.release()
