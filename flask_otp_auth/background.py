"""BackgroundSender: a small bounded thread pool that sends codes after the response."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec

from flask import Flask, current_app

from . import events
from .exceptions import ServiceUnavailable
from .redaction import describe

_log = logging.getLogger("flask_otp_auth")

_LONGEST_WAIT = 900  # seconds
_DEVICE_WORKERS = 2
_DEVICES_WAITING = 50
_FIRST_GUESS = 0.3  # seconds that a send takes, until the first has been timed
_REMEMBERED = 64

Params = ParamSpec("Params")


class BackgroundSender:
    """Runs jobs in threads, each in the context of the application that reserved its slot.

    Trusted devices have threads and slots of their own, so that no crowd of strangers delays them.
    When the process ends, all accepted jobs are finished first. A sender therefore needs a timeout
    of its own, since no thread can be stopped from outside.

    :param workers: the number of jobs that run at the same time.
    :param waiting: the number of jobs that may wait for a worker; further ones are refused.
    """

    def __init__(self, workers: int = 4, waiting: int = 200) -> None:
        self._sizes = {False: (workers, waiting), True: (_DEVICE_WORKERS, _DEVICES_WAITING)}
        self._lock = threading.Lock()
        self._pools: dict[bool, _Pool] | None = None
        self._pace = _Pace()

    def reserve(self, *, for_device: bool = False) -> Slot:
        """Reserve a slot for a job. Do this before anything is counted or stored for it.

        :param for_device: whether a trusted device asks.
        :raises ServiceUnavailable: all slots are taken. Its ``retry_after`` estimates how long the
            present jobs will take.
        """
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        pools = self._current()
        for pool in [pools[True], pools[False]] if for_device else [pools[False]]:
            if pool.slots.acquire(blocking=False):
                return Slot(pool, app, self._pace)
        raise events.failed(
            ServiceUnavailable(retry_after=pool.wait()),
            f"{pool.capacity} codes are waiting to be sent: the sender cannot keep up with the "
            "requests",
        )

    def drain(self) -> None:
        """Wait until all accepted jobs are done. Later jobs start new threads."""
        with self._lock:
            pools, self._pools = self._pools, None
        for pool in (pools or {}).values():
            pool.drain()

    def _current(self) -> dict[bool, _Pool]:
        # Threads do not survive a fork, so each process needs pools of its own.
        with self._lock:
            if self._pools is None or self._pools[False].process != os.getpid():
                self._pools = {device: _Pool(*size) for device, size in self._sizes.items()}
            return self._pools


class Slot:
    """A slot that is reserved for one job. It has to be either used or released."""

    def __init__(self, pool: _Pool, app: Flask, pace: _Pace) -> None:
        self._pool = pool
        self._app = app
        self._pace = pace
        self._kept_for = 0.0

    def run(
        self, job: Callable[Params, object], *args: Params.args, **kwargs: Params.kwargs
    ) -> None:
        """Queue *job*. The slot is released when the job ends."""
        self._pool.add(self, partial(job, *args, **kwargs))

    def sent(self, method: str, seconds: float) -> None:
        """Remember how many *seconds* a send took, whether it succeeded or not."""
        self._pace.record(method, seconds)

    def imitate_send(self, method: str, since: float) -> None:
        """Keep the slot for as long as a send takes, once the job has ended.

        Nothing is sent to people without an account. If such a job made room at once, the next
        message in the queue would arrive sooner, which would reveal that there is no account.

        :param since: the ``time.perf_counter()`` at which the imitated send began.
        """
        self._kept_for = since + self._pace.draw(method) - time.perf_counter()

    def release(self) -> None:
        """Give the slot back to the pool."""
        self._pool.slots.release()

    def work(self, job: Callable[[], object]) -> float:
        """Run a job, and return the seconds for which its slot has to be kept afterwards."""
        try:
            with self._app.app_context():
                job()
        except BaseException as error:  # even SystemExit must not cost the pool a worker
            _log.error("sending in the background failed: %s", describe(error))
        return self._kept_for


class _Pace:
    """The durations of the recent sends of each method."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def record(self, method: str, seconds: float) -> None:
        self._recent.setdefault(method, deque(maxlen=_REMEMBERED)).append(seconds)

    def draw(self, method: str) -> float:
        """Return how long a randomly chosen recent send took."""
        return secrets.choice(list(self._recent.get(method, ())) or [_FIRST_GUESS])


class _Pool:
    """The threads of one process, the jobs that wait for them, and how long jobs take.

    A slot that is kept after its job blocks no thread: a timer goes on in the place of the worker,
    so that the queue moves as if something were sent.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self.capacity = workers + waiting
        self.slots = threading.Semaphore(self.capacity)
        self.process = os.getpid()
        self._threads = ThreadPoolExecutor(workers, "flask_otp_auth")
        self._changed = threading.Condition()
        self._workers = self._idle = workers
        self._unfinished = 0
        self._jobs: deque[tuple[Slot, Callable[[], object]]] = deque()
        self._recent: deque[float] = deque(maxlen=32)
        self._running: dict[Slot, float] = {}

    def add(self, slot: Slot, job: Callable[[], object]) -> None:
        """Have a job run as soon as a worker is idle."""
        with self._changed:
            self._unfinished += 1
            self._jobs.append((slot, job))
            if not self._idle:
                return
            self._idle -= 1
        self._threads.submit(self._work)

    def drain(self) -> None:
        """Wait until all jobs are done, and end the threads."""
        with self._changed:
            self._changed.wait_for(lambda: self._unfinished == 0)
        self._threads.shutdown(wait=True)

    def wait(self) -> float:
        """Return the estimated seconds until a full queue is empty."""
        now = time.perf_counter()
        # A job that hangs is not among the recent ones yet.
        ages = [now - began for began in list(self._running.values())]
        each = max(sum(times) / len(times) for times in (ages or [0], list(self._recent) or [0]))
        return min(max(self.capacity / self._workers * each, 1), _LONGEST_WAIT)

    def _work(self) -> None:
        """Run the jobs that wait, until there is none or one keeps its slot."""
        while True:
            with self._changed:
                if not self._jobs:
                    self._idle += 1
                    return
                slot, job = self._jobs.popleft()
            self._running[slot] = time.perf_counter()
            seconds = slot.work(job)
            if seconds > 0 and self._go_on_after(seconds, slot):
                return
            self._finish(slot)

    def _go_on_after(self, seconds: float, slot: Slot) -> bool:
        """Go on later, and return whether that is possible."""
        try:
            threading.Timer(seconds, self._go_on, [slot]).start()
        except RuntimeError:
            return False  # Python 3.12 starts no threads at exit, when nobody waits any more
        return True

    def _go_on(self, slot: Slot) -> None:
        self._finish(slot)
        try:
            self._threads.submit(self._work)
        except RuntimeError:
            self._work()  # at exit, the thread of the timer is the last one that can

    def _finish(self, slot: Slot) -> None:
        self._recent.append(time.perf_counter() - self._running.pop(slot))
        slot.release()
        with self._changed:
            self._unfinished -= 1
            self._changed.notify_all()
