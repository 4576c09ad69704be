"""Indexes: made once in a process at its first use of the database, beside the requests."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from pymongo.errors import PyMongoError

from ..exceptions import InternalError, OtpAuthError, ServiceUnavailable
from .database import RETRY_AFTER, is_away

_log = logging.getLogger("flask_otp_auth")

# Seconds that a request waits for indexes; on a collection of some size they take longer, and it
# goes on with at least half of its time.
_PATIENCE = 1.0


class Indexes:
    """Has *work* done before the first use of the collections, once in a process.

    It runs in a thread without a time limit: on a large collection a build takes minutes, which no
    request has. Until it is done requests are served without, and just as right. If it fails, the
    next request tries again.

    :param work: makes all indexes; it may find some or all of them there.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._process: int | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._done = threading.Event()

    def ensure(self, within: float) -> None:
        """Return when the indexes are there, or are being made and take long.

        :param within: seconds that the request has for the database.
        :raises ServiceUnavailable: the database is away.
        :raises OtpAuthError: they cannot be made; the log says why.
        """
        if self._done.is_set():
            return
        with self._lock:
            if self._done.is_set():
                return
            if self._thread is None or self._process != os.getpid():
                self._process, self._error = os.getpid(), None
                self._thread = threading.Thread(target=self._run, name="flask_otp_auth indexes")
                self._thread.daemon = True
                self._thread.start()
                self._thread.join(min(_PATIENCE, within / 2))
                if self._thread.is_alive():
                    _log.warning(
                        "indexes are being made, and requests are served meanwhile; "
                        "'flask otp create-indexes' makes them before the first request"
                    )
            error = self._error
            if error is not None:
                self._thread = self._error = None
        if error is not None:
            raise _failure(error) from None

    def _run(self) -> None:
        try:
            self._work()
            self._done.set()
        except Exception as error:
            self._error = error


def _failure(error: Exception) -> OtpAuthError:
    """Put what went wrong into the log and into an error for the client."""
    if isinstance(error, OtpAuthError):
        return error
    failure: ServiceUnavailable | InternalError = InternalError()
    if isinstance(error, PyMongoError) and is_away(error):
        failure = ServiceUnavailable(retry_after=RETRY_AFTER)
    # The details of the driver name indexes and options; a code or an identifier is not in them.
    code = getattr(error, "code", None)
    _log.error(
        "indexes cannot be made (%s %s) [error %s]; see 'flask otp check'",
        type(error).__name__,
        "" if code is None else code,
        failure.id,
    )
    return failure
