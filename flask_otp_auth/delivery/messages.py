"""Messages: rendering the templates of the email and the SMS."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from jinja2 import ChoiceLoader, Environment, PackageLoader

from ..settings import Settings
from ..texts import Texts
from ..types import Method, Payload, Session
from .message import Message

_ENVIRONMENT = "otp_auth_messages"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def render(
    app: Flask,
    settings: Settings,
    code: str,
    identifier: str,
    method: Method,
    payload: Payload | None,
    *,
    session: Session | None,
    locale: str | None = None,
) -> Message:
    """Render the message for a code.

    The templates are ``code.sms.txt``, ``code.email.txt``, ``code.email.html`` and
    ``code.subject.txt`` in the folder ``otp_auth``. Templates of the application or its blueprints
    override ours. The variables are ``code`` (except in the subject), ``minutes``, ``app_name``,
    ``payload``, ``method``, ``locale`` and ``text``, our texts in that language.

    :param code: the digits.
    :param identifier: the normalised phone number or email address.
    :param method: ``"sms"`` or ``"email"``.
    :param payload: the payload that the client sent.
    :param session: the session of the code, which knows when it expires and its language.
    :param locale: the language if the session has none.
    """
    app_name = _line(settings.app_name or app.name)
    locale = (session and session.locale) or locale
    minutes = _minutes(settings, session)
    context: dict[str, Any] = {
        "minutes": minutes,
        "app_name": app_name,
        "payload": payload,
        "method": method,
        "locale": locale,
        "text": _texts(settings.texts.texts(locale), app_name, minutes),
    }
    environment = _environment(app)

    def part(name: str, **more: str) -> str:
        return environment.get_template(f"otp_auth/code.{name}").render(context, **more).strip()

    if method == "sms":
        text = part("sms.txt", code=code) + _origin_line(settings, code)
        return Message(method, identifier, code, text)
    return Message(
        method,
        identifier,
        code,
        text=part("email.txt", code=code) + "\n",
        subject=_line(part("subject.txt")),
        html=part("email.html", code=code) + "\n",
    )


def _texts(texts: Texts, app_name: str, minutes: int) -> dict[str, str]:
    """Return the texts around a code by their short names."""
    time = texts.say("message_minute" if minutes == 1 else "message_minutes", count=minutes)
    names = ("subject", "intro", "expiry", "warning", "ignore")
    said = {name: texts.say(f"message_{name}", app=app_name, time=time) for name in names}
    return {"language": texts.language, "dir": texts.dir, **said}


def _minutes(settings: Settings, session: Session | None) -> int:
    if session is None:
        return max(1, round(settings.code_ttl / 60))
    left = (session.expires_at - datetime.now(UTC)).total_seconds()
    return max(1, round(left / 60))


def _origin_line(settings: Settings, code: str) -> str:
    """Return the last line of an SMS, so that browsers offer the code only on this site.

    Its format is defined by the WICG's *Origin-bound one-time codes delivered via SMS*.
    """
    if settings.origin is None:
        return ""
    return f"\n\n@{urlsplit(settings.origin).hostname} #{code}"


def _line(text: str) -> str:
    """Return *text* as one line, so that it cannot add a header to an email."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _environment(app: Flask) -> Environment:
    """Return the Jinja environment of *app*, with our templates as a fallback.

    ``render_template`` is not used: its context processors may need a request, and its signals
    would show the code to every listener.
    """
    environment: Environment | None = app.extensions.get(_ENVIRONMENT)
    if environment is None:
        theirs = app.jinja_env
        ours = PackageLoader(__package__)
        environment = theirs.overlay(
            loader=ours if theirs.loader is None else ChoiceLoader([theirs.loader, ours]),
            autoescape=lambda name: name is not None and name.endswith(".html"),
        )
        app.extensions[_ENVIRONMENT] = environment
    return environment
