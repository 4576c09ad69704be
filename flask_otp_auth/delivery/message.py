"""Message: what a provider sends."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import Method


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
