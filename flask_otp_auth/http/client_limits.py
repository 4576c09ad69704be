"""The limits on clients: Flask-Limiter rules, by client address, on the views that send codes."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Flask, current_app, request
from flask_limiter import Limiter, RequestLimit, RouteLimit
from flask_limiter.util import get_remote_address
from limits import RateLimitItem

from .. import compat, findings
from ..exceptions import ConfigurationError
from ..state import AppState, state_of
from ..store.limiter_storage import storage_for

#: The scope of the limits, which initiate and resend share.
SCOPE = "otp_auth"
_NO_ADDRESS = "no address"
# Some proxies forward the port too: 192.0.2.1:1234, [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"^(?:([0-9.]+)|\[([0-9a-fA-F:.]+)\])(?::[0-9]+)?$")

View = Callable[..., Any]


def client_key() -> str:
    """Return the key under which Flask-Limiter counts the client of the current request.

    Use it as the ``key_func`` of a Limiter of your own to count clients on your other routes in the
    same way.

    :returns: the IPv4 address, or the /64 network of the IPv6 address, as text; never empty.
    """
    return client_bucket(request.remote_addr or "")


def client_bucket(address: str) -> str:
    """Return the key under which a client address is counted.

    IPv6 addresses are counted by their /64 network: a client can choose the other 64 bits freely
    (RFC 4291, section 2.5.1). An IPv4-mapped address is counted as its IPv4 address. Clients
    without an address share one key.

    :param address: the ``remote_addr`` of a request; without ``ProxyFix``, that of the proxy.
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
    """Calls the key function of a Limiter, and replaces an empty key, which would have no limit."""

    key_func: Callable[[], str]

    def __call__(self) -> str:
        return self.key_func() or _NO_ADDRESS


def limiter_for(app: Flask, limiter: Limiter | None, state: AppState) -> Limiter:
    """Return the Limiter for the rules of ``OTP_AUTH_CLIENT_LIMITS``.

    It is *limiter*, or else the only Limiter of *app*, or else a new one that counts in the same
    MongoDB database, or in ``RATELIMIT_STORAGE_URI``.

    :raises ConfigurationError: ``RATELIMIT_STORAGE_URI`` cannot be used.
    """
    limiters = app.extensions.get("limiter", set())
    if limiter is None and len(limiters) == 1:
        (limiter,) = limiters
    chosen = limiter or _own_limiter(app, state)
    if app.config.get("RATELIMIT_ENABLED", True) and chosen in app.extensions.get("limiter", ()):
        findings.announce(app, findings.of_limiter(chosen))
    return chosen


def limited(view: View, limiter: Limiter) -> View:
    """Return *view* with the rules of ``OTP_AUTH_CLIENT_LIMITS``, which all such views share."""
    key = compat.key_function(limiter)
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
    """Return the rules of the current application, since several may share a Limiter."""
    return state_of(current_app).settings.client_limits


def _rules() -> str:
    return "; ".join(str(rule) for rule in _client_limits())


class _ClientRules(RouteLimit):
    """What ``Limiter.shared_limit`` returns, but parsing the rules only once.

    Flask-Limiter 4.1 parses their text for each request.
    """

    def __iter__(self) -> Iterator[Any]:
        parsed: dict[tuple[RateLimitItem, ...], list[Any]] = self.__dict__.setdefault("parsed", {})
        rules = _client_limits()
        if not rules:  # lifted for a test
            return iter(())
        if rules not in parsed:
            parsed[rules] = list(super().__iter__())
        return iter(parsed[rules])


def check_of_late_limiter(app: Flask, limiter: Limiter) -> Callable[[], None]:
    """Return what has to run before a request if *limiter* was not initialised on *app* at first.

    It warns once if *limiter* fails open, and raises a ConfigurationError while *limiter* is not
    initialised, and so limits nothing.
    """
    warn_once = cache(lambda: findings.announce(app, findings.of_limiter(limiter)))

    def check() -> None:
        if not app.config.get("RATELIMIT_ENABLED", True):
            return
        if limiter not in app.extensions.get("limiter", ()):
            raise ConfigurationError(
                "limiter", "is not initialised on this app: call limiter.init_app(app)"
            )
        warn_once()

    return check


def _own_limiter(app: Flask, state: AppState) -> Limiter:
    """Return a Limiter for our own routes, which refuses every request that it cannot count."""
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
    compat.forbid_memory(limiter)
    return limiter


def _always() -> bool:
    return True


def exceeds_client_limits(limiter: Limiter) -> bool:
    """Return whether the current request has exceeded a rule of ``OTP_AUTH_CLIENT_LIMITS``."""
    return any(_is_ours(limit) for limit in limiter.current_limits if limit.breached)


def wait_of(limiter: Limiter) -> int | None:
    """Return the seconds until *limiter* admits the client again, or ``None`` if it does now.

    Flask-Limiter stops at the first limit that is exceeded; another rule of ours may require a
    longer wait.
    """
    breached = [limit for limit in limiter.current_limits if limit.breached]
    resets = [limit.window.reset_time for limit in breached]
    for limit in filter(_is_ours, breached):
        for rule in _client_limits():
            window = limiter.limiter.get_window_stats(rule, *limit.request_args)
            if window.remaining < 1:
                resets.append(window.reset_time)
    # A hit still counts at the very end of its window.
    return int(max(0, max(resets) - time.time())) + 1 if resets else None


def _is_ours(limit: RequestLimit) -> bool:
    return limit.shared and limit.request_args[-1] == SCOPE
