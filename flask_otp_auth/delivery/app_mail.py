"""Email through the application's mail extension: Flask-Mail or Flask-Mailman."""

from __future__ import annotations

from flask import Flask

from .message import Message

# RFC 3834: suppresses out-of-office replies.
_HEADERS = {"Auto-Submitted": "auto-generated"}


def extension_of(app: Flask) -> str | None:
    """Return the name of the mail extension of *app*, or ``None`` if it has none."""
    if "mail" in app.extensions:
        return "Flask-Mail"
    return "Flask-Mailman" if "mailman" in app.extensions else None


def send_by_flask_mail(app: Flask, message: Message) -> bool:
    """Send a message with a plain-text and an HTML part.

    :returns: always ``True``, since Flask-Mail raises an exception if it fails.
    """
    from flask_mail import Message as Email

    app.extensions["mail"].send(
        Email(
            message.subject,
            recipients=[message.recipient],
            body=message.text,
            html=message.html,
            extra_headers=_HEADERS,
        )
    )
    return True


def send_by_flask_mailman(message: Message) -> bool:
    """Send a message with a plain-text and an HTML part.

    :returns: whether Flask-Mailman sent it. Most failures raise an exception instead.
    """
    from flask_mailman import EmailMultiAlternatives

    email = EmailMultiAlternatives(
        message.subject, message.text, to=[message.recipient], headers=_HEADERS
    )
    email.attach_alternative(message.html, "text/html")
    return bool(email.send() == 1)
