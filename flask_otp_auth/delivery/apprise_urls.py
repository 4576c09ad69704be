"""Apprise URLs: sending a message to one recipient. Requires the extra ``delivery``.

A recipient never becomes part of a URL. The URL is parsed exactly as it was configured, and the
recipient is then put where the parsed provider keeps its targets. So nothing in an identifier,
escaped or not, can change the host, the user, the path or the number of recipients.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, PersistentStoreMode
from apprise.manager_plugins import NotificationManager

from ..types import Method
from .message import Message, NoAnswerError, NotTakenError

_STAND_IN: dict[Method, str] = {"sms": "+15555550100", "email": "someone@example.com"}
# These post to the server that their URL names, and the recipient goes into the body.
_WEBHOOKS = re.compile(r"(json|form|xml)s?")
_SECRET_MIN = 4
# How Apprise logs the status of a server, or of a proxy before it, that failed on the way. With 501
# and 503 it has not begun (RFC 9110, section 15.6).
_BROKE = re.compile(r"\berror=5(?!0[13]\b)[0-9]{2}\b")
_UNREACHABLE = {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}
with warnings.catch_warnings():
    # Apprise's plugins import deprecated modules, about which the application can do nothing.
    warnings.simplefilter("ignore", DeprecationWarning)
    _SCHEMAS = NotificationManager()  # type: ignore[no-untyped-call]
    _SCHEMAS.load_modules()  # type: ignore[no-untyped-call]
    from apprise.decorators.base import CustomNotifyPlugin
    from apprise.plugins.email import NotifyEmail

    from .smtp import send_by_smtp


class UnusableUrlError(ValueError):
    """A URL cannot be used to send codes. The text says why, and contains only its schema."""


def check(url: str, method: Method) -> None:
    """Refuse a URL that cannot be used to send codes.

    :param url: an entry of ``OTP_AUTH_SMS_URLS`` or ``OTP_AUTH_EMAIL_URLS``.
    :raises UnusableUrlError: Apprise does not support it, or it cannot send to a single recipient.
    """
    stand_in(url, method, "Flask-OTP-Auth")


def stand_in(url: str, method: Method, app_name: str) -> NotifyBase:
    """Return the provider of a URL with a placeholder as its recipient.

    :raises UnusableUrlError: see :func:`check`.
    """
    with _captured():
        return provider_for(url, method, _STAND_IN[method], app_name)


def is_webhook(url: str) -> bool:
    """Return whether a URL names a server of its own rather than a service that Apprise knows."""
    return _WEBHOOKS.fullmatch(schema_of(url)) is not None


def schema_of(url: str) -> str:
    """Return the schema of a URL, the only part of it that may be shown or logged."""
    return url.partition("://")[0].lower()


def send(url: str, message: Message, timeout: float, *, app_name: str) -> None:
    """Send one message through the provider of a URL.

    :param url: an entry of ``OTP_AUTH_SMS_URLS`` or ``OTP_AUTH_EMAIL_URLS``.
    :param message: the message to send.
    :param timeout: seconds that each connection and each response may take.
    :param app_name: the name that the provider shows as the sender, if it shows one.
    :raises NotTakenError: the provider refused the message, or could not be reached.
    :raises NoAnswerError: the connection broke, or there was no answer in time.
    :raises UnusableUrlError: see :func:`check`.
    """
    with _captured() as captured:
        provider = provider_for(url, message.method, message.recipient, app_name)
        if type(provider) is NotifyEmail:
            _send_by_smtp(provider, message, app_name, timeout, url)
            return
        provider.socket_connect_timeout = timeout
        provider.socket_read_timeout = timeout
        html = message.html and _first(provider.notify_format) is NotifyFormat.HTML
        taken = provider.notify(
            title=message.subject,
            body=message.html if html else message.text,
            body_format=NotifyFormat.HTML if html else NotifyFormat.TEXT,
        )
        if taken is not True:
            said = "; ".join(captured.lines)
            reason = _without_secrets(said, url) or "it gave no reason"
            is_refusal = all(map(_never_connected, captured.errors)) and not _BROKE.search(said)
            raise NotTakenError(reason) if is_refusal else NoAnswerError(reason)


def _send_by_smtp(
    provider: NotifyEmail, message: Message, app_name: str, timeout: float, url: str
) -> None:
    try:
        send_by_smtp(provider, message, app_name, timeout)
    except (NotTakenError, NoAnswerError) as error:
        raise type(error)(_without_secrets(str(error), url)) from None


def _never_connected(error: BaseException) -> bool:
    """Return whether an error of the HTTP client came before anything was sent.

    The client is a dependency of Apprise's, not ours, so its errors are told by their names.
    """
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return type(error).__name__ == "ConnectTimeout" or type(reason).__name__ in _UNREACHABLE


def provider_for(url: str, method: Method, recipient: str, app_name: str) -> NotifyBase:
    """Return the provider of a URL, with *recipient* as its only recipient.

    :raises UnusableUrlError: see :func:`check`.
    """
    schema = schema_of(url)
    if schema not in _SCHEMAS:
        raise UnusableUrlError(f"has the schema {schema}, which Apprise does not know")
    parsed = _SCHEMAS[schema].parse_url(url)
    if not parsed:
        raise UnusableUrlError(f"is not a {schema} URL that Apprise can parse")
    parsed["schema"] = schema
    parsed["asset"] = AppriseAsset(
        app_id=app_name,
        app_desc=app_name,
        storage_mode=PersistentStoreMode.MEMORY,
        secure_logging=True,
    )
    is_webhook = _WEBHOOKS.fullmatch(schema) is not None
    is_function = issubclass(_SCHEMAS[schema], CustomNotifyPlugin)  # of Apprise's @notify
    if is_webhook:
        _address_webhook(parsed, recipient)
    elif is_function:
        parsed["targets"] = [recipient]
    else:
        parsed["targets"] = [_STAND_IN[method] if method == "email" else recipient]
    try:
        provider = Apprise.instantiate(parsed, suppress_exceptions=False)
    except Exception as error:
        # The text of the error may contain a key.
        raise UnusableUrlError(f"Apprise refuses ({schema}: {type(error).__name__})") from None
    if not isinstance(provider, NotifyBase):
        raise UnusableUrlError(f"needs a package that Apprise does not install to send by {schema}")
    if getattr(provider, "cc", None) or getattr(provider, "bcc", None):
        raise UnusableUrlError("would send copies of codes to others (cc, bcc)")
    if not is_webhook and not is_function:
        _address(provider, schema, method, recipient)
    return provider


def _address_webhook(parsed: dict[str, Any], recipient: str) -> None:
    """Put the recipient into the body: where the URL says ``{to}``, or else as a member ``to``."""
    payload = dict(parsed.get("payload") or {})
    named = [name for name, value in payload.items() if value == "{to}"]
    parsed["payload"] = {**payload, **dict.fromkeys(named or ["to"], recipient)}


def _address(provider: NotifyBase, schema: str, method: Method, recipient: str) -> None:
    """Make *recipient* the only target of a provider.

    Apprise parses an email address as a list of names and addresses, and finds ``b@example.com``
    in ``a/b@example.com``. So it is given a placeholder to parse, which is then replaced.

    :raises UnusableUrlError: the provider has no single target that can be replaced.
    """
    for name, targets in vars(provider).items():
        if not isinstance(targets, list | set) or len(targets) != 1 or "invalid" in name:
            continue
        (target,) = targets
        if method == "sms" and _has_number(target, recipient):
            return
        if method == "email":
            if target == _STAND_IN[method]:
                replaced: object = recipient
            elif target == (False, _STAND_IN[method]):
                replaced = (False, recipient)
            else:
                continue
            targets.clear()
            targets.append(replaced) if isinstance(targets, list) else targets.add(replaced)
            return
    raise UnusableUrlError(
        f"is a URL of {schema}, which cannot send to one "
        f"{'phone number' if method == 'sms' else 'email address'}"
    )


def _has_number(target: object, recipient: str) -> bool:
    """Return whether *target* is the number, or a tuple of it and the kind of target."""
    if isinstance(target, tuple):
        return any(_has_number(item, recipient) for item in target)
    return isinstance(target, str) and re.sub(r"[^0-9]", "", target) == recipient.lstrip("+")


def _first(formats: object) -> object:
    return formats[0] if isinstance(formats, tuple | list) else formats


def _without_secrets(text: str, url: str) -> str:
    """Remove every part of a URL from a text, except a host that cannot be a key."""
    schema = schema_of(url)
    parsed = _SCHEMAS[schema].parse_url(url) or {}
    secrets = set(_strings(parsed)) - {schema}
    if _WEBHOOKS.fullmatch(schema) or schema.startswith("mailto"):
        secrets.discard(str(parsed.get("host") or ""))
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_MIN:
            text = text.replace(secret, "****")
    return text


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from filter(None, value.split("/"))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _strings(item)


# Apprise and its HTTP client log recipients, codes and URLs. While a thread sends one of our
# messages, the lines that it logs are kept here instead.
_thread = threading.local()


class _Captor(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        captured: _Captured | None = getattr(_thread, "captured", None)
        if captured is None:
            return True
        if record.levelno >= logging.WARNING:
            captured.lines.append(record.getMessage())
            # Apprise swallows errors of its HTTP client, but logs while it handles them.
            if (error := sys.exc_info()[1]) is not None:
                captured.errors.append(error)
        return False


@dataclass(frozen=True, slots=True)
class _Captured:
    lines: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)


@contextlib.contextmanager
def _captured() -> Iterator[_Captured]:
    _thread.captured = captured = _Captured()
    try:
        yield captured
    finally:
        del _thread.captured


for _name in ("apprise", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_Captor())
