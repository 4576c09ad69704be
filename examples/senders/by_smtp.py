"""Email with smtplib: ``otp.send_code_handler(smtp_sender("smtp.example.com", 587, ...))``."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

from flask_otp_auth.types import Method, Payload, SendCodeHandler


def smtp_sender(
    host: str, port: int, *, user: str, password: str, sender: str, timeout: float = 10.0
) -> SendCodeHandler:
    """Return a sender over SMTP with STARTTLS and a login.

    :param sender: the address that the mails come from.
    :param timeout: seconds for each answer of the server.
    """

    def send_code(code: str, identifier: str, method: Method, payload: Payload | None) -> bool:
        email = EmailMessage()
        email["From"], email["To"] = sender, identifier
        email["Subject"] = "Your login code"  # not the code: lock screens show subjects
        email.set_content(f"Your code is {code}. Never share it with anyone.\n")
        with smtplib.SMTP(host, port, timeout=timeout) as server:
            server.starttls(context=ssl.create_default_context())
            server.login(user, password)
            server.send_message(email)
        return True

    return send_code
