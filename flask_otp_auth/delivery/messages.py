"""Messages: rendering the templates of the email and the SMS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from jinja2 import ChoiceLoader, Environment, PackageLoader

from ..addresses import ip_of
from ..clock import utc_now
from ..flow.sending import OutgoingCode
from ..language import preferred_language
from ..settings import Settings
from ..texts import DEFAULT_LANGUAGE, Texts
from ..types import Method, Payload
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
    outgoing: OutgoingCode | None,
) -> Message:
    """Render the message for a code.

    The templates are ``code.sms.txt``, ``code.email.txt``, ``code.email.html`` and
    ``code.subject.txt`` in the folder ``otp_auth``. Templates of the application or its blueprints
    override ours. Their variables are in :doc:`delivery`. The subject has no ``code``.

    :param code: the digits.
    :param identifier: the normalised phone number or email address.
    :param method: ``"sms"`` or ``"email"``.
    :param payload: the payload that the client sent.
    :param outgoing: the code that is being sent. Without it, the message is that of a login that
        has just been asked for.
    """
    context = _context(app, settings, outgoing) | {"payload": payload, "method": method}
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


def _context(app: Flask, settings: Settings, outgoing: OutgoingCode | None) -> dict[str, Any]:
    """Return the variables of the templates, apart from those that the handlers receive."""
    language = outgoing.session.locale if outgoing else preferred_language(settings.texts)
    context: dict[str, Any] = {
        "ttl": settings.code_ttl,
        "app_name": _line(settings.app_name or app.name),
        "origin": settings.origin,
        "language": language or DEFAULT_LANGUAGE,
        "purpose": None,
        "asked_at": utc_now(),
        "client": None,
    }
    if outgoing is not None:
        # Only an address: a client must not write its own words into the message.
        client = ip_of(outgoing.client or "")
        left = outgoing.session.expires_at - context["asked_at"]
        context |= {
            "ttl": max(0, int(left.total_seconds())),
            "purpose": outgoing.session.purpose,
            "asked_at": outgoing.asked_at,
            "client": None if client is None else str(client),
        }
    context["minutes"] = max(1, round(context["ttl"] / 60))
    context["text"] = _texts(settings.texts.texts(language), context)
    return context


def _texts(texts: Texts, context: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts around a code by their short names, with everything filled in."""
    minutes, client = context["minutes"], context["client"]
    end = "" if context["purpose"] is None else "_confirm"
    # Between words from right to left, a date or an address would be shown part by part.
    isolated = (
        "{}" if texts.dir == "ltr" else "\N{LEFT-TO-RIGHT ISOLATE}{}\N{POP DIRECTIONAL ISOLATE}"
    )
    values = {
        "app": context["app_name"],
        "time": texts.say("message_minute" if minutes == 1 else "message_minutes", count=minutes),
        "when": isolated.format(f"{context['asked_at']:%Y-%m-%d %H:%M} UTC"),
        "client": isolated.format(client),
    }
    keys = {
        "subject": f"message_subject{end}",
        "intro": f"message_intro{end}",
        "expiry": "message_expiry",
        "warning": "message_warning",
        "asked": "message_asked" if client is None else "message_asked_from",
        "ignore": "message_ignore",
    }
    said = {name: texts.say(key, **values) for name, key in keys.items()}
    return {"language": texts.language, "dir": texts.dir, **said}


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
