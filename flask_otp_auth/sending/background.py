"""BackgroundSender: a small bounded pool that sends codes after the answer has gone out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import current_app

from ..exceptions import ServiceUnavailable
from ..redaction import describe

_log = logging.getLogger("flask_otp_auth")


class BackgroundSender:
    """Runs jobs in threads, each in the context of the app that it was handed in from.

    At the end of the process the jobs that were taken are finished first; a sender needs a
    timeout of its own, since no thread can be stopped from outside.

    :param workers: jobs that run at a time.
    :param waiting: jobs that may wait; more are refused.
    """

    def __init__(self, workers: int = 4, waiting: int = 200) -> None:
        self._workers = workers
        self._capacity = workers + waiting
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._process: int | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Take a job.

        :raises ServiceUnavailable: too many are waiting.
        """
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        pool, places = self._current()
        if not places.acquire(blocking=False):
            failure = ServiceUnavailable(retry_after=1)
            _log.error(
                "%s codes wait to be sent: the sender is slower than the requests [error %s]",
                self._capacity,
                failure.id,
            )
            raise failure

        def run() -> None:
            try:
                with app.app_context():
                    job()
            except Exception as error:
                _log.error("sending in the background failed: %s", describe(error))
            finally:
                places.release()

        pool.submit(run)

    def drain(self) -> None:
        """Wait until every job that was taken is done; new ones start a new pool."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def _current(self) -> tuple[ThreadPoolExecutor, threading.Semaphore]:
        # Threads do not follow a fork: each process has a pool of its own.
        with self._lock:
            if self._pool is None or self._process != os.getpid():
                self._pool = ThreadPoolExecutor(self._workers, "flask_otp_auth")
                self._places = threading.Semaphore(self._capacity)
                self._process = os.getpid()
            return self._pool, self._places
