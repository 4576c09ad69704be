"""Email through the mail extension of the app: Flask-Mail or Flask-Mailman, with both parts."""

from __future__ import annotations

from flask import Flask

from .message import Message

# RFC 3834: no out-of-office answers to a code.
_HEADERS = {"Auto-Submitted": "auto-generated"}


def extension_of(app: Flask) -> str | None:
    """Return the name of the mail extension that *app* has, or ``None``."""
    if "mail" in app.extensions:
        return "Flask-Mail"
    return "Flask-Mailman" if "mailman" in app.extensions else None


def send_by_flask_mail(app: Flask, message: Message) -> bool:
    """Send an email; Flask-Mail raises what goes wrong."""
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
    """Send an email; Flask-Mailman raises what goes wrong, or says that it sent none."""
    from flask_mailman import EmailMultiAlternatives

    email = EmailMultiAlternatives(
        message.subject, message.text, to=[message.recipient], headers=_HEADERS
    )
    email.attach_alternative(message.html, "text/html")
    return bool(email.send() == 1)
