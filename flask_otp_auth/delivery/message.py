"""Message: what a provider sends, and the errors that say what became of it."""

from __future__ import annotations

import smtplib
import socket
from dataclasses import dataclass

from ..types import Method

#: A mail server that gives one of these errors has not taken the message.
SMTP_REFUSALS = (
    smtplib.SMTPResponseException,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPNotSupportedError,
    ConnectionRefusedError,
    socket.gaierror,
)
#: Besides those of every email. RFC 3834: suppresses out-of-office replies.
EMAIL_HEADERS = {"Auto-Submitted": "auto-generated"}


@dataclass(frozen=True, slots=True)
class Message:
    """A message with a code for one recipient.

    :param method: ``"sms"`` or ``"email"``.
    :param recipient: the normalised identifier.
    :param code: the code in the message, so that it can be removed from log lines.
    :param text: the whole SMS, or the plain-text part of an email.
    :param subject: the subject of an email, on one line; empty for an SMS.
    :param html: the HTML part of an email; empty for an SMS.
    """

    method: Method
    recipient: str
    code: str
    text: str
    subject: str = ""
    html: str = ""

    def __repr__(self) -> str:
        return f"Message(method={self.method!r})"


class NotTakenError(Exception):
    """A provider refused a message, so that it certainly was not sent.

    The text says why, without any key of the provider.
    """


class NoAnswerError(Exception):
    """Nobody knows whether a message was sent: a provider did not answer, or failed on the way.

    The text says why, without any key of the provider.
    """
