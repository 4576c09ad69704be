"""The keys of an application: the key material for codes, and the key that signs JWTs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..exceptions import ConfigurationError

KEY_BYTES = 32  # RFC 2104, section 3: a shorter key than the digest weakens the HMAC
_TOKEN_LOCATIONS = ("headers", "cookies", "query_string", "json")
JWT_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


def app_secrets(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the key material in ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``, newest first.

    :param config: ``app.config``.
    :raises ConfigurationError: ``SECRET_KEY`` is not set, or a key is empty or of another type.
    """
    newest = config.get("SECRET_KEY")
    if not newest:
        raise ConfigurationError(
            "SECRET_KEY",
            "is not set: set it, or OTP_AUTH_SECRET_KEY, to a random value of at least "
            f"{KEY_BYTES} bytes (python -c 'import secrets; print(secrets.token_hex())')",
        )
    older = config.get("SECRET_KEY_FALLBACKS") or []
    if not isinstance(older, list | tuple):
        raise ConfigurationError("SECRET_KEY_FALLBACKS", "must be a list of keys")
    keys = [_as_bytes("SECRET_KEY", newest)]
    keys += [_as_bytes("SECRET_KEY_FALLBACKS", old) for old in older]
    return tuple(keys)


def _as_bytes(name: str, key: Any) -> bytes:
    if not isinstance(key, str | bytes):
        raise ConfigurationError(name, f"has a {type(key).__name__}; a key is str or bytes")
    if not key:
        raise ConfigurationError(name, "has an empty key; use a random one")
    return key.encode() if isinstance(key, str) else key


def require_jwt_key(config: Mapping[str, Any]) -> None:
    """Check the key of Flask-JWT-Extended, which does so itself only when it creates a token.

    :param config: ``app.config``.
    :raises ConfigurationError: there is no usable key for ``JWT_ALGORITHM``.
    """
    algorithm = str(config.get("JWT_ALGORITHM", "HS256"))
    if not algorithm.startswith("HS"):
        if not config.get("JWT_PRIVATE_KEY"):
            raise ConfigurationError(
                "JWT_PRIVATE_KEY",
                f"is not set, but JWT_ALGORITHM {algorithm} needs it to sign tokens",
            )
        return
    name = "JWT_SECRET_KEY" if config.get("JWT_SECRET_KEY") else "SECRET_KEY"
    key = config.get(name)
    if not key:
        raise ConfigurationError(
            "JWT_SECRET_KEY",
            "is not set and neither is SECRET_KEY, so no token can be signed: set one, or "
            "register a verify_success_handler before init_app",
        )
    _as_bytes(name, key)


def check_token_location(config: Mapping[str, Any]) -> None:
    """Check ``JWT_TOKEN_LOCATION``, which Flask-JWT-Extended reads only at the first request.

    :param config: ``app.config``.
    :raises ConfigurationError: it has a value that Flask-JWT-Extended does not know.
    """
    value = config.get("JWT_TOKEN_LOCATION", "headers")
    locations = [value] if isinstance(value, str) else value
    known = ", ".join(map(repr, _TOKEN_LOCATIONS))
    if not isinstance(locations, list | tuple | set | frozenset) or not locations:
        raise ConfigurationError(
            "JWT_TOKEN_LOCATION", f"is {value!r}; allowed is a list of {known}"
        )
    for location in locations:
        if location not in _TOKEN_LOCATIONS:
            close = difflib.get_close_matches(str(location), _TOKEN_LOCATIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"allowed is a list of {known}"
            raise ConfigurationError("JWT_TOKEN_LOCATION", f"has {location!r} in it; {hint}")
