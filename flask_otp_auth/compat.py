"""What we need of other libraries although they keep it private; a test notices when it goes away.

Each function says why there is no public way. Nothing else in the package touches a private name
of Flask-Limiter or Flask-JWT-Extended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from flask_jwt_extended import JWTManager, default_callbacks
from flask_limiter import Limiter


def key_function(limiter: Limiter) -> Callable[[], str]:
    """Return the function that tells the clients of a Limiter apart.

    Flask-Limiter takes it as an argument, but does not tell it. Without it, clients that are
    counted by plain address cannot be told from those that are counted in a way of the application.
    """
    return limiter._key_func


def swallows_errors(limiter: Limiter) -> bool:
    """Return whether a Limiter admits requests while its storage is unavailable.

    It is an argument or an option; which of them holds is only known to the Limiter.
    """
    return bool(limiter._swallow_errors)


def falls_back_to_memory(limiter: Limiter) -> bool:
    """Return whether a Limiter counts in memory while its storage is unavailable.

    It follows from two arguments and two options, and is only known to the Limiter.
    """
    return bool(limiter._in_memory_fallback_enabled)


def is_limited(view: Callable[..., Any], limiter: Limiter) -> bool:
    """Return whether a decorator of a Limiter has wrapped a view.

    That decorator counts every rule of the view, and a second one would count them again. The mark
    that it leaves, by which Flask-Limiter notices the same, is the only sign of it.
    """
    return getattr(view, "__wrapper-limiter-instance", None) == limiter


def forbid_memory(limiter: Limiter) -> None:
    """Have a Limiter refuse what it cannot count, instead of counting it in memory.

    No argument of the constructor overrides ``RATELIMIT_IN_MEMORY_FALLBACK``.
    """
    limiter._in_memory_fallback_enabled = False


def own_loader(manager: JWTManager, name: str) -> Callable[..., Any] | None:
    """Return the loader that an application registered with ``manager.<name>_loader``.

    A JWTManager has a decorator to set each loader, and no way to read them.

    :param name: such as ``"user_identity"`` or ``"expired_token"``.
    :returns: the function, or ``None`` if Flask-JWT-Extended's default is in use.
    """
    loader = cast("Callable[..., Any] | None", getattr(manager, f"_{name}_callback"))
    return None if loader is default_loader(name) else loader


def default_loader(name: str) -> Callable[..., Any] | None:
    """Return what Flask-JWT-Extended uses without a loader, or ``None`` if that is nothing."""
    name = {"token_in_blocklist": "blocklist"}.get(name, name)
    return getattr(default_callbacks, f"default_{name}_callback", None)
