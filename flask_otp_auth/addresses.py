"""The network addresses of clients."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# Some proxies forward the port too: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"^(?:([0-9.]+)|\[([0-9a-fA-F:.]+)\])(?::[0-9]+)?$")


def ip_of(client: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address of a client, without its port and its scope, or ``None``.

    :param client: the ``remote_addr`` of a request. Behind a proxy that passes a header on, this
        may be any text.
    """
    try:
        return ip_address(_WITH_PORT.sub(r"\1\2", client).partition("%")[0])
    except ValueError:
        return None
