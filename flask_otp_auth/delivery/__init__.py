"""Delivery: the sender that comes with the package, for real providers and for the terminal."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Sequence

from flask import Flask, current_app

from ..exceptions import ConfigurationError
from ..flow.sending import current_outgoing
from ..flow.sending import current_session as current_session
from ..handlers import HandlerDecorators
from ..settings import Settings
from ..state import state_of
from ..types import Method, Payload
from . import app_mail
from .message import Message as Message
from .message import NoAnswerError as NoAnswerError
from .message import NotTakenError
from .messages import render
from .providers import Attempts, Provider

_log = logging.getLogger("flask_otp_auth")


class Delivery:
    """Sends codes in the user's language, and registers itself as the ``send_code_handler``.

    An SMS goes to the providers of ``OTP_AUTH_SMS_URLS``. An email goes through Flask-Mail or
    Flask-Mailman if the application has one of them, then to the providers of
    ``OTP_AUTH_EMAIL_URLS``. They are tried in order until one accepts the message, all within
    ``OTP_AUTH_SEND_TIMEOUT``.

    :param otp: the FlaskOtpAuth to register with.
    :param console: whether messages are printed to the terminal if their method has no provider:
        always (``True``), never (``False``), or while ``app.debug`` or ``app.testing`` is on
        (``None``).
    """

    def __init__(self, otp: HandlerDecorators, *, console: bool | None = None) -> None:
        self._console = console
        self._attempts = Attempts()
        otp.send_code_handler(self.send)

    def send(self, code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
        """Send a code. This method is registered as the ``send_code_handler``.

        :param code: the digits.
        :param identifier: the normalised phone number or email address.
        :param method: ``"sms"`` or ``"email"``.
        :param payload: the payload that the client sent, for the templates.
        :returns: ``True`` if a provider accepted the message, ``False`` if all of them refused it.
            The log says why.
        :raises NoAnswerError: none of them accepted it, but one may have sent it all the same.
        :raises ConfigurationError: there is no provider for *method*.
        """
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        settings = state_of(app).settings
        message = render(app, settings, code, identifier, method, payload, current_outgoing())
        providers = _providers(app, settings, method)
        if not providers:
            self._print(app, message)
            return True
        try:
            self._attempts.deliver(app, message, providers, settings.send_timeout)
        except NotTakenError:
            return False
        return True

    def require_providers(self, app: Flask) -> None:
        """Make sure that each method has a provider, or that codes may be printed instead.

        :param app: the application.
        :raises ConfigurationError: a method has no provider.
        """
        settings = state_of(app).settings
        if self._console or (self._console is None and (app.debug or app.testing)):
            return
        for method in settings.methods:
            if not _providers(app, settings, method):
                raise ConfigurationError(
                    f"OTP_AUTH_{method.upper()}_URLS", "is not set, so there is no provider"
                )

    def check(self) -> None:
        """Check that each method has a reachable provider. ``flask otp check`` calls this.

        The mail servers of Flask-Mail and Flask-Mailman are not checked.

        :raises ConfigurationError: a method has no provider.
        :raises OSError: none of the providers of a method can be reached.
        """
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        settings = state_of(app).settings
        for method in settings.methods:
            if method == "email" and app_mail.extension_of(app) is not None:
                continue
            urls = settings.sms_urls if method == "sms" else settings.email_urls
            if not urls:
                raise ConfigurationError(f"OTP_AUTH_{method.upper()}_URLS", "is not set")
            _reach_one(urls, method, app, settings.send_timeout)

    def _print(self, app: Flask, message: Message) -> None:
        option = f"OTP_AUTH_{message.method.upper()}_URLS"
        if self._console is False or not (self._console or app.debug or app.testing):
            raise ConfigurationError(
                option,
                "is not set, so there is no provider to send by; codes are printed to the terminal "
                "only while app.debug or app.testing is on, or with Delivery(otp, console=True)",
            )
        if not (app.debug or app.testing):
            _log.warning("a code was printed, not sent: set %s in production", option)
        lines = [f"To: {message.recipient}", *_subject(message), "", *message.text.splitlines()]
        lines = ["".join(filter(str.isprintable, line)) for line in lines]  # no escape sequences
        width = max(map(len, lines))
        edge = f"+{'-' * (width + 2)}+"
        inside = [f"| {line.ljust(width)} |" for line in lines]
        print("", edge, *inside, edge, sep="\n", file=sys.stderr, flush=True)  # noqa: T201


def _reach_one(urls: Sequence[str], method: Method, app: Flask, timeout: float) -> None:
    from .reach import reach

    faults: list[OSError] = []
    for url in urls:
        try:
            return reach(url, method, app.name, timeout / len(urls))
        except OSError as fault:
            _log.error("%s cannot be reached: %s", url.partition(":")[0], type(fault).__name__)
            faults.append(fault)
    raise faults[-1]


def _subject(message: Message) -> list[str]:
    return [f"Subject: {message.subject}"] if message.subject else []


def _providers(app: Flask, settings: Settings, method: Method) -> Sequence[Provider]:
    providers = []
    if method == "email" and (name := app_mail.extension_of(app)) is not None:
        providers.append(Provider(name, lambda message, _seconds: app_mail.send(app, message)))
    urls = settings.sms_urls if method == "sms" else settings.email_urls
    if urls:
        from . import apprise_urls

        app_name = settings.app_name or app.name
        for url in urls:
            send = functools.partial(apprise_urls.send, url, app_name=app_name)
            providers.append(Provider(apprise_urls.schema_of(url), send))
    return providers
