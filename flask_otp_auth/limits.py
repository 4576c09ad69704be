"""Send limits: what is counted, under which rules, and who is refused for how long."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from limits import RateLimitItem

from .exceptions import TooManyRequests

# Some proxies forward the port too: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"^(?:([0-9.]+)|\[([0-9a-fA-F:.]+)\])(?::[0-9]+)?$")

Scope = Literal["client", "identifier"]


class Rules:
    """The limits of one scope: each lets so many sends through in any window of its length.

    :param items: the limits; there is at least one.
    """

    def __init__(self, items: Sequence[RateLimitItem]) -> None:
        self.items = tuple(items)
        longest: dict[int, timedelta] = {}
        for item in items:
            window = timedelta(seconds=item.get_expiry())
            longest[item.amount] = max(window, longest.get(item.amount, window))
        #: The sends allowed and the length of their window, by limit; of two limits that allow the
        #: same number of sends the one with the longer window says it all.
        self.pairs = list(longest.items())
        #: The sends that have to be remembered to judge the next one by every limit...
        self.most = max(amount for amount, _ in self.pairs)
        #: ... and for how long.
        self.longest = max(window for _, window in self.pairs)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One client or one identifier, under its rules.

    :param key: an HMAC of the address or the identifier, in hexadecimal digits.
    """

    scope: Scope
    key: str
    rules: Rules

    def refuse(self, wait: float) -> TooManyRequests:
        """Return the refusal of a send that has to wait for *wait* seconds."""
        # A send counts up to and including the end of its window.
        return TooManyRequests(retry_after=int(wait) + 1, scope=self.scope)


class Windows(Protocol):
    """Where the sends of buckets are counted."""

    def take(self, buckets: Sequence[Bucket], now: datetime) -> None:
        """Count a send in one bucket after the other, up to the first that refuses it.

        What a bucket refuses is not counted in it.

        :raises TooManyRequests: a bucket refuses.
        :raises ServiceUnavailable: the store is away, and so nothing may be sent.
        """


class Buckets:
    """Makes the buckets of one application.

    :param client: the limits by client address, or none.
    :param identifier: the limits by identifier, or none.
    :param key: of the HMAC that addresses and identifiers are counted under.
    """

    def __init__(
        self,
        client: Sequence[RateLimitItem],
        identifier: Sequence[RateLimitItem],
        key: bytes,
    ) -> None:
        self._client = Rules(client) if client else None
        self._identifier = Rules(identifier) if identifier else None
        self._key = key

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited, and so there never is a bucket."""
        return self._client is None and self._identifier is None

    def of_client(self, address: str | None) -> list[Bucket]:
        """Return the bucket of a client address, if clients are limited and there is a client."""
        if self._client is None or address is None:
            return []
        return [Bucket("client", self._hmac(client_bucket(address)), self._client)]

    def of_identifier(self, identifier: str) -> list[Bucket]:
        """Return the bucket of an identifier, if identifiers are limited."""
        if self._identifier is None:
            return []
        return [Bucket("identifier", self._hmac(identifier), self._identifier)]

    def _hmac(self, counted: str) -> str:
        return hmac.digest(self._key, counted.encode(), "sha256").hex()


def client_bucket(address: str) -> str:
    """Return what a client address is counted as.

    IPv6 is counted by /64, which is what one household gets (RFC 6177); an IPv4 address that is
    mapped into IPv6 is counted as itself. Without an address all clients share one bucket.
    """
    if not address:
        return "no address"
    host = _WITH_PORT.sub(r"\1\2", address).partition("%")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
