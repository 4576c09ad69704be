"""The send limits of clients: Flask-Limiter rules on the views that send, by client address."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, request
from flask_limiter import Limiter, RouteLimit
from flask_limiter.util import get_remote_address
from limits import RateLimitItem
from limits.storage import MemoryStorage

from ..config import Settings
from ..exceptions import ConfigurationError
from ..security_warnings import warn_in_production
from ..state import AppState
from ..store.client_limits import storage_for

#: What initiate and resend share.
SCOPE = "otp_auth"
_NO_ADDRESS = "no address"
# Some proxies forward the port too: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"^(?:([0-9.]+)|\[([0-9a-fA-F:.]+)\])(?::[0-9]+)?$")

View = Callable[..., Any]


def client_key() -> str:
    """Return what the client of the current request is counted as.

    Give it to a Limiter of your own as ``key_func`` to count your other routes in the same way.
    """
    return client_bucket(request.remote_addr or "")


def client_bucket(address: str) -> str:
    """Return what a client address is counted as.

    IPv6 is counted by /64, which is what one household gets (RFC 6177); an IPv4 address that is
    mapped into IPv6 is counted as itself. Without an address all clients share one bucket.

    :param address: as the server tells it, which is that of a proxy without ``ProxyFix``.
    """
    if not address:
        return _NO_ADDRESS
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


@dataclass(frozen=True)
class _HostKey:
    """The key function of the host's Limiter, whose empty key would be no limit at all."""

    key_func: Callable[[], str]

    def __call__(self) -> str:
        return self.key_func() or _NO_ADDRESS


def limiter_for(app: Flask, limiter: Limiter | None, state: AppState) -> Limiter:
    """Return the Limiter that the rules are attached to.

    That is *limiter*, else the one that *app* has, else one of our own over the same MongoDB, or
    over what ``RATELIMIT_STORAGE_URI`` names.

    :raises ConfigurationError: the storage that the host names cannot be made.
    """
    limiters = app.extensions.get("limiter", set())
    if limiter is None and len(limiters) == 1:
        (limiter,) = limiters
    if not app.config.get("RATELIMIT_ENABLED", True):
        warn_in_production(
            app, "RATELIMIT_ENABLED is False: clients may ask for any number of codes"
        )
    elif limiter is not None and limiter in limiters:
        _warn_of_failing_open(app, limiter)
    return limiter or _own_limiter(app, state)


def limited(view: View, limiter: Limiter) -> View:
    """Return *view* under the rules of ``OTP_AUTH_CLIENT_LIMITS``, all such views in one bucket."""
    key = limiter._key_func
    is_address = key in (get_remote_address, client_key)
    return _ClientRules(
        limit_provider=_rules,
        limiter=limiter,
        key_function=client_key if is_address else _HostKey(key),
        scope=SCOPE,
        shared=True,
        override_defaults=False,
    )(view)


def _client_limits() -> tuple[RateLimitItem, ...]:
    """Return the rules of the current app: one Limiter may serve several."""
    settings: Settings = current_app.extensions["otp_auth"].settings
    return settings.client_limits


def _rules() -> str:
    return "; ".join(str(rule) for rule in _client_limits())


class _ClientRules(RouteLimit):
    """What ``Limiter.shared_limit`` returns, with the text of the rules parsed once an app.

    Flask-Limiter 4.1 parses it in each request.
    """

    def __iter__(self) -> Iterator[Any]:
        parsed: dict[tuple[RateLimitItem, ...], list[Any]] = self.__dict__.setdefault("parsed", {})
        rules = _client_limits()
        if not rules:  # lifted for a test
            return iter(())
        if rules not in parsed:
            parsed[rules] = list(super().__iter__())
        return iter(parsed[rules])


def require_limiter(app: Flask, limiter: Limiter) -> None:
    """Refuse to serve under a Limiter that does not count, which lets everything through.

    :raises ConfigurationError: it was never initialised on this app.
    """
    if limiter not in app.extensions.get("limiter", ()) and app.config.get(
        "RATELIMIT_ENABLED", True
    ):
        raise ConfigurationError(
            "limiter", "is a Limiter that this app does not have: call limiter.init_app(app)"
        )


def _own_limiter(app: Flask, state: AppState) -> Limiter:
    """Return a Limiter for our routes alone, which never lets through what it did not count."""
    uri = app.config.get("RATELIMIT_STORAGE_URI")
    timeout = state.settings.db_timeout
    options: dict[str, Any] = {}
    if not uri:
        collection = f"{state.settings.collection}.clients"
        uri, options = storage_for(state.database, collection, timeout)
    elif uri.startswith(("redis", "valkey")):
        options = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    elif uri.startswith("mongodb"):
        milliseconds = int(timeout * 1000) or 1
        options = {"timeoutMS": milliseconds, "serverSelectionTimeoutMS": milliseconds}
    try:
        limiter = Limiter(
            client_key,
            app=app,
            storage_uri=uri,
            storage_options=options,
            strategy="moving-window",
            key_prefix=SCOPE,
            swallow_errors=False,
            default_limits_exempt_when=_always,
            application_limits_exempt_when=_always,
        )
    except Exception as error:
        raise ConfigurationError(
            "RATELIMIT_STORAGE_URI",
            f"names a storage that cannot be used ({type(error).__name__}): check the scheme, that "
            "it has a moving window, and that the package of its client is installed",
        ) from None
    # RATELIMIT_IN_MEMORY_FALLBACK of the host, which no argument of the constructor overrides.
    limiter._in_memory_fallback_enabled = False
    if app.config.get("RATELIMIT_ENABLED", True):
        _warn_of_memory(app, limiter)
    return limiter


def _always() -> bool:
    return True


def _warn_of_failing_open(app: Flask, limiter: Limiter) -> None:
    if limiter._swallow_errors:
        warn_in_production(
            app,
            "the Limiter's swallow_errors (RATELIMIT_SWALLOW_ERRORS) lets any client ask for any "
            "number of codes while its store is away",
        )
    if limiter._in_memory_fallback_enabled:
        warn_in_production(
            app,
            "the Limiter falls back to memory: while its store is away each worker process lets "
            "a client ask for the whole of its codes",
        )
    _warn_of_memory(app, limiter)


def _warn_of_memory(app: Flask, limiter: Limiter) -> None:
    if isinstance(limiter.storage, MemoryStorage):
        warn_in_production(
            app,
            "clients are counted in memory, so each worker process allows the whole of their "
            "limits: name a shared store in RATELIMIT_STORAGE_URI, or leave the Limiter out to "
            "count in MongoDB",
        )


@dataclass(frozen=True, slots=True)
class Breach:
    """What a Limiter holds against the current request.

    :param is_ours: whether a rule of ``OTP_AUTH_CLIENT_LIMITS`` is used up.
    :param wait: seconds until it lets the client through, ``None`` if it does now.
    """

    is_ours: bool
    wait: int | None


def breach_of(limiter: Limiter) -> Breach:
    """Return what *limiter* holds against the current request.

    Flask-Limiter stops at the first rule that is used up; another of ours may have longer to go.
    """
    breached = [limit for limit in limiter.current_limits if limit.breached]
    resets = [limit.window.reset_time for limit in breached]
    ours = [limit for limit in breached if limit.shared and limit.request_args[-1] == SCOPE]
    for limit in ours:
        for rule in _client_limits():
            window = limiter.limiter.get_window_stats(rule, *limit.request_args)
            if window.remaining < 1:
                resets.append(window.reset_time)
    # A hit counts up to and including the end of its window.
    wait = int(max(0, max(resets) - time.time())) + 1 if resets else None
    return Breach(bool(ours), wait)
