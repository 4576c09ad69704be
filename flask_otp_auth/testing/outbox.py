"""The outbox, which keeps the messages of an application instead of sending them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from flask import Flask, current_app

from .. import identifiers
from ..background import BackgroundSender
from ..delivery.messages import render
from ..flow.sending import current_outgoing
from ..handlers import Handlers
from ..state import EXTENSION, AppState, account_store
from ..types import Method, Payload


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that would have been sent.

    :param code: the code in it.
    :param identifier: the normalised phone number or email address.
    :param method: ``"sms"`` or ``"email"``.
    :param payload: the payload that the client sent, or ``None``.
    :param session_id: the id of the session that the code belongs to.
    :param locale: the language of the session.
    :param text: the SMS, or the plain-text part of the email, as ``Delivery`` would send it.
    :param subject: the subject of the email; empty for an SMS.
    :param html: the HTML part of the email; empty for an SMS.
    """

    code: str
    identifier: str
    method: Method
    payload: Payload | None
    session_id: str | None
    locale: str | None
    text: str
    subject: str
    html: str


class Outbox:
    """The messages of one application since :func:`otp_outbox` was called."""

    def __init__(self, app: Flask, state: AppState) -> None:
        self._state = state
        self._sent: list[Sent] = []
        self._app: Flask | None = app
        self._before = app.extensions[EXTENSION]
        # Meanwhile the application has *state*, with the outbox in the place of the sender.
        # Handlers that are registered meanwhile are those of the application.
        sender: dict[str, Callable[..., Any]] = {"send_code_handler": self.take}
        functions = ChainMap(sender, state.handlers.functions)
        app.extensions[EXTENSION] = replace(state, handlers=Handlers(functions))

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Send messages again, with their limits. The outbox keeps the messages that it has."""
        app, self._app = self._app, None
        if app is not None:
            _drain(self._state.background)
            app.extensions[EXTENSION] = self._before

    @property
    def messages(self) -> list[Sent]:
        """All messages, the oldest first, once no code is being sent in the background."""
        _drain(self._state.background)
        return list(self._sent)

    def last_code(self, identifier: str) -> str:
        """Return the last code that was sent to a phone number or an email address.

        :param identifier: the phone number or email address, in any accepted form.
        :raises LookupError: no code was sent to it. The message says which identifiers got codes.
        :raises InvalidIdentifier: *identifier* does not have an accepted form.
        """
        method: Method = "email" if "@" in identifier else "sms"
        region = self._state.settings.default_region
        wanted = identifiers.normalise(identifier, method, region)
        messages = self.messages
        for message in reversed(messages):
            if message.identifier == wanted:
                return message.code
        others = ", ".join(sorted({message.identifier for message in messages})) or "nobody"
        raise LookupError(f"No code was sent to {wanted}; codes were sent to {others}.")

    def clear(self) -> None:
        """Discard all messages so far."""
        _drain(self._state.background)
        self._sent.clear()

    def take(self, code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
        """Keep the message with a code. This replaces the ``send_code_handler``."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        outgoing = current_outgoing()
        session = None if outgoing is None else outgoing.session
        message = render(app, self._state.settings, code, identifier, method, payload, outgoing)
        self._sent.append(
            Sent(
                code,
                identifier,
                method,
                payload,
                session_id=session.session_id if session else None,
                locale=session.locale if session else None,
                text=message.text,
                subject=message.subject,
                html=message.html,
            )
        )
        return True


def otp_outbox(app: Flask, limits: bool = False) -> Outbox:
    """Keep the messages of an application instead of sending them.

    While the outbox is open, no ``send_code_handler`` is needed or called. This also works for
    codes that are sent in the background and from any thread. The locks after wrong codes apply.

    :param app: the initialised application.
    :param limits: whether the limits on clients and accounts apply as the application has them.
        Without them a user can sign in twice in a test.
    :returns: the :class:`Outbox`, a context manager. Messages are sent again at the end of the
        ``with`` block, or after :meth:`Outbox.close`.
    :raises RuntimeError: *app* has not been initialised with ``init_app``.
    """
    state = cast("AppState | None", app.extensions.get(EXTENSION))
    if state is None:
        raise RuntimeError("This app has no Flask-OTP-Auth: call init_app(app) before otp_outbox.")
    return Outbox(app, state if limits else _without_limits(state))


def _without_limits(state: AppState) -> AppState:
    settings = replace(state.settings, client_limits=(), identifier_limits=())
    return replace(state, settings=settings, accounts=account_store(settings, state.database))


def _drain(background: BackgroundSender | None) -> None:
    if background is not None:
        background.drain()
