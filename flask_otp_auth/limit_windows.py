"""Windows of sends in the stores of the `limits` library."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from limits import RateLimitItem
from limits.storage import RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from .exceptions import OtpAuthError, ServiceUnavailable
from .limits import Bucket, Windows
from .store.database import RETRY_AFTER, bounded

_log = logging.getLogger("flask_otp_auth")
_NAMESPACE = "otp_auth"

# KEYS: a list of times, newest first, for each bucket. ARGV: the time, then for each bucket the
# number of its limits, and the sends and milliseconds of each. Returns the place of the bucket
# that refuses and for how long, or nothing.
_TAKE = """
local now, at = tonumber(ARGV[1]), 2
for place, key in ipairs(KEYS) do
  local rules, wait, most, longest = tonumber(ARGV[at]), -1, 0, 0
  for rule = 1, rules do
    local amount, window = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local sent = redis.call('LINDEX', key, amount - 1)
    if sent and tonumber(sent) + window >= now then
      wait = math.max(wait, tonumber(sent) + window - now)
    end
    most, longest, at = math.max(most, amount), math.max(longest, window), at + 2
  end
  at = at + 1
  if wait >= 0 then return {place, wait} end
  redis.call('LPUSH', key, ARGV[1])
  redis.call('LTRIM', key, 0, most - 1)
  redis.call('PEXPIRE', key, longest)
end
"""


def windows_in(storage: Storage, timeout: float) -> Windows:
    """Return the windows that are counted in *storage*.

    The library's storages and strategies are used without Flask-Limiter's own way of a request:
    that one can be told to swallow errors, to fall back to memory or to skip a rule, and it needs a
    request.

    :param timeout: seconds that the store gets for one send, where it lies in MongoDB.
    """
    # Not on a cluster, where a script reaches the keys of one node only.
    at_once = type(storage) is RedisStorage
    return (_RedisWindows if at_once else _LibraryWindows)(storage, timeout)


class _StoreWindows(ABC):
    """Lets nothing through that a store did not count, whatever its client raises."""

    def __init__(self, storage: Storage, timeout: float) -> None:
        self.storage = storage
        self._timeout = timeout

    def take(self, buckets: Sequence[Bucket], now: datetime) -> None:
        """Count a send, and tell a store that is away from a refusal."""
        if not buckets:
            return
        try:
            with bounded(self._timeout):
                self._count(buckets, now)
            return
        except OtpAuthError:
            raise
        except Exception as error:
            failure = ServiceUnavailable(retry_after=RETRY_AFTER)
            _log.error(
                "limits: their storage did not answer (%s) [error %s]; nothing is sent until "
                "it does: see RATELIMIT_STORAGE_URI",
                type(error).__name__,
                failure.id,
            )
        raise failure

    @abstractmethod
    def _count(self, buckets: Sequence[Bucket], now: datetime) -> None:
        """Count a send."""


class _RedisWindows(_StoreWindows):
    """All limits of all buckets in one script, and so in one turn to Redis."""

    storage: RedisStorage

    def __init__(self, storage: Storage, timeout: float) -> None:
        super().__init__(storage, timeout)
        self._script: Any = self.storage.storage.register_script(_TAKE)

    def _count(self, buckets: Sequence[Bucket], now: datetime) -> None:
        keys, args = [], [int(now.timestamp() * 1000)]
        for bucket in buckets:
            key = f"{_NAMESPACE}/{bucket.scope}/{bucket.key}"
            keys.append(self.storage.prefixed_key(key))
            args.append(len(bucket.rules.pairs))
            for amount, window in bucket.rules.pairs:
                args += (amount, int(window.total_seconds() * 1000))
        refused = self._script(keys, args)
        if refused is not None:
            place, wait = refused
            raise buckets[place - 1].refuse(wait / 1000)


class _LibraryWindows(_StoreWindows):
    """Limits one by one, by the strategies of the library and its own clock."""

    def __init__(self, storage: Storage, timeout: float) -> None:
        super().__init__(storage, timeout)
        self._strategy = _strategy(storage)

    def _count(self, buckets: Sequence[Bucket], now: datetime) -> None:  # noqa: ARG002
        for bucket in buckets:
            items, key = bucket.rules.items, (_NAMESPACE, bucket.scope, bucket.key)
            # Asked before it is counted, so that what one limit refuses uses up no other.
            if not (
                all(self._strategy.test(item, *key) for item in items)
                and all(self._strategy.hit(item, *key) for item in items)
            ):
                raise bucket.refuse(max(self._wait(item, key) for item in items))

    def _wait(self, item: RateLimitItem, key: tuple[str, ...]) -> float:
        """Return the seconds after which *item* lets a send through."""
        try:
            window = self._strategy.get_window_stats(item, *key)
        except TypeError:  # its last entry left the window since it was asked
            return 0.0
        return max(0.0, window.reset_time - time.time()) if window.remaining < 1 else 0.0


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
