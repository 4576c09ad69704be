"""Send limits: the rules by client address and by identifier, and the keys they count by."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import time
from collections.abc import Sequence
from typing import Literal

from limits import RateLimitItem
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter
from pymongo.errors import PyMongoError

from .database import RETRY_AFTER, bounded
from .exceptions import OtpAuthError, ServiceUnavailable, TooManyRequests

_log = logging.getLogger("flask_otp_auth")
_NAMESPACE = "otp_auth"
# Some proxies forward the port too: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"^(?:([0-9.]+)|\[([0-9a-fA-F:.]+)\])(?::[0-9]+)?$")

Scope = Literal["client", "identifier"]


class SendLimits:
    """How many codes may be sent, by client address and by identifier.

    The rules are evaluated with the strategies of the `limits` library on the storage of the
    host's Limiter, without the Limiter's own way of a request: that one can be told to swallow
    errors, to fall back to memory or to skip a rule, and it needs a request.

    :param storage: where entries are counted.
    :param rules: by scope, the shortest window first.
    :param key: of the HMAC that addresses and identifiers are counted under.
    :param timeout: seconds for all rules of one scope together.
    """

    def __init__(
        self,
        storage: Storage,
        rules: dict[Scope, Sequence[RateLimitItem]],
        *,
        key: bytes,
        timeout: float,
    ) -> None:
        self._strategy = _strategy(storage)
        self._rules = rules
        self._key = key
        self._timeout = timeout

    def hit(self, scope: Scope, counted: str) -> None:
        """Count one send.

        The shortest window is asked first, so a send that it refuses uses up no longer one.

        :param counted: a client address or a normalised identifier.
        :raises TooManyRequests: a rule of *scope* is used up.
        :raises ServiceUnavailable: the storage is away, and so nothing may be sent.
        """
        rules = self._rules[scope]
        if not rules:
            return
        bucket = hmac.digest(self._key, counted.encode(), "sha256").hex()
        try:
            with bounded(self._timeout):
                if not all(self._strategy.hit(rule, _NAMESPACE, scope, bucket) for rule in rules):
                    raise TooManyRequests(retry_after=self._wait(scope, bucket), scope=scope)
        except (OtpAuthError, PyMongoError):
            raise
        except Exception as error:
            failure = ServiceUnavailable(retry_after=RETRY_AFTER)
            _log.error(
                "limits: their storage did not answer (%s) [error %s]; nothing is sent until "
                "it does: see RATELIMIT_STORAGE_URI",
                type(error).__name__,
                failure.id,
            )
        else:
            return
        raise failure

    def _wait(self, scope: Scope, bucket: str) -> int:
        """Return the whole seconds after which every rule of *scope* lets a send through."""
        now, wait = time.time(), 0.0
        for rule in self._rules[scope]:
            try:
                window = self._strategy.get_window_stats(rule, _NAMESPACE, scope, bucket)
            except TypeError:  # its last entry left the window since the rule was hit
                continue
            if window.remaining < 1:
                wait = max(wait, window.reset_time - now)
        # An entry counts up to and including the end of its window.
        return int(wait) + 1


def _strategy(storage: Storage) -> RateLimiter:
    try:
        return MovingWindowRateLimiter(storage)
    except NotImplementedError:
        _log.warning(
            "limits: %s has no moving window; counting in fixed windows, which let up to twice "
            "as much through around their edges",
            type(storage).__name__,
        )
        return FixedWindowRateLimiter(storage)


def client_bucket(address: str | None) -> str:
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
