"""Email over SMTP for the Apprise URLs ``mailto`` and ``mailtos``.

Apprise reads the URL, but what it sends has no plain part of ours, only one that it makes from the
HTML; and it cannot send other letters than ASCII once Flask-Mail is imported, which changes how all
of Python's email package encodes UTF-8. So the email is built and sent here.
"""

from __future__ import annotations

import smtplib
import ssl
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from apprise.plugins.email import NotifyEmail

from .message import Message


def send_by_smtp(provider: NotifyEmail, message: Message, app_name: str, timeout: float) -> bool:
    """Send an email with both parts to the server that Apprise found in a URL.

    :param timeout: seconds for each answer of the server.
    :raises OSError: the server cannot be reached or refuses; ``smtplib`` has subclasses for that.
    """
    name, address = (str(part or "") for part in provider.from_addr)
    email = EmailMessage(policy=policy.SMTP)
    email["From"] = Address(name or app_name, addr_spec=address)
    email["To"] = Address(addr_spec=message.recipient)
    email["Subject"] = message.subject
    email["Date"] = formatdate()
    email["Message-ID"] = make_msgid(domain=address.partition("@")[2])
    email["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    for header, value in provider.headers.items():
        email[header] = value
    # Not 8bit, which the server may not take and smtplib does not ask about.
    email.set_content(message.text, cte="quoted-printable")
    email.add_alternative(message.html, subtype="html", cte="quoted-printable")
    with connect(provider, timeout) as server:
        if provider.user and provider.password:
            server.login(provider.user, provider.password)
        server.send_message(email, from_addr=address, to_addrs=[message.recipient])
    return True


def connect(provider: NotifyEmail, timeout: float) -> smtplib.SMTP:
    """Return a connection to the server that Apprise found in a URL, encrypted as the URL says."""
    context = ssl.create_default_context()
    if not provider.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    host, port = provider.smtp_host, provider.port or 0
    if provider.secure_mode == "ssl":
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
    server = smtplib.SMTP(host, port, timeout=timeout)
    if provider.secure_mode == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server
