"""Providers: trying them in order, within one timeout, until one accepts the message."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from flask import Flask

from .. import identifiers
from ..exceptions import ConfigurationError
from ..redaction import describe, redact, visible
from ..settings import Settings
from ..types import Method
from .message import Message, NoAnswerError, NotTakenError

_log = logging.getLogger("flask_otp_auth")

_MOST_AT_ONCE = 64


def require_usable_urls(settings: Settings) -> None:
    """Make sure that Apprise can send to one person through each URL of the options.

    :raises ConfigurationError: it cannot, or is not installed; the error shows no URL.
    """
    for method, urls in (("sms", settings.sms_urls), ("email", settings.email_urls)):
        key = f"OTP_AUTH_{method.upper()}_URLS"
        if not urls:
            continue
        try:
            from .apprise_urls import UnusableUrlError, check
        except ImportError:
            raise ConfigurationError(
                key, "needs the apprise package: pip install 'flask-otp-auth[delivery]'"
            ) from None
        for number, url in enumerate(urls, 1):
            try:
                check(url, cast(Method, method))
            except UnusableUrlError as error:
                raise ConfigurationError(
                    key, f"has an entry, number {number}, that {error}; allowed are Apprise URLs"
                ) from None


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to send a message.

    :param name: the name for the log, never a URL.
    :param send: called with the message and the seconds that it may take. It raises
        ``NotTakenError`` if the message certainly was not sent, and another exception if nobody
        knows.
    """

    name: str
    send: Callable[[Message, float], object]


class Attempts:
    """Calls each provider in a thread of its own, so that one that hangs can be abandoned.

    An abandoned thread ends when its connections time out. The number of threads is limited: if
    too many of them hang, further messages fail at once.
    """

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def deliver(
        self, app: Flask, message: Message, providers: Sequence[Provider], timeout: float
    ) -> None:
        """Try providers in order until one accepts the message.

        :param app: the application in whose context the providers are called.
        :param message: the message to send.
        :param providers: the providers, the preferred one first.
        :param timeout: seconds for all of them together. Each gets an equal share of what is left,
            so that the second has its turn if the first hangs.
        :raises NotTakenError: all of them refused it.
        :raises NoAnswerError: none of them accepted it, but one may have sent it all the same.
        """
        deadline = time.monotonic() + timeout
        failure: NotTakenError | NoAnswerError = NotTakenError("every provider refused the message")
        for position, provider in enumerate(providers):
            part = (deadline - time.monotonic()) / (len(providers) - position)
            if part <= 0:
                break
            try:
                self._attempt(app, message, provider, part)
            except (NotTakenError, NoAnswerError) as fault:
                if isinstance(fault, NoAnswerError):
                    failure = NoAnswerError(f"{provider.name} may have sent the message")
                _log.warning(
                    "provider %s (%s of %s) did not accept a message: method=%s to=%s: %s",
                    provider.name,
                    position + 1,
                    len(providers),
                    message.method,
                    identifiers.mask(message.recipient),
                    fault,
                )
            else:
                return
        raise failure

    def _attempt(self, app: Flask, message: Message, provider: Provider, seconds: float) -> None:
        """Call one provider.

        :raises NotTakenError: it refused the message.
        :raises NoAnswerError: it did not answer in time, or failed.
        """
        if not self._places.acquire(blocking=False):
            raise NotTakenError(
                f"{_MOST_AT_ONCE} calls hang already; check that the provider is up"
            )
        attempt = _Attempt(app, message, provider, seconds, self._places.release)
        try:
            attempt.start()
        except RuntimeError:
            # Python 3.12 starts no threads at exit, when accepted codes may still have to be sent.
            attempt.run()
        else:
            attempt.join(seconds)
        if attempt.is_alive():
            raise NoAnswerError(
                f"no answer within {seconds:.3g} s (all providers share OTP_AUTH_SEND_TIMEOUT)"
            )
        if attempt.fault is not None:
            raise attempt.fault


class _Attempt(threading.Thread):
    """One call of a provider, in a daemon thread so that it cannot keep the process alive."""

    def __init__(
        self,
        app: Flask,
        message: Message,
        provider: Provider,
        seconds: float,
        done: Callable[[], None],
    ) -> None:
        super().__init__(name="flask_otp_auth provider", daemon=True)
        self._app = app
        self._message = message
        self._provider = provider
        self._seconds = seconds
        self._done = done
        self.fault: NotTakenError | NoAnswerError | None = NoAnswerError("its thread ended early")

    def run(self) -> None:
        message = self._message
        try:
            with self._app.app_context():
                self._provider.send(message, self._seconds)
            self.fault = None
        except (NotTakenError, NoAnswerError) as error:
            reason = redact(str(error), message.code, message.recipient)
            self.fault = type(error)(visible(reason))  # it may quote an answer of a provider
        except Exception as error:
            self.fault = NoAnswerError(describe(error, message.code, message.recipient))
        finally:
            self._done()
