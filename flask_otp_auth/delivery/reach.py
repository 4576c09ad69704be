"""Checking whether the server of an Apprise URL can be reached, without sending a message."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from apprise import NotifyBase
from apprise.plugins.email import NotifyEmail

from ..types import Method
from . import apprise_urls
from .smtp import connect

_PORTS = {"http": 80, "https": 443}


def reach(url: str, method: Method, app_name: str, timeout: float) -> None:
    """Connect to the server of a URL, log in if it is an SMTP server, and disconnect.

    A provider whose server cannot be determined passes.

    :param timeout: seconds that the connection and each response may take.
    :raises OSError: the server cannot be reached, or refuses the login.
    :raises UnusableUrlError: the URL cannot be used to send codes.
    """
    provider = apprise_urls.stand_in(url, method, app_name)
    if isinstance(provider, NotifyEmail):
        with connect(provider, timeout):
            return
    scheme, host, port = _address(provider, url)
    if host and scheme not in getproxies():
        socket.create_connection((host, port or _PORTS[scheme]), timeout).close()


def _address(provider: NotifyBase, url: str) -> tuple[str, str | None, int | None]:
    if apprise_urls.is_webhook(url):
        return "https" if provider.secure else "http", provider.host, provider.port
    service = getattr(provider, "notify_url", None)
    if not isinstance(service, str) or "{" in service:
        return "https", None, None
    parts = urlsplit(service)
    return ("http" if parts.scheme == "http" else "https"), parts.hostname, parts.port
