"""Indexes: creating them once per process, on first use, in parallel to the requests."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from pymongo.errors import PyMongoError

from .. import events
from ..exceptions import InternalError, OtpAuthError, ServiceUnavailable
from .database import RETRY_AFTER, is_away, refusal

_log = logging.getLogger("flask_otp_auth")

# Seconds that a request waits for indexes, at most half of its time. On a large collection they
# take longer, and the request goes on without.
_PATIENCE = 1.0


class Indexes:
    """Calls *work* on first use of the collections, once per process.

    *work* runs in a thread without a time limit, since creating an index on a large collection
    takes minutes. Meanwhile requests are served without the indexes, with the same answers. If
    *work* fails, the next request calls it again.

    :param work: creates all indexes, some or all of which may exist.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._process: int | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._done = threading.Event()

    def ensure(self, within: float) -> None:
        """Wait for the indexes, but not for long if they take long to create.

        :param within: seconds that the request has for the database.
        :raises ServiceUnavailable: MongoDB did not answer in time.
        :raises OtpAuthError: the indexes cannot be created; the log says why.
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
                        "indexes are being created, and requests are served meanwhile; "
                        "'flask otp create-indexes' creates them before the first request"
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
    """Log why the indexes cannot be created, and return the error for the client."""
    if isinstance(error, OtpAuthError):
        return error
    failure: ServiceUnavailable | InternalError = InternalError()
    why = "see 'flask otp check'"
    if isinstance(error, PyMongoError):
        if is_away(error):
            failure = ServiceUnavailable(retry_after=RETRY_AFTER)
        else:
            why = refusal(error)
    # The error names indexes and options; codes and identifiers do not occur in it.
    code = getattr(error, "code", None)
    what = f"{type(error).__name__} {'' if code is None else code}".rstrip()
    return events.failed(failure, f"indexes cannot be created ({what}): {why}")
