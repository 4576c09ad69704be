"""The limits on clients: rules of Flask-Limiter on the views that send codes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app
from flask_limiter import Limiter, RequestLimit, RouteLimit
from flask_limiter.util import get_remote_address
from limits import RateLimitItem
from limits.storage import MemoryStorage

from .. import compat
from ..exceptions import ConfigurationError
from ..state import AppState, state_of
from ..store.limiter_storage import storage_for
from .client_key import NO_ADDRESS, client_key

#: The scope of the limits, which initiate and resend share.
SCOPE = "otp_auth"
View = Callable[..., Any]


@dataclass(frozen=True)
class _HostKey:
    """Calls the key function of a Limiter, and replaces an empty key, which would have no limit."""

    key_func: Callable[[], str]

    def __call__(self) -> str:
        return self.key_func() or NO_ADDRESS


def limiter_for(app: Flask, limiter: Limiter | None, state: AppState) -> Limiter | None:
    """Return the Limiter for the rules of ``OTP_AUTH_CLIENT_LIMITS``, or ``None`` without rules.

    It is *limiter*, or else the only Limiter of *app*, or else a new one that counts in the same
    MongoDB database, or in ``RATELIMIT_STORAGE_URI``.

    :raises ConfigurationError: *limiter* is no Limiter, or ``RATELIMIT_STORAGE_URI`` cannot be
        used.
    """
    if limiter is not None and not isinstance(limiter, Limiter):
        raise ConfigurationError(
            "limiter", f"is a {type(limiter).__name__}, not a flask_limiter.Limiter"
        )
    if not state.settings.client_limits:
        return None  # a Limiter examines every request of the application
    limiters = app.extensions.get("limiter", set())
    if limiter is None and len(limiters) == 1:
        (limiter,) = limiters
    return limiter or _own_limiter(app, state)


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
        if not rules:
            return iter(())
        if rules not in parsed:
            parsed[rules] = list(super().__iter__())
        return iter(parsed[rules])


def check_of_late_limiter(app: Flask, limiter: Limiter) -> Callable[[], None]:
    """Return what has to run before a request if *limiter* was not initialised on *app* at first.

    It raises a ConfigurationError while *limiter* is not initialised, and so limits nothing.
    """

    def check() -> None:
        if app.config.get("RATELIMIT_ENABLED", True):
            require_initialised(app, limiter)

    return check


def require_initialised(app: Flask, limiter: Limiter) -> None:
    """Refuse to go on with a Limiter that limits nothing.

    :raises ConfigurationError: *limiter* is not initialised on *app*.
    """
    if limiter not in app.extensions.get("limiter", ()):
        raise ConfigurationError(
            "limiter", "is not initialised on this app: call limiter.init_app(app)"
        )


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


def exceeded_rule(limiter: Limiter) -> RateLimitItem | None:
    """Return the rule of ``OTP_AUTH_CLIENT_LIMITS`` that the current request has exceeded."""
    ours = (limit for limit in limiter.current_limits if limit.breached and is_ours(limit))
    return next((limit.limit for limit in ours), None)


def storage_failed(limiter: Limiter, error: Exception) -> bool:
    """Return whether *error* came from the storage of *limiter*."""
    storage = limiter.storage
    # Memory is never unavailable, and lists ValueError, which anything may have raised.
    return not isinstance(storage, MemoryStorage) and isinstance(error, storage.base_exceptions)


def wait_of(limiter: Limiter) -> int | None:
    """Return the seconds until *limiter* admits the client again, or ``None`` if it does now.

    Flask-Limiter stops at the first limit that is exceeded; another rule of ours may require a
    longer wait.
    """
    breached = [limit for limit in limiter.current_limits if limit.breached]
    resets = [limit.window.reset_time for limit in breached]
    for limit in filter(is_ours, breached):
        for rule in _client_limits():
            window = limiter.limiter.get_window_stats(rule, *limit.request_args)
            if window.remaining < 1:
                resets.append(window.reset_time)
    # A hit still counts at the very end of its window.
    return int(max(0, max(resets) - time.time())) + 1 if resets else None


def is_ours(limit: RequestLimit) -> bool:
    """Return whether *limit* is a rule of ``OTP_AUTH_CLIENT_LIMITS``."""
    return limit.shared and limit.request_args[-1] == SCOPE
