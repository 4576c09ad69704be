"""Email through the application's mail extension: Flask-Mail or Flask-Mailman."""

from __future__ import annotations

from flask import Flask

from .message import EMAIL_HEADERS, SMTP_REFUSALS, Message, NoAnswerError, NotTakenError


def extension_of(app: Flask) -> str | None:
    """Return the name of the mail extension of *app*, or ``None`` if it has none."""
    if "mail" in app.extensions:
        return "Flask-Mail"
    return "Flask-Mailman" if "mailman" in app.extensions else None


def send(app: Flask, message: Message) -> None:
    """Send a message with a plain-text and an HTML part through the mail extension of *app*.

    :raises NotTakenError: the mail server refused it.
    :raises Exception: nobody knows whether it was sent.
    """
    try:
        if extension_of(app) == "Flask-Mail":
            _send_by_flask_mail(app, message)
        else:
            _send_by_flask_mailman(message)
    except SMTP_REFUSALS as error:
        raise NotTakenError(f"{type(error).__name__}: {error}") from None


def _send_by_flask_mail(app: Flask, message: Message) -> None:
    from flask_mail import Message as Email

    app.extensions["mail"].send(
        Email(
            message.subject,
            recipients=[message.recipient],
            body=message.text,
            html=message.html,
            extra_headers=EMAIL_HEADERS,
        )
    )


def _send_by_flask_mailman(message: Message) -> None:
    from flask_mailman import EmailMultiAlternatives

    email = EmailMultiAlternatives(
        message.subject, message.text, to=[message.recipient], headers=EMAIL_HEADERS
    )
    email.attach_alternative(message.html, "text/html")
    if email.send() != 1:  # with fail_silently, whatever happened
        raise NoAnswerError("Flask-Mailman counts no email as sent")
