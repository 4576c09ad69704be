"""Message: what a provider gets to send."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import Method


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to one person.

    :param method: ``"sms"`` or ``"email"``.
    :param recipient: the normalised identifier.
    :param code: the code that is in it, so that a log can leave it out.
    :param text: the whole SMS, or the plain part of an email.
    :param subject: one line; empty for an SMS.
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
