"""Email over SMTP for the Apprise URLs ``mailto`` and ``mailtos``.

Apprise only parses the URL; the email is built and sent here. Apprise would generate the plain-text
part from the HTML. It also cannot send non-ASCII text once Flask-Mail has been imported, which
changes how Python's email package encodes UTF-8.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from apprise.plugins.email import NotifyEmail

from .message import EMAIL_HEADERS, SMTP_REFUSALS, Message, NoAnswerError, NotTakenError


def send_by_smtp(provider: NotifyEmail, message: Message, app_name: str, timeout: float) -> None:
    """Send a message with a plain-text and an HTML part to the SMTP server of a URL.

    :param provider: the URL as Apprise parsed it.
    :param app_name: the sender's name where the URL has none.
    :param timeout: seconds that the connection and each response may take.
    :raises NotTakenError: the server cannot be reached, or refuses the message.
    :raises NoAnswerError: the connection broke while the message was on its way.
    """
    name, address = (str(part or "") for part in provider.from_addr)
    email = EmailMessage(policy=policy.SMTP)
    email["From"] = Address(name or app_name, addr_spec=address)
    email["To"] = Address(addr_spec=message.recipient)
    email["Subject"] = message.subject
    email["Date"] = formatdate()
    email["Message-ID"] = make_msgid(domain=address.partition("@")[2])
    for header, value in {**EMAIL_HEADERS, **provider.headers}.items():
        email[header] = value
    # Not 8bit: smtplib does not ask whether the server supports it.
    email.set_content(message.text, cte="quoted-printable")
    email.add_alternative(message.html, subtype="html", cte="quoted-printable")
    try:
        server = connect(provider, timeout)
    except OSError as error:
        raise NotTakenError(f"{type(error).__name__}: {error}") from None
    try:
        server.send_message(email, from_addr=address, to_addrs=[message.recipient])
    except SMTP_REFUSALS as error:
        raise NotTakenError(f"{type(error).__name__}: {error}") from None
    except OSError as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from None
    finally:
        _quit(server)


def _quit(server: smtplib.SMTP) -> None:
    """Say goodbye. Whatever comes of it, the message has been taken or refused before."""
    with contextlib.suppress(OSError):
        server.quit()
    server.close()


def connect(provider: NotifyEmail, timeout: float) -> smtplib.SMTP:
    """Connect to the SMTP server of a URL, encrypted as the URL asks for, and log in if it can.

    :param timeout: seconds that the connection and each response may take.
    :raises OSError: the server cannot be reached, or refuses (``smtplib.SMTPException``).
    """
    context = ssl.create_default_context()
    if not provider.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    host, port = provider.smtp_host, provider.port or 0
    if provider.secure_mode == "ssl":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=timeout)
    try:
        if provider.secure_mode == "starttls":
            server.starttls(context=context)
        if provider.user and provider.password:
            server.login(provider.user, provider.password)
    except BaseException:
        server.close()
        raise
    return server
